"""What the whole road from photograph to expression costs in accuracy, against the bare crops.

    python benchmarks/road.py DATA [MODEL]

Each PublicTest face is enlarged to 96, 192 and 384 pixels in a picture of 640×480 whose surroundings continue it,
then found, framed and read as in any photograph. The surest face found is the one that counts.

Of each accuracy there is a second one without the faces that have a near copy in Training: a bare crop of these
may be known by heart, pixel by pixel, as no face of a photograph ever is.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canvas import photograph
from common import model_sha256, share, write_result
from mien.classify import Classifier
from mien.datasets import Dataset, crowd_majority, has_twin, read_dataset
from mien.labels import EXPRESSIONS
from mien.recognize import Recognizer
from mien.result import Faces

SIDES = (96, 192, 384)
WIDTH, HEIGHT = 640, 480


def main(data: str, model: str = "base") -> None:
    """Measures and writes ``results/road.json``."""
    test = read_dataset(data, "PublicTest")
    fresh = ~has_twin(test.images, read_dataset(data, "train").images)
    said = Classifier(model).classify(test.images)
    crops = [said.fer2013, said.crowd, said.probabilities]
    recognizer = Recognizer(model)
    result: dict[str, Any] = {
        "model": model,
        "model_sha256": model_sha256(model),
        "split": "PublicTest",
        "picture": f"{WIDTH}×{HEIGHT}",
        "sides": {},
    }
    result["crops"] = accuracies(crops, test)
    for side in SIDES:
        random = np.random.default_rng(side)
        corners = zip(
            random.integers(0, WIDTH - side, len(test)),
            random.integers(0, HEIGHT - side, len(test)),
            strict=True,
        )
        pictures = (
            photograph(face, side, WIDTH, HEIGHT, (int(x), int(y)))
            for face, (x, y) in zip(test.images, corners, strict=True)
        )
        results = list(recognizer.predict_many(pictures))
        found = np.array([len(faces) > 0 for faces in results])
        seen, new = test.take(found), fresh[found]
        whole = [column(results, name) for name in ("fer2013", "crowd", "probabilities")]
        bare = [scores[found] for scores in crops]
        result["sides"][str(side)] = {
            "found": share(int(found.sum()), len(test)),
            "more_than_one_found": sum(len(faces) > 1 for faces in results),
            "whole_road": accuracies(whole, seen),
            "crops_of_the_same_faces": accuracies(bare, seen),
            "without_copies_in_training": {
                "whole_road": accuracies([scores[new] for scores in whole], seen.take(new)),
                "crops_of_the_same_faces": accuracies([scores[new] for scores in bare], seen.take(new)),
            },
        }
    write_result("road", result)


def column(results: list[Faces], reading: str) -> NDArray[np.float32]:
    """One reading of the surest face of each picture that has one: (n, words)."""
    return np.array([list(getattr(faces[0], reading).values()) for faces in results if faces], np.float32)


def accuracies(readings: list[NDArray[np.float32]], data: Dataset) -> dict[str, Any]:
    """Accuracy of each reading (`fer2013`, `crowd`, `probabilities`) against the truth that it answers to."""
    assert data.votes is not None
    fer2013, crowd, answer = readings
    majority = crowd_majority(data.votes)
    seven = np.where(majority < len(EXPRESSIONS), majority, -1)
    return {
        name: share(int((scores.argmax(axis=1) == truth)[truth >= 0].sum()), int((truth >= 0).sum()))
        for name, scores, truth in (
            ("fer2013_original_labels", fer2013, data.labels),
            ("crowd_ferplus_majority_8", crowd[:, :8], majority),
            ("probabilities_ferplus_majority_7", answer, seven),
        )
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
