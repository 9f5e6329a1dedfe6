"""Keeps faces apart over time: which face of this frame is which of the frames before, and calmer readings.

    tracks = Tracks()
    ids = tracks.update(boxes, time)      # one id a box; ids count from 1 and are never used twice

A face is expected where it was, moved on as it moved last. Boxes and expectations are paired nearest first, in
lengths of a face, so that it does not matter how large the picture is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PATIENCE = 1.0
"""Seconds that a face may be out of sight and still be the same track when it comes back."""

# A face's motion is the mean of its last moments, with this time constant in seconds; a face out of sight is
# thought to slow down with that one, since nobody moves on for ever.
_MOTION = 0.15
_SLOWING = 1.0
# How far from its expected place a face may be found, in lengths of a face: at once, and for each second since it
# was seen. A face does not grow or shrink more than so many times between two sights.
_REACH = 0.75
_REACH_A_SECOND = 0.75
_GROWTH = 2.0


@dataclass(slots=True)
class _Track:
    """One face over time.

    Attributes:
        id: its number.
        box: (4,), where it was seen last, in pixels.
        time: when that was, in seconds.
        motion: (2,), pixels a second of its centre.
    """

    id: int
    box: NDArray[np.float64]
    time: float
    motion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def expected(self, time: float) -> NDArray[np.float64]:
        """Where it is thought to be, (4,)."""
        moved = self.motion * _SLOWING * -math.expm1(-(time - self.time) / _SLOWING)
        return self.box + np.tile(moved, 2)

    def see(self, box: NDArray[np.float64], time: float) -> None:
        """Goes on to where it is seen now."""
        elapsed = time - self.time
        if elapsed > 0:
            motion = (_centre(box) - _centre(self.box)) / elapsed
            self.motion += (motion - self.motion) * -math.expm1(-elapsed / _MOTION)
        self.box, self.time = box, time


class Tracks:
    """The faces that are in sight or were so until lately."""

    def __init__(self) -> None:
        """Begins with none."""
        self._tracks: list[_Track] = []
        self._next = 1
        self._now = -math.inf

    def expected(self, time: float) -> NDArray[np.float32]:
        """Where the faces are thought to be at a time, in seconds: boxes (n, 4) in pixels."""
        boxes = [track.expected(time) for track in self._tracks if time - track.time <= PATIENCE]
        return np.array(boxes, np.float32).reshape(-1, 4)

    @property
    def missing(self) -> bool:
        """Whether a face that is still waited for was not in the last frame."""
        return any(track.time < self._now for track in self._tracks)

    def end(self) -> None:
        """Ends all tracks: what comes is another scene."""
        self._tracks = []

    def update(self, boxes: NDArray[np.floating], time: float) -> list[int]:
        """Takes the faces of the next frame.

        Args:
            boxes: (n, 4), `x1, y1, x2, y2` in pixels.
            time: in seconds, not before that of the last frame.

        Returns:
            The id of each face.
        """
        self._now = time
        self._tracks = [track for track in self._tracks if time - track.time <= PATIENCE]
        seen = np.asarray(boxes, np.float64).reshape(-1, 4)
        ids = [0] * len(seen)
        for index, track in self._pairs(seen, time):
            track.see(seen[index], time)
            ids[index] = track.id
        for index, id in enumerate(ids):
            if not id:
                ids[index] = self._next
                self._tracks.append(_Track(self._next, seen[index], time))
                self._next += 1
        return ids

    def _pairs(self, boxes: NDArray[np.float64], time: float) -> list[tuple[int, _Track]]:
        """Boxes with the tracks that they go on, nearest first."""
        costs = []
        for track in self._tracks:
            expected = track.expected(time)
            reach = _REACH + _REACH_A_SECOND * (time - track.time)
            for index, box in enumerate(boxes):
                growth = abs(math.log(_side(box) / _side(expected)))
                distance = float(np.hypot(*(_centre(box) - _centre(expected))))
                distance /= math.sqrt(_side(box) * _side(expected))
                if distance <= reach and growth <= math.log(_GROWTH):
                    costs.append((distance + growth, index, track))
        pairs: list[tuple[int, _Track]] = []
        taken_boxes, taken_tracks = set(), set()
        for _, index, track in sorted(costs, key=lambda cost: (cost[0], cost[1], cost[2].id)):
            if index not in taken_boxes and track.id not in taken_tracks:
                pairs.append((index, track))
                taken_boxes.add(index)
                taken_tracks.add(track.id)
        return pairs


class Smoother:
    """Readings over time made calmer, each track for itself: an exponential mean that knows no future.

    After a change the mean has gone 63 % of the way when the time constant has passed, 95 % after three of them,
    whatever the frame rate. It is a mean of distributions, and so a distribution.
    """

    def __init__(self, seconds: float) -> None:
        """Sets the time constant in seconds; 0 leaves readings as they are."""
        self._seconds = seconds
        self._state: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def update(self, ids: Sequence[int], values: NDArray[np.floating], time: float) -> NDArray[np.float64]:
        """Takes the readings (n, k) of the tracks `ids` at a time in seconds, and returns the calmer ones."""
        result = np.array(values, np.float64)
        if self._seconds == 0:
            return result
        for id, row in zip(ids, result, strict=True):
            if id in self._state:
                before, mean = self._state[id]
                row[:] = mean + (row - mean) * -math.expm1(-(time - before) / self._seconds)
            self._state[id] = time, row.copy()
        # Tracks that cannot come back are forgotten.
        self._state = {id: state for id, state in self._state.items() if time - state[0] <= PATIENCE}
        return result


def _centre(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return (box[:2] + box[2:]) / 2


def _side(box: NDArray[np.float64]) -> float:
    """The root of a box's area, at least a pixel."""
    return math.sqrt(max(1.0, float(np.prod(box[2:] - box[:2]))))
