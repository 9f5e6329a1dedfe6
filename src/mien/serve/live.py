"""WS /v1/live: frames of a camera in, readings of the faces in them out; the newest frame wins.

The client sends pictures (JPEG is best), one a binary message. For each frame that is read it gets one text
message, the JSON record of the frame (mien.VideoFrame), with two members more: `received`, the number of the
message that the frame came in, from 0, and `dropped`, how many before it were passed over because newer ones had
come. A frame that cannot be read is answered with a problem (mien.serve.problems) and the same two. Nothing is
kept of a frame but where its faces were and what they looked like a moment ago.
"""

import asyncio
import contextlib
import time
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from mien.errors import ImageError
from mien.serve.engine import Engine
from mien.serve.limits import Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import ProblemError, renamed
from mien.serve.shield import deny
from mien.video.follow import SMOOTHING, FaceTracker

PROTOCOL = "mien.live.v1"
_LONGEST_SMOOTHING = 10.0

router = APIRouter(prefix="/v1")


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Follows the faces of one camera for as long as frames come."""
    state = socket.app.state
    limits: Limits = state.limits
    metrics: Metrics = state.metrics
    try:
        smoothing = _smoothing(socket.query_params.get("smoothing"))
        state.cameras.check()
    except ProblemError as problem:
        await deny(problem, socket.scope, socket.receive, socket.send)
        return
    with state.cameras.take(), metrics.sockets.track_inprogress():
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        camera = _Camera(socket, state.engine, limits, metrics, smoothing)
        await camera.run()


@router.get("/live", include_in_schema=False)
async def explain_refusal(request: Request) -> Response:
    """Says why a socket would be refused now, which browsers do not tell a page."""
    request.app.state.cameras.check()
    raise ProblemError("no-socket", "open a WebSocket here, see /docs#live", headers={"Upgrade": "websocket"})


def _smoothing(text: str | None) -> float:
    try:
        value = SMOOTHING if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LONGEST_SMOOTHING:
        raise ProblemError("invalid", f"smoothing {text!r}: choose 0 to {_LONGEST_SMOOTHING:g} seconds")
    return value


class _Camera:
    """One connected camera: a slot that holds its newest frame, and a loop that reads from it."""

    def __init__(
        self, socket: WebSocket, engine: Engine, limits: Limits, metrics: Metrics, smoothing: float
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._limits = limits
        self._metrics = metrics
        self._tracker = FaceTracker(engine.recognizer, smoothing=smoothing)
        self._start = time.monotonic()
        self._newest: tuple[int, float, bytes] | None = None
        self._came = asyncio.Event()
        self._received = 0

    async def run(self) -> None:
        """Until the client goes away, sends nothing for too long, or breaks the rules."""
        reader = asyncio.ensure_future(self._receive())
        answers = asyncio.ensure_future(self._answer())
        for task in (reader, answers):  # whichever error comes second is not worth a line in the log
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.wait({reader, answers}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reader, answers):
                if task.done():
                    task.result()
        except (WebSocketDisconnect, TimeoutError):
            pass  # it went away, or does not read what it asked for
        except _BrokenRuleError as error:
            await self._close(error.code, str(error))
        finally:
            for task in (reader, answers):
                task.cancel()
            # Not gather(): cancelled meanwhile, it would pass on the tasks' cancellation in place of our own.
            await asyncio.wait({reader, answers})
        await self._close(1000, "")

    async def _receive(self) -> None:
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive(), self._limits.idle_seconds)
            except TimeoutError:
                raise _BrokenRuleError(1001, "no frame came for too long") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            frame = message.get("bytes")
            if frame is None:
                raise _BrokenRuleError(1003, "send pictures as binary messages")
            if len(frame) > self._limits.max_frame_bytes:
                raise _BrokenRuleError(1009, f"a frame may have {self._limits.max_frame_bytes} bytes")
            if self._newest is not None:
                self._metrics.frames.labels("camera", "dropped").inc()
            self._newest = self._received, time.monotonic() - self._start, frame
            self._received += 1
            self._came.set()

    async def _answer(self) -> None:
        answered = -1
        while True:
            await self._came.wait()
            self._came.clear()
            assert self._newest is not None
            (number, taken, frame), self._newest = self._newest, None
            answer = await self._read(frame, taken)
            more = {"received": number, "dropped": number - answered - 1}
            answered = number
            await asyncio.wait_for(self._socket.send_json({**answer, **more}), self._limits.idle_seconds)

    async def _read(self, frame: bytes, taken: float) -> dict[str, Any]:
        try:
            pixels = await self._engine.decode(frame)
            read = await self._engine.call(lambda: self._tracker.update(pixels, taken))
        except ImageError as error:
            self._metrics.frames.labels("camera", "unreadable").inc()
            return ProblemError("unreadable", renamed(str(error), "<frame>")).to_dict()
        except ProblemError as problem:
            return problem.to_dict()
        self._metrics.frames.labels("camera", "read").inc()
        return read.to_dict()

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                await asyncio.wait_for(self._socket.close(code, reason), self._limits.idle_seconds)


class _BrokenRuleError(Exception):
    """A socket that must be closed, with the code to close it with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
