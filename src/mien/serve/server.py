"""Runs the service until it is stopped."""

import ctypes
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

from mien.errors import ConfigError
from mien.serve.app import Service
from mien.serve.connections import protocol

# Of glibc's malloc.h, see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LAST_PORT = 65_535
_LARGE = 128 << 10  # bytes: where glibc itself begins


def loopback(host: str) -> bool:
    """Whether only programs on this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Opens the port.

    Raises:
        ConfigError: the address is none of this computer's, or the port is taken or not allowed.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ConfigError(f"--port {port}: choose 1 to {_LAST_PORT}, or 0 for one that is free")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:  # the latter where no computer could have that name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host}: {reason}; name an address of this computer") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}, port {port}: {error.strerror}; choose another --port, 0 takes one that is free"
        ) from error
    return listener


def _worth_telling(record: logging.LogRecord) -> bool:
    # uvicorn 0.54 takes a socket that was refused with an answer of its own for one that got none.
    return not record.getMessage().startswith("ASGI callable returned without completing handshake")


class _Server(uvicorn.Server):
    """uvicorn, which tells the service first when it is to stop, and somebody when it has begun."""

    def __init__(self, config: uvicorn.Config, service: Service, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._started = started

    @property
    def interrupted(self) -> bool:
        """Whether SIGINT ended it."""
        return signal.SIGINT in self._captured_signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.engine.refuse_new()
        await super().shutdown(sockets)


def return_large_memory() -> None:
    """Makes the C library give the memory of pictures back at once, where it is glibc. Call it before any is used.

    Left to itself, it comes to keep blocks of up to 32 MiB for later, in each thread, and what is freed between
    blocks in use: a few hostile pictures, and the process stays large for good.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE)
            mallopt(_M_TRIM_THRESHOLD, _LARGE)
            mallopt(_M_ARENA_MAX, 1)


def run(service: Service, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serves on an open port until SIGINT or SIGTERM; requests in progress are finished first.

    Args:
        service: the application.
        listener: the port.
        started: called when requests are answered.

    Raises:
        KeyboardInterrupt: it was SIGINT.
    """
    log = logging.getLogger("uvicorn.error")
    log.setLevel(logging.ERROR)
    log.addFilter(_worth_telling)
    # What is wrong with forms and pictures is told to who sent them.
    for name in ("python_multipart", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    limits = service.limits
    config = uvicorn.Config(
        service,
        http=protocol(limits),
        ws="websockets-sansio",
        ws_max_size=limits.max_frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=limits.idle_seconds,
        ws_ping_timeout=limits.idle_seconds,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=limits.shutdown_seconds,
    )
    server = _Server(config, service, started)
    server.run(sockets=[listener])
    if server.interrupted:
        raise KeyboardInterrupt
