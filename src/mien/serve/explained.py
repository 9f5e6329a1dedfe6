"""The explanation of one face of a picture, as numbers that a page can draw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.align import align_faces, crop_sides
from mien.explain import explain_crop
from mien.labels import EXPRESSIONS
from mien.recognize import Recognizer
from mien.serve.problems import ProblemError

_SHOWN = 96  # side in pixels of the face as it is shown; the network's own is too coarse for people


def explained(
    recognizer: Recognizer, pixels: NDArray[np.uint8], face: int, expression: str | None
) -> dict[str, Any]:
    """Explains the reading of one face.

    Args:
        recognizer: what finds and reads faces.
        pixels: RGB uint8 (height, width, 3).
        face: its place among the faces, surest first, from 0.
        expression: which to explain; None: the most probable.

    Returns:
        The record of mien.serve.schemas.Explanation.

    Raises:
        ProblemError: there is no such face.
    """
    assert recognizer.detector is not None
    found = recognizer.detector.detect(pixels)
    if face >= len(found):
        there = f"has {len(found)}: choose 0 to {len(found) - 1}" if len(found) else "has no face"
        raise ProblemError("invalid", f"face {face}: the picture {there}")
    place = slice(face, face + 1)
    boxes, landmarks = found.boxes[place], found.landmarks[place]
    classifier = recognizer.classifier
    sides = crop_sides(boxes)
    crops = align_faces(pixels, boxes, landmarks, size=classifier.size)
    shares = classifier.classify(crops, sides=sides).probabilities[0]
    word = expression or EXPRESSIONS[int(shares.argmax())]
    lost = explain_crop(classifier, crops[0], [word], side=float(sides[0]))[word]
    large = Image.fromarray(lost).resize((_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    return {
        "face": face,
        "expression": word,
        "probability": round(float(shares[EXPRESSIONS.index(word)]), 4),
        "crop": align_faces(pixels, boxes, landmarks, size=_SHOWN)[0].tolist(),
        "map": np.asarray(large, np.float64).round(4).tolist(),
    }
