"""Faces in a moving picture, for videos and for live cameras alike: found, followed, read, and calmed.

    tracker = FaceTracker(recognizer)
    frame = tracker.update(image, time)     # image: RGB uint8 (height, width, 3); time in seconds, rising
    for face in frame:
        face.track, face.smoothed_expression, face.smoothed

A whole frame is searched every second, after a cut, and when a known face is lost; in between, each known face is
looked for near where it was, which is a tenth of the work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

import numpy as np
from numpy.typing import NDArray

from mien.align import align_faces, crop_sides
from mien.detect import OVERLAP, Detections, nms
from mien.errors import ConfigError, ImageError
from mien.labels import CROWD, EXPRESSIONS
from mien.recognize import Recognizer
from mien.result import COLUMNS, Face, Faces
from mien.video.cuts import CutFinder
from mien.video.track import Smoother, Tracks

if TYPE_CHECKING:
    from PIL import Image

    from mien.image import ImageSource

SMOOTHING: Final = 0.3
"""The usual time constant of smoothing, in seconds."""

SEARCH_EVERY: Final = 1.0
"""The usual time between two searches of the whole frame, in seconds."""

# While somebody is missing, or nobody is there, the whole frame is searched so many times as often.
_HASTE = 4
# With more known faces than this, searching the whole frame is less work than searching near each.
_MANY = 8

VIDEO_COLUMNS: Final = (
    *(
        "source",
        "frame",
        "time",
        "cut",
        "width",
        "height",
        "track",
        "x1",
        "y1",
        "x2",
        "y2",
        "detection_score",
    ),
    *("expression", "probability", "unclear"),
    *("smoothed_expression", "smoothed_probability", "smoothed_unclear"),
    *(f"probability_{name}" for name in EXPRESSIONS),
    *(f"smoothed_{name}" for name in EXPRESSIONS),
    *(name for name in COLUMNS if name.startswith("crowd_")),
    *(name for name in COLUMNS if name.endswith(("_x", "_y"))),
)
"""The columns of VideoFrame.rows(), and so of CSV and Parquet tables of videos, in their order."""


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class TrackedFace(Face):
    """A face of one frame that is known from the frames before.

    Attributes:
        track: the number of the face in its video, from 1; the same in all frames of a scene.
        smoothed: `probabilities`, calmed over time (see mien.video.track.Smoother); their sum is 1.
        smoothed_unclear: `unclear`, calmed likewise.
    """

    track: int
    smoothed: dict[str, float]
    smoothed_unclear: float

    @property
    def smoothed_expression(self) -> str:
        """The most probable of the seven expressions after smoothing."""
        return max(self.smoothed, key=self.smoothed.__getitem__)

    @property
    def smoothed_probability(self) -> float:
        """The smoothed probability of `smoothed_expression`."""
        return self.smoothed[self.smoothed_expression]

    def to_dict(self) -> dict[str, Any]:
        """As Face.to_dict, with `track` before it and the smoothed readings after it, rounded to 4 decimals."""
        return {
            "track": self.track,
            **Face.to_dict(self),
            "smoothed_expression": self.smoothed_expression,
            "smoothed_probability": round(self.smoothed_probability, 4),
            "smoothed_unclear": round(self.smoothed_unclear, 4),
            "smoothed": {name: round(value, 4) for name, value in self.smoothed.items()},
        }


@dataclass(frozen=True, repr=False, kw_only=True)
class VideoFrame(Faces):
    """The faces of one frame of a video: a sequence of TrackedFace, empty when nobody is there.

    Attributes:
        number: the frame's, from 0, of those that could be read.
        time: when it is shown, in seconds from the video's beginning.
        cut: whether a new scene begins with it, which ends all tracks.
        image: its pixels, upright, RGB uint8 (height, width, 3), if they were asked for.
    """

    faces: tuple[TrackedFace, ...] = ()
    number: int
    time: float
    cut: bool = False
    image: NDArray[np.uint8] | None = field(default=None, compare=False)

    columns: ClassVar[tuple[str, ...]] = VIDEO_COLUMNS

    @overload
    def __getitem__(self, index: int) -> TrackedFace: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TrackedFace, ...]: ...
    def __getitem__(self, index: int | slice) -> TrackedFace | tuple[TrackedFace, ...]:
        return self.faces[index]

    def __iter__(self) -> Iterator[TrackedFace]:
        return iter(self.faces)

    def to_dict(self) -> dict[str, Any]:
        """The frame's JSON record: source, frame, time (6 decimals), cut, width, height, faces."""
        return {
            "source": self.source,
            "frame": self.number,
            "time": round(self.time, 6),
            "cut": self.cut,
            "width": self.width,
            "height": self.height,
            "faces": [face.to_dict() for face in self.faces],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict a face, with the keys VIDEO_COLUMNS, rounded as the JSON record."""
        rows = []
        for face, row in zip(self.faces, Faces.rows(self), strict=True):
            record = face.to_dict()
            row |= {name: record[name] for name in VIDEO_COLUMNS if name in record}
            row |= {f"smoothed_{name}": value for name, value in record["smoothed"].items()}
            row |= {"frame": self.number, "time": round(self.time, 6), "cut": self.cut}
            rows.append({name: row[name] for name in VIDEO_COLUMNS})
        return rows

    def draw(self, image: "ImageSource | None" = None) -> "Image.Image":
        """The frame in RGB with the faces, their tracks and their smoothed expressions drawn on it.

        Args:
            image: the frame again, upright; None draws on the pixels that were kept.

        Raises:
            ImageError: the pixels were not kept and must be given, or have another size.
        """
        from mien.image import DEFAULT_MAX_PIXELS, read_image
        from mien.video.overlay import draw_frame

        given = self.image if image is None else image
        if given is None:
            raise ImageError(
                f"{self.source}: its pixels were not kept: read it with pixels=True, or give them, draw(image)"
            )
        pixels = read_image(given, max_pixels=max(DEFAULT_MAX_PIXELS, (self.width or 0) * (self.height or 0)))
        if pixels.shape[:2] != (self.height, self.width):
            raise ImageError(f"{self.source}: the picture given is not of the frame's size")
        return draw_frame(pixels, self.faces)


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame whose faces are found, and not yet read.

    Attributes:
        number: the frame's.
        time: in seconds.
        cut: whether a new scene begins with it.
        found: the faces.
        tracks: the id of each face.
        image: the frame's pixels.
        keep: whether they are wanted in the result.
    """

    number: int
    time: float
    cut: bool
    found: Detections
    tracks: list[int]
    image: NDArray[np.uint8]
    keep: bool


class FaceTracker:
    """Finds the faces of one video or one camera, follows them, and reads their expressions.

    One tracker belongs to one video or camera and to one thread at a time; the recogniser may be shared by many.
    """

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        *,
        smoothing: float = SMOOTHING,
        search_every: float = SEARCH_EVERY,
        source: str = "<camera>",
    ) -> None:
        """Begins before the first frame.

        Args:
            recognizer: what finds and reads faces; None makes one with default models. It needs a detector.
            smoothing: time constant in seconds of the smoothed readings; 0 leaves them as they are.
            search_every: seconds between two searches of the whole frame; 0 searches each frame whole.
            source: the name of the video or camera, for records.

        Raises:
            ConfigError: a number is out of range, the recogniser has no detector, or its model knows other
                expressions than the seven.
        """
        if not 0 <= smoothing <= 60:
            raise ConfigError(f"smoothing {smoothing}: choose 0 to 60 seconds")
        if not 0 <= search_every <= 60:
            raise ConfigError(f"search_every {search_every}: choose 0 to 60 seconds")
        recognizer = Recognizer() if recognizer is None else recognizer
        if recognizer.detector is None:
            raise ConfigError("detector none: videos and cameras need one, choose centerface")
        if recognizer.classes != EXPRESSIONS:
            known = ", ".join(recognizer.classes)
            raise ConfigError(f"model {recognizer.model}: knows {known}; videos need the seven expressions")
        self._detector = recognizer.detector
        self._classifier = recognizer.classifier
        self._search_every = search_every
        self._source = source
        self._cuts = CutFinder()
        self._tracks = Tracks()
        self._smoother = Smoother(smoothing)
        self._count = 0
        self._searched = -np.inf
        self._last = -np.inf

    def update(self, image: NDArray[np.uint8], time: float, *, pixels: bool = False) -> VideoFrame:
        """Takes the next frame.

        Args:
            image: RGB uint8 (height, width, 3), upright. The size may change between frames.
            time: when it was taken, in seconds from any beginning, later than the frame before.
            pixels: whether the result keeps `image`, which draw() needs.

        Returns:
            Its faces, each with its track and its smoothed readings, those in sight for longest first.

        Raises:
            ImageError: the array has another shape or type, or the time does not rise.
        """
        return self.read([self.find(image, time, pixels=pixels)])[0]

    def find(self, image: NDArray[np.uint8], time: float, *, pixels: bool = False) -> Seen:
        """The first half of `update`: finds the faces of the next frame, without reading them.

        `find` and `read` may run in two threads, so that one frame is searched while another is read.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ImageError(f"frame: {image.dtype} {image.shape}, must be RGB uint8 (height, width, 3)")
        if not time > self._last:
            raise ImageError(f"frame at {time} s: must be later than the one before, at {self._last} s")
        self._last = time
        cut = self._cuts.update(image)
        if cut:
            self._tracks.end()
        found = self._find(image, time, cut)
        ids = self._tracks.update(found.boxes, time)
        order = np.argsort(ids)
        found = Detections(found.boxes[order], found.scores[order], found.landmarks[order])
        number, self._count = self._count, self._count + 1
        return Seen(number, time, cut, found, sorted(ids), image, pixels)

    def read(self, frames: Sequence[Seen]) -> list[VideoFrame]:
        """The second half of `update`, for one or several frames in their order: cuts out and reads."""
        if not frames:
            return []
        size = self._classifier.size
        crops = [align_faces(one.image, one.found.boxes, one.found.landmarks, size=size) for one in frames]
        readings = self._classifier.classify(
            np.concatenate(crops),
            sides=np.concatenate([crop_sides(frame.found.boxes) for frame in frames]),
        )
        results, first = [], 0
        for frame in frames:
            rows = slice(first, first + len(frame.tracks))
            first = rows.stop
            crowd = readings.crowd[rows]
            unclear = crowd[:, [CROWD.index("unknown"), CROWD.index("not_a_face")]].sum(axis=1, keepdims=True)
            raw = readings.probabilities[rows]
            calm = self._smoother.update(frame.tracks, np.hstack([raw, unclear]), frame.time)
            faces = tuple(
                TrackedFace(
                    box=_floats(frame.found.boxes[row]),
                    landmarks=tuple(_floats(point) for point in frame.found.landmarks[row]),
                    detection_score=float(frame.found.scores[row]),
                    probabilities=dict(zip(EXPRESSIONS, _floats(raw[row]), strict=True)),
                    crowd=dict(zip(CROWD, _floats(crowd[row]), strict=True)),
                    fer2013=dict(zip(EXPRESSIONS, _floats(readings.fer2013[rows][row]), strict=True)),
                    track=id,
                    smoothed=dict(zip(EXPRESSIONS, _floats(calm[row, :-1]), strict=True)),
                    smoothed_unclear=float(calm[row, -1]),
                )
                for row, id in enumerate(frame.tracks)
            )
            height, width = frame.image.shape[:2]
            results.append(
                VideoFrame(
                    self._source,
                    width,
                    height,
                    faces=faces,
                    number=frame.number,
                    time=frame.time,
                    cut=frame.cut,
                    image=frame.image if frame.keep else None,
                )
            )
        return results

    def _find(self, image: NDArray[np.uint8], time: float, cut: bool) -> Detections:
        """The faces of a frame, by the least work that finds them."""
        expected = self._tracks.expected(time)
        since = time - self._searched
        hasty = self._tracks.missing or not len(expected)
        due = since >= (self._search_every / _HASTE if hasty else self._search_every)
        if cut or due or len(expected) > _MANY:
            return self._search(image, time)
        near = self._detector.detect_near(image, expected)
        found = Detections(
            np.concatenate([np.empty((0, 4), np.float32), *(one.boxes for one in near)]),
            np.concatenate([np.empty(0, np.float32), *(one.scores for one in near)]),
            np.concatenate([np.empty((0, 5, 2), np.float32), *(one.landmarks for one in near)]),
        )
        # Two known faces may both have been looked for, and found, at the same place.
        kept = nms(found.boxes, found.scores, OVERLAP)
        if len(kept) < len(expected) and not self._tracks.missing:
            return self._search(image, time)  # lost just now: it may have jumped
        return Detections(found.boxes[kept], found.scores[kept], found.landmarks[kept])

    def _search(self, image: NDArray[np.uint8], time: float) -> Detections:
        self._searched = time
        return self._detector.detect(image)


def _floats(values: NDArray[np.floating]) -> Any:
    return tuple(float(value) for value in values)
