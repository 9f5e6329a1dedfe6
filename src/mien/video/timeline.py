"""What a video's summary is made of: each track's expressions over time, in memory that does not grow.

    timeline = Timeline(rate=30)
    timeline.add(frame)         # each frame of a video, with its pixels
    timeline.end()
    for line in timeline.lines: ...

A track's curve has at most 400 steps; when it gets longer, two steps become one. So a short track keeps every
frame, and one of an hour shows means, and the range of the raw readings, of some seconds.
"""

import io
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.labels import EXPRESSIONS
from mien.video.follow import TrackedFace, VideoFrame
from mien.video.track import PATIENCE

STEPS: Final = 400
"""Steps of a track's curve, at most."""

# Tracks that are kept; beyond that the shortest are only counted.
_TRACKS: Final = 100
# Changes of expression that are kept of a track, the longest; one counts when it has lasted so many seconds.
_CHANGES: Final = 24
_LASTING: Final = 0.3
# Side of the small pictures in pixels, and of what they show in sides of the face's box.
_THUMBNAIL: Final = 96
_AROUND: Final = 1.35
_QUALITY: Final = 80


@dataclass(slots=True)
class Change:
    """A time from which a track's smoothed expression is another one.

    Attributes:
        time: in seconds.
        expression: from then on.
        thumbnail: the face when the expression had lasted a moment, JPEG; None when there were no pixels.
        lasted: seconds, so far.
    """

    time: float
    expression: str
    thumbnail: bytes | None
    lasted: float = 0.0


@dataclass(slots=True)
class Line:
    """One track.

    Attributes:
        track: its number.
        first: when it was seen first, in seconds.
        last: when it was seen last, to the end of that frame.
        frames: in which it was seen.
        seconds: for which it was seen with each expression, by the smoothed reading; EXPRESSIONS in order.
        unclear: seconds for which more than half of people would have said that they cannot tell.
        changes: of its expression, the first being its first expression.
    """

    track: int
    first: float
    step: float  # seconds
    last: float = 0.0
    frames: int = 0
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(EXPRESSIONS)))
    unclear: float = 0.0
    changes: list[Change] = field(default_factory=list)
    _sums: NDArray[np.float32] = field(default_factory=lambda: np.zeros((STEPS, 8), np.float32))  # and frames
    _lows: NDArray[np.float32] = field(default_factory=lambda: np.full((STEPS, 7), np.inf, np.float32))
    _highs: NDArray[np.float32] = field(default_factory=lambda: np.full((STEPS, 7), -np.inf, np.float32))
    _begun: tuple[float, str] = (0.0, "")

    @property
    def present(self) -> float:
        """Seconds for which it was seen."""
        return float(self.seconds.sum())

    def curve(self) -> tuple[NDArray[np.floating], ...]:
        """The expressions over time.

        Returns:
            Times (n,) of the steps' beginnings in seconds; and (n, 7) each, EXPRESSIONS in order: the mean of the
            smoothed probabilities, the least and the greatest raw ones. Steps without a sight are NaN.
        """
        count = int(np.flatnonzero(self._sums[:, 7])[-1]) + 1
        seen = self._sums[:count, 7:]
        empty = (seen == 0).repeat(7, axis=1)
        mean = np.divide(self._sums[:count, :7], seen, out=np.full((count, 7), np.nan), where=seen > 0)
        lows, highs = (
            np.where(empty, np.nan, edge[:count].astype(np.float64)) for edge in (self._lows, self._highs)
        )
        return self.first + np.arange(count) * self.step, mean.astype(np.float64), lows, highs

    def add(self, face: TrackedFace, begin: float, end: float) -> None:
        """Takes a frame's face, which was shown from `begin` to `end`, in seconds."""
        shown = end - begin
        self.last, self.frames = end, self.frames + 1
        self.seconds[EXPRESSIONS.index(face.smoothed_expression)] += shown
        self.unclear += shown if face.smoothed_unclear > 0.5 else 0.0
        self.changes[-1].lasted += shown
        # Borders of frames and of steps seldom fall together, and half a hundredth of a step is not shown.
        while (stop := math.ceil((end - self.first) / self.step - 0.01)) > STEPS:
            self._halve()
        start = math.floor((begin - self.first) / self.step + 0.01)
        steps = slice(start, max(stop, start + 1))
        raw = np.fromiter(face.probabilities.values(), np.float32, 7)
        self._sums[steps, :7] += np.fromiter(face.smoothed.values(), np.float32, 7)
        self._sums[steps, 7] += 1
        np.minimum(self._lows[steps], raw, out=self._lows[steps])
        np.maximum(self._highs[steps], raw, out=self._highs[steps])

    def note_change(self, face: TrackedFace, frame: VideoFrame) -> None:
        """Keeps a picture of the face when its expression is another one and has lasted a moment."""
        now = face.smoothed_expression
        if self._begun[1] != now:
            self._begun = frame.time, now
        lasting = frame.time - self._begun[0] >= _LASTING
        if self.changes and (self.changes[-1].expression == now or not lasting):
            return
        thumbnail = None if frame.image is None else _thumbnail(frame.image, face.box)
        self.changes.append(Change(self._begun[0], now, thumbnail))
        if len(self.changes) > _CHANGES:
            shortest = min(self.changes[1:-1], key=lambda change: change.lasted)
            self.changes.remove(shortest)

    def _halve(self) -> None:
        """Makes two steps one."""
        half = STEPS // 2
        for values, merge, nothing in (
            (self._sums, np.add, 0),
            (self._lows, np.minimum, np.inf),
            (self._highs, np.maximum, -np.inf),
        ):
            values[:half] = merge(values[::2], values[1::2])
            values[half:] = nothing
        self.step *= 2


