"""Which parts of a face the answer rests on: the model is asked many times, each time with about half hidden.

    from mien.explain import explain

    for face in explain("party.jpg"):
        face.maps["happy"]  # (48, 48): how much smaller the share of happy is with each part hidden
        face.draw().save("why.png")

This is RISE (Petsiuk et al. 2018), which asks the model that people use, the ONNX file, and nothing of its inside;
but what is hidden is no matter of chance. It follows a two-level factorial design (Plackett and Burman 1946,
folded over), in which each place is hidden as often with as without any other, so that what each does is told
apart from what the others do, and the same face always gives the same map. Hiding one part at a time (Zeiler
and Fergus 2014) shows nothing on a face that is told by its mouth and by its eyes alike. What hides is a blur, so
that no edge is seen that was not there.

How well the maps tell what matters is measured by benchmarks/explain.py. Grad-CAM is left out: it needs the
PyTorch network beside the ONNX file, and base's last two stages, which it would look at, have 8×8 and 4×4 places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mien.align import align_faces, crop_sides, whole_picture
from mien.classify import Classifier
from mien.errors import ConfigError
from mien.image import ImageSource, read_image
from mien.recognize import Recognizer, default_recognizer
from mien.result import percent

_PLACES: Final = 7  # along each side; with 8, the design would need twice the readings
_RUNS: Final = 64  # twice as many readings: each mask and its opposite
_BLUR: Final = 6 / 48  # radius of the blur, in shares of the crop's side

_FAINTEST: Final = 0.05
"""Maps whose strongest change is less than this are drawn pale: nothing much rests on any one part."""

FALLS: Final = (213, 94, 0)
"""Colour (RGB) of parts without which the share is smaller."""

RISES: Final = (0, 114, 178)
"""Colour (RGB) of parts without which the share is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What the answer for one face rests on.

    Attributes:
        crop: grey uint8 (S, S), the face as it was cut out of the picture, for people; the model saw it smaller.
        probabilities: every expression's share, as `mien.predict` gives it.
        maps: for each explained expression float32 (size, size), see `explain_crop`.
        box: (x1, y1, x2, y2) of the face in pixels of the upright picture, as `mien.predict` gives it.
    """

    crop: NDArray[np.uint8]
    probabilities: dict[str, float]
    maps: dict[str, NDArray[np.float32]]
    box: tuple[float, float, float, float]

    @property
    def strongest(self) -> float:
        """The largest change of a share in any of the maps, in [0, 1]."""
        return max(float(np.abs(values).max()) for values in self.maps.values())

    def draw(self) -> Image.Image:
        """The face and a map for each expression side by side, with a legend; RGB."""
        return draw_explanations([self])


def explain(
    image: ImageSource,
    *,
    recognizer: Recognizer | None = None,
    expressions: Sequence[str] | None = None,
    max_faces: int = 8,
) -> list[Explanation]:
    """Explains the answer for the faces in a picture.

    Args:
        image: what `mien.predict` takes.
        recognizer: what finds and reads the faces; None: the default one.
        expressions: the expressions to explain, some of the model's; None: the three likeliest of each face.
        max_faces: how many faces to explain, the surest first; each takes 128 readings.

    Returns:
        An explanation of each face, surest first; none when nobody is there.

    Raises:
        ImageError: the picture cannot be read.
        ConfigError: an expression is unknown, or `max_faces` below 1.
    """
    if max_faces < 1:
        raise ConfigError(f"max_faces {max_faces}: choose 1 or more")
    recognizer = recognizer or default_recognizer()
    classifier = recognizer.classifier
    words = classifier.classes
    _check_expressions(expressions or (), classifier)
    pixels = read_image(image, max_pixels=recognizer.max_pixels)
    if recognizer.detector is None:
        crops = whole_picture(pixels, size=classifier.size)[None]
        shown = whole_picture(pixels, size=_TILE)[None]
        sides = np.array([max(pixels.shape[:2])], np.float64)
        boxes = np.array([[0, 0, pixels.shape[1], pixels.shape[0]]], np.float32)
    else:
        found = recognizer.detector.detect(pixels)
        boxes, landmarks = found.boxes[:max_faces], found.landmarks[:max_faces]
        crops = align_faces(pixels, boxes, landmarks, size=classifier.size)
        shown = align_faces(pixels, boxes, landmarks, size=_TILE)
        sides = crop_sides(boxes)
    readings = classifier.classify(crops, sides=sides)
    explanations = []
    for crop, large, side, shares, box in zip(
        crops, shown, sides, readings.probabilities, boxes.tolist(), strict=True
    ):
        probabilities = dict(zip(words, shares.tolist(), strict=True))
        likeliest = sorted(words, key=lambda word: -probabilities[word])[:3]
        maps = explain_crop(classifier, crop, expressions or likeliest, side=float(side))
        explanations.append(Explanation(large, probabilities, maps, tuple(box)))
    return explanations


def explain_crop(
    classifier: Classifier,
    crop: NDArray[np.uint8],
    expressions: Sequence[str] | None = None,
    *,
    side: float | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Tells of each place on a face how much of an expression's share is lost when it is hidden.

    Always the same for the same face; takes 128 readings.

    Args:
        classifier: the model that is asked.
        crop: uint8 (size, size), grey, framed as FER-2013 frames its faces, `size` the classifier's.
        expressions: which to explain, some of the classifier's; None: all.
        side: pixels that the crop's side had before it was scaled, see `Classifier.classify`.

    Returns:
        For each expression float32 (size, size), in shares from -1 to 1: the mean of the share with that part
        seen less that with it hidden, on average half of the rest hidden in both. Above 0 where the answer
        rests on it.

    Raises:
        ConfigError: an expression is unknown, or the crop has another shape or type.
    """
    size = classifier.size
    if crop.dtype != np.uint8 or crop.shape != (size, size):
        raise ConfigError(f"crop: {crop.dtype} {crop.shape}, must be uint8 ({size}, {size})")
    words = classifier.classes if expressions is None else tuple(expressions)
    _check_expressions(words, classifier)
    along = _between_places(size)
    seen = np.einsum("rab,ay,bx->ryx", (_design() + 1) / 2, along, along)  # (128, size, size), in [0, 1]
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(_BLUR * size)), np.float64)
    faces = np.rint(blurred + (crop - blurred) * seen).astype(np.uint8)
    sides = None if side is None else np.full(len(faces), side)
    shares = classifier.classify(faces, sides=sides).probabilities  # (128, expressions)
    effects = np.einsum("rab,rk->kab", _design(), shares) / _RUNS
    maps = np.einsum("kab,ay,bx->kyx", effects, along, along).astype(np.float32)
    return {word: maps[classifier.classes.index(word)] for word in words}


