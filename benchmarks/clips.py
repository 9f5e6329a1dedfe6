"""Films made of the photographs in examples/, of which it is known where each face is in each frame.

    write_clip("pan.mp4", pan(PHOTOGRAPHS["astronaut"], 60))

A shot is a list of (frame, faces): RGB uint8 (height, width, 3), and a dict from a person's name to the true
box (x1, y1, x2, y2) of their face. Shots are joined with `+`, which makes a cut.
"""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frame: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[float, float, float, float]
Shot: TypeAlias = list[tuple[Frame, dict[str, Box]]]

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZE = (640, 360)
# Where the faces are in the photographs, in pixels: as the detector finds them there, checked by eye.
FACES: dict[str, dict[str, Box]] = {
    "astronaut": {"collins": (180, 58, 271, 176)},
    "grace_hopper": {"hopper": (173, 123, 356, 338)},
    "obama": {"obama": (324, 75, 545, 381)},
    "biden": {"biden": (352, 145, 604, 486)},
}


@cache
def photograph(name: str) -> Image.Image:
    """A photograph of examples/, in RGB."""
    return Image.open(EXAMPLES / f"{name}.jpg").convert("RGB")


def move(name: str, count: int, view: Callable[[float], tuple[float, float, float]]) -> Shot:
    """A camera that moves over a photograph.

    Args:
        name: of the photograph.
        count: of frames.
        view: from the share of the shot that has passed, 0 to 1, to the x and y of the middle of what the camera
            sees, and its width, all in pixels of the photograph. What lies beyond its borders is grey.
    """
    shot: Shot = []
    width, height = SIZE
    for number in range(count):
        x, y, across = view(number / max(1, count - 1))
        scale = across / width
        left, top = x - across / 2, y - across * height / width / 2
        frame = photograph(name).transform(
            SIZE,
            Image.Transform.AFFINE,
            (scale, 0, left, 0, scale, top),
            Image.Resampling.BICUBIC,
            fillcolor=(110, 110, 110),
        )
        boxes = {
            person: ((x1 - left) / scale, (y1 - top) / scale, (x2 - left) / scale, (y2 - top) / scale)
            for person, (x1, y1, x2, y2) in FACES[name].items()
        }
        shot.append((np.asarray(frame), {who: box for who, box in boxes.items() if _mostly_in(box)}))
    return shot


def pan(name: str, count: int, *, across: float = 600) -> Shot:
    """A camera that goes from left to right and back over a face, and a little up and down."""
    x, y = _middle(name)
    reach = across / 4

    def view(t: float) -> tuple[float, float, float]:
        return x - reach * math.sin(2 * math.pi * t), y + reach / 6 * math.sin(4 * math.pi * t), across

    return move(name, count, view)


def zoom(name: str, count: int, *, widest: float = 1000, narrowest: float = 350) -> Shot:
    """A camera that comes nearer to a face and goes away again."""
    x, y = _middle(name)
    return move(
        name,
        count,
        lambda t: (x, y, widest * (narrowest / widest) ** math.sin(math.pi * t)),
    )


def fade(one: Shot, other: Shot) -> Shot:
    """The one shot dissolves into the other, of equal length; the faces are those of the stronger."""
    shot: Shot = []
    for number, ((first, faces), (second, others)) in enumerate(zip(one, other, strict=True)):
        share = number / max(1, len(one) - 1)
        mixed = first * (1 - share) + second * share
        shot.append((mixed.astype(np.uint8), faces if share < 0.5 else others))
    return shot


def darken(shot: Shot) -> Shot:
    """The shot fades to black and comes back."""
    half = len(shot) / 2
    return [
        ((frame * (abs(n - half) / half)).astype(np.uint8), faces) for n, (frame, faces) in enumerate(shot)
    ]