class Timeline:
    """The tracks of one video.

    Attributes:
        frames: how many there were.
        cuts: how many there were.
        size: width and height of the first frame.
        end_time: when the last frame's time was over, in seconds.
        dropped: how many tracks are counted here only: there were too many, and these the shortest.
    """

    def __init__(self, rate: float | None = None) -> None:
        """Begins before the first frame.

        Args:
            rate: frames a second; None when it is not known.
        """
        self.frames = 0
        self.cuts = 0
        self.size = (0, 0)
        self.end_time = 0.0
        self.dropped = 0
        self._usual = self._frame = 1 / (rate or 30)
        self._lines: dict[int, Line] = {}
        self._shown: VideoFrame | None = None

    @property
    def lines(self) -> list[Line]:
        """The tracks, in the order in which they appeared."""
        return sorted(self._lines.values(), key=lambda line: line.track)

    def add(self, frame: VideoFrame) -> None:
        """Takes the next frame."""
        self._show_until(frame.time)
        self._shown = frame
        if not self.frames:
            self.size = (frame.width or 0, frame.height or 0)
        self.frames += 1
        self.cuts += frame.cut
        for face in frame:
            if face.track not in self._lines:
                self._lines[face.track] = Line(face.track, frame.time, self._usual)
            self._lines[face.track].note_change(face, frame)
        if len(self._lines) > _TRACKS:
            # Only of those that are over: a face that was missed for a moment comes back as the same track.
            lines = self._lines.values()
            self._drop([line for line in lines if frame.time - max(line.first, line.last) > PATIENCE])

    def end(self) -> None:
        """Ends the last frame, which is shown as long as the one before it."""
        if self._shown is not None:
            self._show_until(self._shown.time + self._frame)
            self._shown = None
        while len(self._lines) > _TRACKS:
            self._drop([*self._lines.values()])

    def _show_until(self, time: float) -> None:
        """Counts the time for which the last frame was shown."""
        if self._shown is None:
            return
        begin, self._frame, self.end_time = self._shown.time, time - self._shown.time, time
        for face in self._shown:
            if (line := self._lines.get(face.track)) is not None:
                line.add(face, begin, time)

    def _drop(self, lines: list[Line]) -> None:
        """Forgets the shortest of these."""
        if lines:
            del self._lines[min(lines, key=lambda line: line.present).track]
            self.dropped += 1


def _thumbnail(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> bytes:
    """A small square picture of a face, JPEG."""
    x1, y1, x2, y2 = box
    half = max(x2 - x1, y2 - y1) * _AROUND / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    height, width = image.shape[:2]
    # Shifted into the picture where it would reach beyond, so that it stays a square.
    half = min(half, width / 2, height / 2)
    x, y = min(max(x, half), width - half), min(max(y, half), height - half)
    part = image[round(y - half) : round(y + half), round(x - half) : round(x + half)]
    stream = io.BytesIO()
    square = Image.fromarray(part).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BICUBIC)
    square.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
