"""Draws the faces of a video's frame: their boxes, tracks and smoothed expressions.

Unlike `mien.draw`, which makes the most of one picture, this keeps still: letters have one size all through a
video, and each label stays at its face, so that nothing jumps from frame to frame.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.draw import COLOURS, UNCLEAR, relative_luminance
from mien.labels import EXPRESSIONS
from mien.result import percent

if TYPE_CHECKING:
    from mien.video.follow import TrackedFace

_DARK: Final = (24, 24, 24)
_LIGHT: Final = (255, 255, 255)
# Heights of the letters and of the bar below a face, in shares of the frame's diagonal, and pixels at least.
_TEXT: Final = 0.022
_SMALLEST: Final = 10
_BAR: Final = 0.35  # of the height of the letters


def draw_frame(image: NDArray[np.uint8], faces: "Sequence[TrackedFace]") -> Image.Image:
    """Draws faces on a copy of a frame.

    Each has a box in the colour of its smoothed expression, a label above it, and below it a bar that is divided
    as the seven smoothed probabilities are.

    Args:
        image: the upright frame, RGB uint8 (height, width, 3).
        faces: what to draw.

    Returns:
        An RGB image of the same size.
    """
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    size = max(_SMALLEST, round(_TEXT * np.hypot(*canvas.size)))
    # The nearest, whose box is largest, is drawn last, over the others.
    for face in sorted(faces, key=lambda face: face.box[3] - face.box[1]):
        _draw_face(draw, face, canvas.size, size)
    return canvas


def _draw_face(draw: ImageDraw.ImageDraw, face: "TrackedFace", frame: tuple[int, int], size: int) -> None:
    x1, y1, x2, y2 = (round(value) for value in face.box)
    x2, y2 = max(x1 + 2, x2), max(y1 + 2, y2)
    unclear = face.smoothed_unclear > 0.5
    colour = UNCLEAR if unclear else COLOURS[face.smoothed_expression]
    line = max(1, size // 7)
    draw.rectangle((x1 - 1, y1 - 1, x2, y2), outline=_DARK, width=line + 2)
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=line)

    bar = max(3, round(_BAR * size))
    top = min(y2 + 2, frame[1] - bar)
    draw.rectangle((x1 - 1, top - 1, x2, top + bar), fill=_DARK)
    start = float(x1)
    for name in EXPRESSIONS:
        end = start + face.smoothed[name] * (x2 - x1)
        if round(end) > round(start):
            draw.rectangle((round(start), top, round(end) - 1, top + bar - 1), fill=COLOURS[name])
        start = end

    words = "unclear" if unclear else f"{face.smoothed_expression} {percent(face.smoothed_probability)}"
    words = f"{face.track} · {words}"
    font = _font(size)
    width, height = round(font.getlength(words)) + size, round(1.5 * size)
    left = min(max(0, x1 - 1), max(0, frame[0] - width))
    over = max(0, y1 - height - 1)
    draw.rectangle((left, over, left + width - 1, over + height - 1), fill=colour)
    ink = _DARK if relative_luminance(colour) > 0.18 else _LIGHT
    draw.text((left + size / 2, over + height / 2), words, fill=ink, font=font, anchor="lm")


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
