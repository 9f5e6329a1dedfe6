"""Reads the faces of a video, frame by frame.

    for frame in mien.read_video("party.mp4"):
        for face in frame:
            print(frame.time, face.track, face.smoothed_expression)

Two threads share the work: one decodes and finds, the other cuts out and reads faces, of several frames at once.
"""

import os
import queue
import threading
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from mien.image import DEFAULT_MAX_PIXELS
from mien.recognize import Recognizer
from mien.video.follow import SEARCH_EVERY, SMOOTHING, FaceTracker, Seen, VideoFrame

if TYPE_CHECKING:
    from mien.video.clip import Clip, ClipSource

# Faces whose expressions are read at once, at most so many frames together: more would save little.
_BATCH: Final = 8
# Frames that are found ahead of the reader, at most so many bytes of them, but two in any case.
_AHEAD: Final = 16
_AHEAD_BYTES: Final = 48 << 20


def read_video(
    source: "ClipSource",
    *,
    recognizer: Recognizer | None = None,
    smoothing: float = SMOOTHING,
    search_every: float = SEARCH_EVERY,
    pixels: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> "VideoReader":
    """Reads the faces of a video.

    Args:
        source: a path, the bytes of a file, or a binary file object that can seek.
        recognizer: what finds and reads faces; None makes one with default models. One with ``threads=1`` is
            quickest on two cores, since two threads use it at once.
        smoothing: time constant in seconds of the smoothed readings; 0 leaves them as they are.
        search_every: seconds between two searches of the whole frame, which find who is new; in between, known
            faces are looked for near where they were. 0 searches each frame whole, and takes five times as long.
        pixels: whether frames keep their pixels, which VideoFrame.draw() needs.
        max_pixels: videos whose frames have more pixels are refused; see `mien.video.clip.Clip`.

    Returns:
        An iterator over the frames, in constant memory. Close it, or use it in a `with`, if you stop early.

    Raises:
        VideoError: the video is missing, no video, without pictures, or too large. While iterating, after the last
            frame that could be read: it was cut short.
        ConfigError: PyAV is not installed, a number is out of range, or the recogniser has no detector.
    """
    return VideoReader(
        source,
        recognizer=recognizer,
        smoothing=smoothing,
        search_every=search_every,
        pixels=pixels,
        max_pixels=max_pixels,
    )


def default_threads() -> int:
    """Threads for each of the two networks: they run at once, so half of the processor's cores."""
    return max(1, (os.cpu_count() or 1) // 2)


class VideoReader(Iterator[VideoFrame]):
    """The frames of a video with their faces; see `read_video`.

    Attributes:
        clip: the video: its `name`, `rate`, `duration`, `count` of frames as stated, and how many pieces were
            `damaged` so far.
    """

    def __init__(
        self,
        source: "ClipSource",
        *,
        recognizer: Recognizer | None = None,
        smoothing: float = SMOOTHING,
        search_every: float = SEARCH_EVERY,
        pixels: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """Opens a video; see `read_video`."""
        from mien.video.clip import Clip  # it needs PyAV, which may not be installed

        self.clip = Clip(source, max_pixels=max_pixels)
        try:
            self._tracker = FaceTracker(
                Recognizer(threads=default_threads()) if recognizer is None else recognizer,
                smoothing=smoothing,
                search_every=search_every,
                source=self.clip.name,
            )
        except BaseException:
            self.clip.close()
            raise
        self._pixels = pixels
        self._frames = self._read()

    def __next__(self) -> VideoFrame:
        """The next frame."""
        return next(self._frames)

    def __enter__(self) -> Self:
        """Is the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the video."""
        self.close()

    def close(self) -> None:
        """Stops reading, and closes the video."""
        self._frames.close()
        self.clip.close()

    def _read(self) -> Generator[VideoFrame, None, None]:
        """Reads the expressions of the frames that another thread finds the faces of."""
        finder = _Finder(self.clip, self._tracker, self._pixels)
        try:
            waiting: list[Seen] = []
            while True:
                item = finder.take()
                if isinstance(item, Seen):
                    waiting.append(item)
                    # Nothing waits for the sake of a full batch.
                    gathered = sum(len(one.tracks) for one in waiting)
                    held = sum(one.image.nbytes for one in waiting)
                    if finder.more and max(gathered, len(waiting)) < _BATCH and held < _AHEAD_BYTES:
                        continue
                yield from self._tracker.read(waiting)
                waiting = []
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    return
        finally:
            finder.stop()
            self.clip.close()


class _Finder:
    """A thread that decodes a video and finds its faces, a few frames ahead of whoever reads them."""

    def __init__(self, clip: "Clip", tracker: FaceTracker, pixels: bool) -> None:
        self._clip, self._tracker, self._pixels = clip, tracker, pixels
        self._found: queue.Queue[Seen | BaseException | None] = queue.Queue()
        self._changed = threading.Condition()
        self._ahead: list[int] = []  # bytes of each frame; a video may say less of its size than is true
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="mien-find", daemon=True)
        self._thread.start()

    @property
    def more(self) -> bool:
        """Whether there is something to take at once."""
        return not self._found.empty()

    def take(self) -> "Seen | BaseException | None":
        """The next frame; or what went wrong, or None, after the last one."""
        item = self._found.get()
        with self._changed:
            del self._ahead[:1]
            self._changed.notify()
        return item

    def stop(self) -> None:
        """Ends the thread, wherever it is."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _room(self, size: int) -> bool:
        """Whether a frame of so many bytes may be found now."""
        return len(self._ahead) < 2 or (len(self._ahead) < _AHEAD and sum(self._ahead) + size <= _AHEAD_BYTES)

    def _run(self) -> None:
        try:
            for time, image in self._clip:
                with self._changed:
                    while not (self._stopped or self._room(image.nbytes)):
                        self._changed.wait()
                    if self._stopped:
                        return
                    self._ahead.append(image.nbytes)
                self._found.put(self._tracker.find(image, time, pixels=self._pixels))
            self._found.put(None)
        except BaseException as error:  # told by whoever takes the frames
            self._found.put(error)
