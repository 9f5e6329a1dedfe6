"""One thread that reads the pictures of many clients in one go; videos have threads of their own.

Requests put their pictures into a queue that is bounded; the thread takes what has gathered while it was busy,
`Limits.max_batch` at most. So a lone picture never waits for others, and under load none is read alone.
Pictures are decoded by other threads, a few ahead of the reader, so that memory stays bounded too.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.image import read_image
from mien.labels import EXPRESSIONS
from mien.prior import Prior
from mien.recognize import Recognizer
from mien.result import Faces
from mien.serve.limits import Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import ProblemError, busy, renamed

_C = TypeVar("_C")
_T = TypeVar("_T")

log = logging.getLogger("mien.serve")

_DECODERS = 2
# The mean of the seconds that a picture took is taken over about so many of the last.
_MEMORY = 20
_STOPPING = "the service is being stopped: ask again when it is back"


def load_recognizer(
    model: str,
    *,
    max_faces: int,
    max_pixels: int,
    detector_size: int = 640,
    threads: int | None = None,
    prior: Prior | None = None,
) -> Recognizer:
    """A recogniser that reads no more than `max_faces` of a picture, the surest, and none above `max_pixels`.

    Raises:
        ModelError: there is no such model, or it is damaged.
        ConfigError: a number is out of range, or the model knows other expressions than the seven.
    """
    recognizer = Recognizer(
        model,
        detector_size=detector_size,
        max_faces=max_faces,
        max_pixels=max_pixels,
        threads=threads,
        prior=prior,
    )
    if recognizer.classes != EXPRESSIONS:
        known = ", ".join(recognizer.classes)
        raise ConfigError(f"model {recognizer.model}: knows {known}; the service needs the seven expressions")
    return recognizer


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it came.

    Attributes:
        content: the bytes of the file.
        source: its name, for the record only; nothing is opened or written by it.
    """

    content: bytes
    source: str


