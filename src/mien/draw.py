"""Draws faces on a picture: a box, a label, and where there is room the probabilities as bars.

Sizes follow the picture and the face, so that the drawing reads the same on a thumbnail and on a poster.
Labels and bars never cover a face, a label or other bars, but for the label of a face that fills the picture,
which lies over the forehead; where no room is left for a label, the box's colour alone tells the expression.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import cycle
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.result import Face, percent

Colour: TypeAlias = tuple[int, int, int]
_Box: TypeAlias = tuple[int, int, int, int]

COLOURS: Final[dict[str, Colour]] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (0, 114, 178),
    "surprise": (86, 180, 233),
    "neutral": (200, 200, 200),
}
"""A colour (RGB) for each expression, safe for the colour-blind (Okabe and Ito 2008; neutral is grey)."""

_OTHERS: Final[tuple[Colour, ...]] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)
"""All of Okabe's and Ito's colours but black: more than seven the colour-blind cannot tell apart for sure."""

UNCLEAR: Final[Colour] = (120, 120, 120)
"""The colour (RGB) of a face of which more than half of people would say that they cannot tell."""

_DARK: Final[Colour] = (24, 24, 24)
_LIGHT: Final[Colour] = (255, 255, 255)
_MUTED: Final[Colour] = (195, 195, 195)
_TRACK: Final[Colour] = (90, 90, 90)
_SMALLEST_TEXT: Final = 9  # pixels; smaller letters cannot be read
_MOST_BARS: Final = 8  # of a model with more classes, so many of the most probable are shown
_LONGEST_NAME: Final = 16  # letters; of a longer name the beginning is shown
_BAR_LENGTH: Final = 3.2  # all of these in heights of the text
_ROW: Final = 1.25
_PADDING: Final = 0.3


def draw_faces(image: NDArray[np.uint8] | Image.Image, faces: Iterable[Face]) -> Image.Image:
    """Draws faces on a copy of a picture.

    Args:
        image: the upright picture the faces were found in; RGB, uint8, shape (H, W, 3), or a Pillow image.
        faces: what to draw.

    Returns:
        An RGB image of the same size.
    """
    canvas = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    canvas = canvas.copy() if canvas is image else canvas
    ordered = sorted(faces, key=lambda face: _height(face.box), reverse=True)  # the large choose first
    boxes = [_clamp(face.box, canvas.size) for face in ordered]
    for face, box in reversed(list(zip(ordered, boxes, strict=True))):
        _draw_box(canvas, box, _caption(face)[2])
    taken = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    labelled = []
    for face, box in zip(ordered, boxes, strict=True):
        plate = _draw_label(canvas, face, box, taken)
        if plate is not None:
            taken = np.vstack([taken, plate])
            labelled.append((face, box))
    for face, box in labelled:
        panel = _draw_bars(canvas, face, box, taken)
        if panel is not None:
            taken = np.vstack([taken, panel])
    return canvas


@lru_cache(maxsize=32)
def colours_of(expressions: tuple[str, ...]) -> dict[str, Colour]:
    """A colour (RGB) for each of a model's expressions.

    Mien's seven have theirs; classes of your own take those of Okabe and Ito that are left, in turn.
    """
    known = {COLOURS[name] for name in expressions if name in COLOURS}
    spare = cycle([colour for colour in _OTHERS if colour not in known] or _OTHERS)
    return {name: COLOURS.get(name) or next(spare) for name in expressions}


def _short(name: str) -> str:
    """A class's name as it is drawn: not too long, and without accents, which Pillow's own font lacks."""
    name = "".join(
        letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter)
    )
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _caption(face: Face) -> tuple[str, str, Colour]:
    """The label, a shorter one for small faces, and the colour."""
    if face.unclear > 0.5:
        return f"unclear {percent(face.unclear)}", "unclear", UNCLEAR
    name = _short(face.expression)
    colour = colours_of(tuple(face.probabilities))[face.expression]
    return f"{name} {percent(face.probability)}", name, colour


def _draw_box(canvas: Image.Image, box: _Box, colour: Colour) -> None:
    side = min(box[2] - box[0], box[3] - box[1])
    width = max(1, round(min(0.003 * max(canvas.size), 0.04 * side)))
    edge = max(1, width // 2)
    draw = ImageDraw.Draw(canvas)
    x1, y1, x2, y2 = box
    # A dark edge on both sides keeps the light colours visible on white.
    if side > 20 * width:
        inner = (x1 + edge, y1 + edge, x2 - edge, y2 - edge)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=_DARK, width=width + 2 * edge)
        draw.rectangle((inner[0], inner[1], inner[2] - 1, inner[3] - 1), outline=colour, width=width)
    else:
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=width)


def _draw_label(canvas: Image.Image, face: Face, box: _Box, taken: NDArray[np.int64]) -> _Box | None:
    """Writes the label where there is room, in letters as large as fit; returns the place it took."""
    text, short, colour = _caption(face)
    for size in _text_sizes(canvas.size, box):
        pad = max(1, round(_PADDING * size))
        for words in (text, short):
            width, height = _width(words, size) + 2 * pad, round(_ROW * size) + pad
            for plate in _places_of_label(box, width, height, canvas.size):
                if _free(plate, taken, own=box):
                    draw = ImageDraw.Draw(canvas)
                    draw.rectangle((plate[0], plate[1], plate[2] - 1, plate[3] - 1), fill=colour)
                    middle = (plate[0] + pad, (plate[1] + plate[3]) / 2)
                    draw.text(middle, words, fill=_ink(colour), font=_font(size), anchor="lm")
                    return plate
    return None


def _draw_bars(canvas: Image.Image, face: Face, box: _Box, taken: NDArray[np.int64]) -> _Box | None:
    """Draws the probabilities beside the face where there is room; returns the place they took."""
    colours = colours_of(tuple(face.probabilities))
    shown = sorted(face.probabilities, key=lambda name: -face.probabilities[name])[:_MOST_BARS]
    for label_size in _text_sizes(canvas.size, box):
        size = max(_SMALLEST_TEXT, round(0.8 * label_size))
        pad = max(2, round(2 * _PADDING * size))
        names = max(_width(_short(name), size) for name in face.probabilities)
        bar = round(_BAR_LENGTH * size)
        row = round(_ROW * size)
        width, height = names + bar + 3 * pad, len(shown) * row + 2 * pad
        for panel in _places_of_bars(box, width, height, canvas.size):
            if _free(panel, taken):
                _shade(canvas, panel)
                draw = ImageDraw.Draw(canvas)
                x, y = panel[0] + pad, panel[1] + pad
                start = x + names + pad
                for name, probability in face.probabilities.items():
                    if name not in shown:
                        continue
                    ink = _LIGHT if name == face.expression else _MUTED
                    middle = (x + names, y + row / 2)
                    draw.text(middle, _short(name), fill=ink, font=_font(size), anchor="rm")
                    top, bottom = y + round(0.2 * row), y + round(0.8 * row)
                    draw.rectangle((start, top, start + bar - 1, bottom), fill=_TRACK)
                    length = round(bar * probability)
                    if length > 0:
                        draw.rectangle((start, top, start + length - 1, bottom), fill=colours[name])
                    y += row
                return panel
    return None


def _text_sizes(picture: tuple[int, int], box: _Box) -> Iterator[int]:
    """Heights of letters to try: what suits the face, within what suits the picture, and smaller ones."""
    longest = max(picture)
    wanted = min(max(0.15 * (box[3] - box[1]), 0.009 * longest), 0.04 * longest)
    size = max(_SMALLEST_TEXT, round(wanted))
    smallest = max(_SMALLEST_TEXT, round(0.007 * longest))
    while size > smallest:
        yield size
        size = round(0.8 * size)
    yield smallest


def _places_of_label(box: _Box, width: int, height: int, picture: tuple[int, int]) -> Iterator[_Box]:
    x1, y1, x2, y2 = box
    for x, y in (
        (x1, y1 - height),  # above
        (x2 - width, y1 - height),
        (x1, y2),  # below
        (x2 - width, y2),
        (x2, y1),  # beside
        (x1 - width, y1),
        (x2, y2 - height),
        (x1 - width, y2 - height),
    ):
        # Above and below, a label may slide along the face to stay in the picture.
        slid = min(max(x, 0), max(0, picture[0] - width)) if y in (y1 - height, y2) else x
        place = (slid, y, slid + width, y + height)
        if _inside(place, picture):
            yield place
    # The face fills the picture: inside its box, over the forehead.
    if (y1 < height and picture[1] - y2 < height) and width <= x2 - x1 and 3 * height <= y2 - y1:
        yield (x1, y1, x1 + width, y1 + height)


def _places_of_bars(box: _Box, width: int, height: int, picture: tuple[int, int]) -> Iterator[_Box]:
    x1, y1, x2, y2 = box
    gap = max(2, round(0.04 * (x2 - x1)))
    top, bottom = min(y1, picture[1] - height), max(0, y2 - height)
    right, left, under = x2 + gap, x1 - gap - width, min(max(0, (x1 + x2 - width) // 2), picture[0] - width)
    for x, y in ((right, top), (left, top), (right, bottom), (left, bottom), (under, y2 + gap)):
        place = (x, y, x + width, y + height)
        if _inside(place, picture):
            yield place


def _inside(place: _Box, picture: tuple[int, int]) -> bool:
    return place[0] >= 0 and place[1] >= 0 and place[2] <= picture[0] and place[3] <= picture[1]


def _free(place: _Box, taken: NDArray[np.int64], own: _Box | None = None) -> bool:
    """Whether a place overlaps nothing; the face's own box does not count when it is given."""
    x1, y1, x2, y2 = taken.T
    hit = (x1 < place[2]) & (place[0] < x2) & (y1 < place[3]) & (place[1] < y2)
    if own is not None:
        hit &= ~(taken == np.array(own)).all(axis=1)
    return not hit.any()


def _shade(canvas: Image.Image, place: _Box) -> None:
    region = canvas.crop(place)
    canvas.paste(Image.blend(region, Image.new("RGB", region.size, _DARK), 0.88), place)


def _ink(plate: Colour) -> Colour:
    """Black or white, whichever contrasts more (WCAG 2.2) with the plate under it."""
    luminance = relative_luminance(plate)
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else _LIGHT


def relative_luminance(colour: Colour) -> float:
    """The relative luminance in [0, 1] of an sRGB colour (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _clamp(box: tuple[float, float, float, float], picture: tuple[int, int]) -> _Box:
    """The box in whole pixels, inside the picture, at least one pixel large."""
    x1 = min(max(0, round(box[0])), picture[0] - 1)
    y1 = min(max(0, round(box[1])), picture[1] - 1)
    return x1, y1, min(max(x1 + 1, round(box[2])), picture[0]), min(max(y1 + 1, round(box[3])), picture[1])


def _height(box: tuple[float, float, float, float]) -> float:
    return box[3] - box[1]


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def _width(words: str, size: int) -> int:
    return round(_font(size).getlength(words))