def cross(count: int, *, apart: int = 0) -> Shot:
    """Two heads that pass each other over a plain ground: Hopper to the right, Collins to the left.

    Args:
        count: of frames.
        apart: pixels between their heights; at 0 Hopper passes in front of Collins.
    """
    width, height = SIZE
    shot: Shot = []
    for number in range(count):
        t = number / max(1, count - 1)
        frame = Image.new("RGB", SIZE, (96, 112, 128))
        faces: dict[str, Box] = {}
        for name, x, y in (
            ("astronaut", width * (0.85 - 0.7 * t), height / 2 + apart / 2),
            ("grace_hopper", width * (0.15 + 0.7 * t), height / 2 - apart / 2),
        ):
            (who, (x1, y1, x2, y2)) = next(iter(FACES[name].items()))
            head = (x1 - 30, y1 - 50, x2 + 30, y2 + 30)
            scale = 130 / (head[3] - head[1])
            cut = photograph(name).crop(head)
            cut = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.BICUBIC)
            left, top = round(x - cut.width / 2), round(y - cut.height / 2)
            frame.paste(cut, (left, top))
            faces[who] = (
                left + 30 * scale,
                top + 50 * scale,
                left + (x2 - head[0]) * scale,
                top + (y2 - head[1]) * scale,
            )
        shot.append((np.asarray(frame), faces))
    return shot


def hide(shot: Shot, first: int, last: int) -> Shot:
    """A shot in which a board covers everything but a rim in the frames `first` to `last`, the latter not."""
    covered: Shot = []
    for number, (frame, faces) in enumerate(shot):
        if first <= number < last:
            frame = frame.copy()
            for box in faces.values():
                x1, y1, x2, y2 = (round(value) for value in box)
                frame[max(0, y1 - 20) : y2 + 20, max(0, x1 - 20) : x2 + 20] = (60, 80, 60)
            faces = {}
        covered.append((frame, faces))
    return covered


def write_clip(
    path: str | Path,
    frames: Iterable[Frame],
    *,
    rate: int = 30,
    times: Iterable[float] | None = None,
    tone: bool = False,
    layout: Literal["mono", "stereo"] = "mono",
    codec: Literal["libx264", "libvpx", "mpeg4", "huffyuv"] = "libx264",
    audio_codec: Literal["aac", "libopus", "pcm_s16le", "mp2"] = "aac",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Writes frames as a film.

    Args:
        path: where; its ending says the container.
        frames: RGB uint8 (height, width, 3).
        rate: frames a second.
        times: when each frame is shown, in seconds, instead of `rate`.
        tone: whether a tone of 440 Hz sounds all along.
        layout: of the tone.
        codec: of the video.
        audio_codec: of the tone.
        aspect: width of a pixel as a share of its height; None: it is not stated.
        options: of the container.
    """
    # Where every picture stands alone, the clock has to be the rate for AVI to know which are left out.
    clock = Fraction(1, rate) if codec == "huffyuv" else Fraction(1, 12800)
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=rate)
        video.pix_fmt = "yuv422p" if codec == "huffyuv" else "yuv420p"
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        video.time_base = video.codec_context.time_base = clock
        sound = container.add_stream(audio_codec, rate=48000, layout=layout) if tone else None
        when = iter(times) if times is not None else None
        time = 0.0
        for number, frame in enumerate(frames):
            if number == 0:
                video.height, video.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            time = number / rate if when is None else next(when)
            picture.pts, picture.time_base = round(time / clock), clock
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None:
            length = round((time + 1 / rate) * 48000)
            wave = np.sin(np.arange(length) * (2 * np.pi * 440 / 48000)).astype(np.float32) * 0.2
            channels = 2 if layout == "stereo" else 1
            for start in range(0, length, 1024):
                part = np.repeat(wave[None, start : start + 1024], channels, axis=0)
                piece = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                piece.sample_rate, piece.pts, piece.time_base = 48000, start, Fraction(1, 48000)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))


def _middle(name: str) -> tuple[float, float]:
    x1, y1, x2, y2 = next(iter(FACES[name].values()))
    return (x1 + x2) / 2, (y1 + y2) / 2


def _mostly_in(box: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return 0 <= x <= SIZE[0] and 0 <= y <= SIZE[1]