class Engine:
    """Reads pictures, and runs other work on the recogniser, one thing at a time."""

    def __init__(self, recognizer: Recognizer, limits: Limits, metrics: Metrics) -> None:
        """Starts the thread."""
        self.recognizer = recognizer
        self._limits = limits
        self._metrics = metrics
        self._admitted = 0
        self._seconds = 0.05  # that a picture takes, a mean of the last
        self._stopping = self._closed = False
        self._ready: deque[_Waiting[NDArray[np.uint8], Faces]] = deque()
        self._calls: deque[_Waiting[Callable[[], Any], Any]] = deque()
        self._wake = threading.Condition()
        self._decoders = ThreadPoolExecutor(_DECODERS, "mien-decode")
        # As many as are decoded at once: a batch being read, and those that will be the next.
        self._decoded = asyncio.Semaphore(limits.max_batch + _DECODERS)
        self._thread = threading.Thread(target=self._work, name="mien-read", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether pictures are taken and read."""
        return not self._stopping and self._thread.is_alive()

    def refuse_new(self) -> None:
        """Takes no new work; what was taken is finished."""
        self._stopping = True

    def close(self) -> None:
        """Ends the threads, once the work that was taken is done."""
        self._stopping = True
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=30)
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def check_ready(self) -> None:
        """Refuses what cannot be done any more.

        Raises:
            ProblemError: the service is being stopped.
        """
        if not self.ready:
            raise ProblemError("stopping", _STOPPING, headers={"Retry-After": "5"})

    def check_room(self, count: int = 1) -> None:
        """Refuses early what `read` would refuse, before a body is read.

        Raises:
            ProblemError: the queue is full, or the service is being stopped.
        """
        self.check_ready()
        if self._admitted + count > self._limits.max_queue:
            self._metrics.refused.labels("queue").inc()
            wait = self._admitted * self._seconds
            raise busy(f"{self._admitted} pictures are waiting: try again in {max(1, round(wait))} s", wait)

    async def read(self, uploads: list[Upload]) -> list[Faces]:
        """Reads pictures, in the order given; one that cannot be read has `error` set.

        Raises:
            ProblemError: the queue has no room for them, or the service is being stopped.
        """
        if not uploads:
            return []
        with self.room(len(uploads)):
            # Not a TaskGroup: given up, it would keep the uploads until the next collection.
            tasks = [asyncio.ensure_future(self._read_one(upload)) for upload in uploads]
            for task in tasks:  # one error is told, and the others are not worth a line in the log
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            return [task.result() for task in tasks]

    @contextmanager
    def room(self, count: int) -> Iterator[None]:
        """A place in the queue for work like that on so many pictures, until the block ends.

        Raises:
            ProblemError: there is none, or the service is being stopped.
        """
        self.check_room(count)
        self._admitted += count
        self._metrics.queue.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= count
            self._metrics.queue.set(self._admitted)

    async def call(self, work: Callable[[], _T]) -> _T:
        """Runs work that uses the recogniser, between two batches of pictures."""
        self.check_ready()
        return await _result(self._queued(self._calls, work))

    async def decode(self, content: bytes) -> NDArray[np.uint8]:
        """Decodes a picture in a thread of its own.

        Raises:
            ImageError: it cannot be read.
        """
        return await self.aside(lambda: read_image(content, max_pixels=self._limits.max_pixels))

    async def aside(self, work: Callable[[], _T]) -> _T:
        """Runs work that does not use the recogniser in one of the threads that decode."""
        return await _result(self._submitted(work))

    async def _read_one(self, upload: Upload) -> Faces:
        async with self._decoded:
            try:
                faces = await _result(self._queued(self._ready, await self.decode(upload.content)))
            except ImageError as error:
                self._metrics.pictures.labels("unreadable").inc()
                return Faces(upload.source, None, None, error=renamed(str(error), upload.source))
        self._metrics.pictures.labels("read").inc()
        self._metrics.faces.inc(len(faces))
        return replace(faces, source=upload.source, _origin=None)

    # Both are functions of their own since an error's traceback holds the frames that it went through: with the
    # future in one of them, a picture would stay until the next collection.

    def _submitted(self, work: Callable[[], _T]) -> Future[_T]:
        held = [work]
        future = self._decoders.submit(lambda: held[0]())
        # The pool itself keeps what is cancelled until its turn comes.
        future.add_done_callback(lambda _: held.clear())
        return future

    def _queued(self, queue: "deque[_Waiting[_C, _T]]", content: _C) -> Future[_T]:
        waiting: _Waiting[_C, _T] = _Waiting(content)
        with self._wake:
            queue.append(waiting)
            self._wake.notify()
        return waiting.future

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._ready or self._calls or self._closed)
                if not (self._ready or self._calls):
                    return
                calls, self._calls = self._calls, deque()
                count = min(len(self._ready), self._limits.max_batch)
                taken = [self._ready.popleft() for _ in range(count)]
            while calls:
                _run(calls.popleft())
            # Clients that went away meanwhile are passed over.
            batch = [one for one in taken if one.future.set_running_or_notify_cancel()]
            if batch:
                self._read_batch(batch)
            # Nothing is kept until the next picture comes.
            del calls, taken, batch

    def _read_batch(self, batch: "list[_Waiting[NDArray[np.uint8], Faces]]") -> None:
        start = time.perf_counter()
        try:
            results = list(self.recognizer.predict_many([one.content for one in batch], batch_size=64))
        except Exception as error:
            log.exception("a batch of %d pictures failed", len(batch))
            for one in batch:
                one.future.set_exception(error)
            return
        seconds = (time.perf_counter() - start) / len(batch)
        self._seconds += (seconds - self._seconds) * min(1.0, len(batch) / _MEMORY)
        self._metrics.batch.observe(len(batch))
        for one, faces in zip(batch, results, strict=True):
            one.future.set_result(faces)


class _Waiting(Generic[_C, _T]):
    """Something to be worked on, which is let go once that is done, or once nobody waits for it any more."""

    def __init__(self, content: _C) -> None:
        self.future: Future[_T] = Future()
        held = self._held = [content]
        self.future.add_done_callback(lambda _: held.clear())

    @property
    def content(self) -> _C:
        return self._held[0]


def _run(call: _Waiting[Callable[[], Any], Any]) -> None:
    if not call.future.set_running_or_notify_cancel():
        return
    try:
        call.future.set_result(call.content())
    except BaseException as error:
        call.future.set_exception(error)
        del call  # as in Engine


async def _result(future: Future[_T]) -> _T:
    """The result of work in a thread. Who gives up is let go at once if it is not begun, else when it has ended.

    So whatever is counted as taken until then is counted for as long as it is.
    """
    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiting])
    except asyncio.CancelledError:
        if not future.cancel():
            await asyncio.wait([waiting])
            waiting.cancelled() or waiting.exception()  # nobody asks for it any more
        raise
    try:
        return waiting.result()
    finally:
        del waiting, future  # as in Engine
