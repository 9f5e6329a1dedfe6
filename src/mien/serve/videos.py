"""POST /v1/video: a video in, a line of JSON for each frame out, as they are read."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mien.errors import ConfigError, ImageError, VideoError
from mien.serve.bodies import described
from mien.serve.engine import Engine
from mien.serve.limits import FRAMES_A_SECOND, Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import UPLOAD, ProblemError, documented, renamed
from mien.video.follow import SEARCH_EVERY, SMOOTHING

if TYPE_CHECKING:
    from mien.video.reader import VideoReader

_T = TypeVar("_T")

LINES = "application/x-ndjson"
_CHUNK_SECONDS = 0.1  # lines are sent together that came within so long

router = APIRouter(prefix="/v1")


@router.post(
    "/video",
    tags=["videos"],
    openapi_extra=described("A video as it is, or a form with one", "video/*", "file"),
    responses={
        200: {
            "description": (
                "JSON lines: the record of each frame as soon as it is read (Frame). If the video turns out to be "
                "cut short or too long, the last line is a Problem"
            ),
            "content": {LINES: {"schema": {"type": "string"}}},
        },
        **documented(*UPLOAD, "invalid"),
    },
)
async def video(
    request: Request,
    smoothing: Annotated[
        float,
        Query(
            ge=0,
            le=60,
            allow_inf_nan=False,
            description="Time constant in seconds of the smoothed readings; 0 for none",
        ),
    ] = SMOOTHING,
    search_every: Annotated[
        float,
        Query(
            ge=0,
            le=60,
            allow_inf_nan=False,
            description="Seconds between two searches of the whole frame; 0 searches each",
        ),
    ] = SEARCH_EVERY,
) -> Response:
    """Follows the faces through a video and reads their expressions, frame by frame."""
    state = request.app.state
    limits: Limits = state.limits
    engine: Engine = state.engine
    state.videos.check()
    async with AsyncExitStack() as stack:
        (upload,) = await stack.enter_async_context(
            state.bodies.hold(request, limits.max_video_bytes, "a video", 1, ("video/", "image/"))
        )
        stack.enter_context(state.videos.take())  # not before: the body may be slow to come
        reading = _Video(engine, limits, state.metrics, upload.source)
        stack.push_async_callback(reading.close)
        first = await reading.open(upload.content, smoothing, search_every)
        return _Answer(reading.lines(first), stack.pop_all())
    raise AssertionError  # an ExitStack may swallow errors, and this one does not


class _Answer(StreamingResponse):
    """Lines of JSON; what they need is let go at the end, whether or not they were read."""

    def __init__(self, lines: AsyncIterator[bytes], stack: AsyncExitStack) -> None:
        super().__init__(lines, media_type=LINES)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


class _Video:
    """A video that is being read, by a thread of its own; it waits when its client does."""

    def __init__(self, engine: Engine, limits: Limits, metrics: Metrics, source: str) -> None:
        self._engine = engine
        self._limits = limits
        self._metrics = metrics
        self._source = source
        self._thread = ThreadPoolExecutor(1, "mien-video")
        self._reader: VideoReader | None = None
        self._failure: Exception | None = None  # what is told after the lines that came before it

    async def open(self, content: bytes, smoothing: float, search_every: float) -> bytes:
        """Opens it, and reads the first lines.

        Raises:
            ProblemError: it is no video, too long, or too large, or videos are not read here.
        """

        def work() -> bytes:
            from mien.video.reader import read_video

            try:
                import_module("mien.video.clip")  # needs the extra `video`
            except ConfigError as error:
                raise ProblemError("wrong-type", f"this service reads no videos: {error}") from error
            self._reader = read_video(
                content,
                recognizer=self._engine.recognizer,
                smoothing=smoothing,
                search_every=search_every,
                max_pixels=self._limits.max_pixels,
            )
            duration = self._reader.clip.duration
            if duration is not None and duration > self._limits.max_video_seconds:
                raise self._too_long()
            return self._some()

        try:
            first = await self._run(work)
        except (VideoError, ImageError) as error:
            raise ProblemError("unreadable", self._told(error)) from error
        return first

    async def lines(self, first: bytes) -> AsyncIterator[bytes]:
        """All lines, in pieces; the last may be a problem."""
        piece, over, waited = first, False, 0.0
        while piece:
            sent = time.monotonic()
            yield piece
            if over:
                return
            waited += time.monotonic() - sent
            try:
                if not self._engine.ready:
                    raise ProblemError("stopping", "the service is being stopped: the rest was not read")
                piece = await self._run(self._some)
                if piece and waited > self._limits.transfer_seconds:
                    raise ProblemError(
                        "too-slow",
                        f"the answer was not read for {waited:.0f} s in all: the rest of the video was left",
                    )
            except (VideoError, ImageError) as error:
                piece, over = _line(ProblemError("cut-short", self._told(error)).to_dict()), True
            except ProblemError as problem:
                piece, over = _line(problem.to_dict()), True

    async def close(self) -> None:
        """Stops reading."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _some(self) -> bytes:
        """The lines of the next tenth of a second; an error after some lines comes at the next call."""
        if self._failure is not None:
            raise self._failure
        assert self._reader is not None
        lines, end = [], time.monotonic() + _CHUNK_SECONDS
        try:
            for frame in self._reader:
                if (
                    frame.time > self._limits.max_video_seconds
                    or frame.number >= self._limits.max_video_seconds * FRAMES_A_SECOND
                ):
                    raise self._too_long()
                lines.append(_line({**frame.to_dict(), "source": self._source}))
                self._metrics.frames.labels("video", "read").inc()
                if time.monotonic() > end:
                    break
        except (VideoError, ImageError, ProblemError) as error:
            if not lines:
                raise
            self._failure = error
        return b"".join(lines)

    def _too_long(self) -> ProblemError:
        most = self._limits.max_video_seconds
        return ProblemError(
            "too-large",
            f"a video may last {most:g} s here, and have {most * FRAMES_A_SECOND:,.0f} frames: cut it into pieces",
        )

    def _told(self, error: Exception) -> str:
        return renamed(str(error), self._source)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