def overlay(crop: NDArray[np.uint8], values: NDArray[np.float32], strongest: float) -> NDArray[np.uint8]:
    """Lays a map over a face.

    Args:
        crop: grey uint8 (H, W), the face at any size.
        values: a map of `explain_crop`.
        strongest: the change that gets the full colour, above 0; larger ones too.

    Returns:
        RGB uint8 (H, W, 3): `FALLS` where the answer rests on it, `RISES` where the share is larger without it,
        grey where nothing changes.
    """
    height, width = crop.shape
    large = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    change = np.clip(np.asarray(large) / strongest, -1, 1)[..., None]
    colour = np.where(change > 0, np.array(FALLS), np.array(RISES))
    weight = 0.75 * np.abs(change)
    return np.rint(crop[..., None] * (1 - weight) + colour * weight).astype(np.uint8)


def draw_explanations(explanations: Sequence[Explanation]) -> Image.Image:
    """Draws a sheet: each face a row, the face itself and a map for each expression; below, what colours mean.

    Args:
        explanations: at least one.

    Returns:
        An RGB image.
    """
    columns = 1 + max(len(explanation.maps) for explanation in explanations)
    width = _GAP + max(columns, 3) * (_TILE + _GAP)
    legend = _wrapped(_LEGEND, width - 2 * _GAP)
    row = _TILE + 2 * _LINE + _GAP
    height = _GAP + len(explanations) * row + _BAR + round(0.5 * _GAP) + len(legend) * _LINE + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _GAP
    for number, explanation in enumerate(explanations):
        strongest = explanation.strongest
        scale = max(strongest, _FAINTEST)
        sheet.paste(Image.fromarray(explanation.crop).resize((_TILE, _TILE)), (_GAP, y))
        _caption(draw, _GAP, y, f"face {number}", f"strongest change, in points: {100 * strongest:.0f}")
        for column, (word, values) in enumerate(explanation.maps.items(), start=1):
            x = _GAP + column * (_TILE + _GAP)
            large = np.asarray(Image.fromarray(explanation.crop).resize((_TILE, _TILE)))
            sheet.paste(Image.fromarray(overlay(large, values, scale)), (x, y))
            lost, won = max(0.0, float(values.max())), max(0.0, -float(values.min()))
            points = f"up to {100 * lost:.0f} smaller, {100 * won:.0f} larger"
            _caption(draw, x, y, f"{word} {percent(explanation.probabilities[word])}", points)
        y += row
    grey = np.full((_BAR, _TILE), 190, np.uint8)
    ramp = np.tile(np.linspace(1, -1, _TILE, dtype=np.float32), (_BAR, 1))
    sheet.paste(Image.fromarray(overlay(grey, ramp, 1.0)), (_GAP, y))
    draw.text((2 * _GAP + _TILE, y + _BAR / 2), _ENDS, fill=_INK, font=_font(_TEXT), anchor="lm")
    y += _BAR + round(0.5 * _GAP)
    for line in legend:
        draw.text((_GAP, y), line, fill=_SOFT, font=_font(_TEXT))
        y += _LINE
    return sheet


