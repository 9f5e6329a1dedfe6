"""Network connections: how many there may be, and how long one may keep us waiting.

uvicorn closes a connection on which nothing comes between two requests. This closes those, too, on which a request
is begun and not ended, and those that do not read their answer, or read it too slowly.
"""

import asyncio
import socket
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.serve.limits import Limits
from mien.serve.problems import MEDIA_TYPE, ProblemError


def protocol(limits: Limits) -> type[H11Protocol]:
    """The protocol of uvicorn for HTTP, within these limits."""
    return type("BoundedProtocol", (_BoundedProtocol,), {"limits": limits})


class _BoundedProtocol(H11Protocol):
    limits: ClassVar[Limits]

    _silent: asyncio.TimerHandle | None = None  # runs while it is not known what the client wants
    _deaf: asyncio.TimerHandle | None = None  # runs while there is too much that the client has not read
    _since: tuple[float, int] = (0.0, 0)  # when it was looked at last, and how many bytes waited then
    _debt: float = 0.0  # seconds that the client was slower than it may be

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            # For what is left to send when a connection is closed, and for sockets: the kernel gives up.
            milliseconds = round(self.limits.idle_seconds * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._silent = self._timer()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._silent)
        _cancel(self._deaf)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Called when bytes have come. A request that is known is watched by `mien.serve.shield`."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._silent)
            self._silent = None
        elif self._silent is None:  # the beginning of a next request, or what is left of one that was refused
            self._silent = self._timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        _cancel(self._silent)
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        _cancel(self._deaf)
        self._since = self.loop.time(), self.transport.get_write_buffer_size()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._deaf)
        self._charge()

    def send_400_response(self, msg: str) -> None:
        problem = ProblemError("bad-request", "this is no HTTP request that can be understood").response()
        headers: list[tuple[Any, Any]] = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(problem.body)).encode()),
            (b"connection", b"close"),
        ]
        events: list[h11.Event] = [
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(problem.body)),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_reader(self) -> None:
        self._deaf = self.loop.call_later(max(0.0, self.limits.idle_seconds - self._debt), self._still_deaf)

    def _still_deaf(self) -> None:
        self._charge()
        if self._debt >= self.limits.idle_seconds:
            self.transport.abort()
        else:  # it has read something meanwhile
            self._wait_for_reader()

    def _charge(self) -> None:
        """Adds the time that passed to the debt, less what the bytes that went may take."""
        time, waiting = self.loop.time(), self.transport.get_write_buffer_size()
        earned = max(0, self._since[1] - waiting) / self.limits.min_bytes_per_second
        self._debt = max(0.0, self._debt + time - self._since[0] - earned)
        self._since = time, waiting

    def _timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.limits.idle_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