_LEGEND: Final = (
    "The model was asked 128 times, each time with about half of the face blurred. Orange: with this part "
    "hidden, the share of the expression is smaller: the answer rests on it. Blue: it is larger: that part speaks "
    "against it. Grey: it makes little difference. All colours in a row have one scale; where the row is pale, no "
    "one part matters much. A map tells what this model goes by in this picture. It does not tell what the person "
    "felt, what people go by, or whether the answer is right."
)
_ENDS: Final = "without this part the share is smaller … larger"

# In pixels.
_TILE: Final = 240
_GAP: Final = 20
_BAR: Final = 18
_TEXT: Final = 15
_LINE: Final = 21
_PAPER: Final = (255, 255, 255)
_INK: Final = (24, 24, 24)
_SOFT: Final = (84, 84, 84)


def _caption(draw: ImageDraw.ImageDraw, x: int, y: int, first: str, second: str) -> None:
    draw.text((x, y + _TILE + 4), first, fill=_INK, font=_font(_TEXT + 1))
    draw.text((x, y + _TILE + 4 + _LINE), second, fill=_SOFT, font=_font(_TEXT - 2))


def _wrapped(text: str, width: int) -> list[str]:
    """Breaks a text into lines that are no wider than so many pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if _font(_TEXT).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _check_expressions(words: Sequence[str], classifier: Classifier) -> None:
    known = classifier.classes
    if unknown := [word for word in words if word not in known]:
        raise ConfigError(f"no expression is called {unknown[0]!r}: choose among {', '.join(known)}")


@cache
def _design() -> NDArray[np.float64]:
    """Which places are seen (1) and which hidden (-1) in each reading: (128, 7, 7).

    Columns of a Hadamard matrix are orthogonal, so what each place does is told apart from what the others do;
    with every row's opposite added, from what any two others do together, too.
    """
    matrix = np.ones((1, 1))
    while len(matrix) < _RUNS:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    # The first column is constant; steps of 29 scatter the others, whose order is regular, over the face.
    columns = 1 + 29 * np.arange(_PLACES**2) % (_RUNS - 1)
    half = matrix[:, columns].reshape(-1, _PLACES, _PLACES)
    return np.concatenate([half, -half])


@cache
def _between_places(size: int) -> NDArray[np.float64]:
    """How near each pixel of a side is to each place: (7, size), linear between two, columns sum to 1."""
    centres = (np.arange(_PLACES) + 0.5) * size / _PLACES - 0.5
    return np.stack([np.interp(np.arange(size), centres, place) for place in np.eye(_PLACES)])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
