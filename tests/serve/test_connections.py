"""Slow clients, against the real server on a real port."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mien.recognize import Recognizer
from mien.result import Faces
from mien.serve.app import Service
from mien.serve.connections import protocol
from mien.serve.limits import Limits

HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"


@contextlib.contextmanager
def serving(app, limits: Limits) -> Iterator[int]:  # type: ignore[no-untyped-def]
    """The port of a server in a thread; its send buffers are small, so that it notices who does not read."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    config = uvicorn.Config(
        app, http=protocol(limits), ws="none", log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    return client


def answer_of(client: socket.socket) -> bytes:
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


def first_answer(client: socket.socket) -> bytes:
    """An answer of JSON, on a connection that stays open."""
    received = b""
    while b"}" not in received and (chunk := client.recv(65536)):
        received += chunk
    return received


async def endless(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    """An application that answers without end."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(50_000), "more_body": True})
        await asyncio.sleep(0)  # once the client has left, `send` waits for nothing


def is_left(client: socket.socket, bytes_per_second: float, seconds: float) -> bool:
    """Whether the server breaks off while its answer is read for so many seconds, at this pace."""
    start, read = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        if read > bytes_per_second * passed:
            time.sleep(0.01)
            continue
        try:
            chunk = client.recv(4096)
        except ConnectionError:
            return True
        if not chunk:
            return True
        read += len(chunk)
    return False


@pytest.mark.parametrize(
    ("deaf_for", "bytes_per_second", "left"),
    [
        (3, 1e9, True),
        (0, 80_000, True),  # often enough never to keep the server waiting for `idle_seconds` in one go
        (0, 1_000_000, False),
    ],
    ids=["deaf", "slow", "quick"],
)
def test_who_reads_too_slowly_is_left(deaf_for: float, bytes_per_second: float, left: bool) -> None:
    limits = Limits(idle_seconds=1.0, min_bytes_per_second=200_000)
    with serving(endless, limits) as port, connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(deaf_for)
        assert is_left(client, bytes_per_second, 15 if left else 4) is left


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD.format("/v1/predict", "image/jpeg", 10**9).encode(),
    ],
)
def test_who_begins_a_request_and_does_not_end_it_is_left(first: bytes, recognizer: Recognizer) -> None:
    limits = Limits(idle_seconds=0.5)
    with serving(Service(recognizer, limits=limits), limits) as port, connect(port) as client:
        if first:
            client.sendall(first)
            assert first_answer(client).startswith((b"HTTP/1.1 200", b"HTTP/1.1 413"))
        client.sendall(b"G")
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            answer_of(client)
        assert 0.3 < time.monotonic() - start < 4


def test_who_asks_again_is_answered(recognizer: Recognizer) -> None:
    limits = Limits(idle_seconds=0.5)
    with serving(Service(recognizer, limits=limits), limits) as port, connect(port) as client:
        for _ in range(4):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert first_answer(client).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)


def test_slow_uploads_keep_nobody_out(recognizer: Recognizer, portrait: bytes, clip: Path) -> None:
    limits = Limits(max_queue=4, max_files=4)
    film = clip.read_bytes()
    with serving(Service(recognizer, limits=limits), limits) as port, contextlib.ExitStack() as stack:
        for path, kind, size in [
            *[("/v1/explain", "image/jpeg", 9999)] * 4,
            ("/v1/video", "video/mp4", 99_999),
        ]:
            slow = stack.enter_context(connect(port))
            slow.sendall(HEAD.format(path, kind, size).encode() + b"x" * 100)
        time.sleep(0.2)
        for path, kind, body in [("/v1/explain", "image/jpeg", portrait), ("/v1/video", "video/mp4", film)]:
            with connect(port) as client:
                head = HEAD.format(path, kind, len(body)).replace("Host", "Connection: close\r\nHost")
                client.sendall(head.encode() + body)
                assert answer_of(client).startswith(b"HTTP/1.1 200")


def test_an_upload_has_an_end(recognizer: Recognizer) -> None:
    limits = Limits(transfer_seconds=0.5, min_bytes_per_second=1)
    with serving(Service(recognizer, limits=limits), limits) as port, connect(port) as slow:
        slow.sendall(HEAD.format("/v1/video", "video/mp4", 99_999).encode())
        slow.settimeout(0.1)
        received = b""
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                slow.sendall(b"x" * 10)
            with contextlib.suppress(TimeoutError):
                received += slow.recv(65536)
                break
        slow.settimeout(30)
        while b"}" not in received and (chunk := slow.recv(65536)):  # the head may come before the body
            received += chunk
        assert received.startswith(b"HTTP/1.1 408")
        assert b"an upload may take 0.5 s" in received


def test_who_leaves_before_the_answer_is_not_worked_for(recognizer: Recognizer, portrait: bytes) -> None:
    limits = Limits()
    service = Service(recognizer, limits=limits)
    gate, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        gate.wait(60)

    with serving(service, limits) as port:
        holder = threading.Thread(target=lambda: asyncio.run(service.engine.call(wait)))
        holder.start()
        assert began.wait(60)
        with connect(port) as leaving:
            leaving.sendall(HEAD.format("/v1/explain", "image/jpeg", len(portrait)).encode() + portrait)
            deadline = time.monotonic() + 30
            while not service.engine._admitted and time.monotonic() < deadline:
                time.sleep(0.02)
            assert service.engine._admitted
        while service.engine._admitted and time.monotonic() < deadline:
            time.sleep(0.02)
        left = service.engine._admitted
        gate.set()
        holder.join()
    assert not left


def test_an_upload_is_counted_for_as_long_as_it_is_held(
    recognizer: Recognizer, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits()
    service = Service(recognizer, limits=limits)
    bodies = service._app._app.state.bodies  # type: ignore[attr-defined]
    gate, began = threading.Event(), threading.Event()

    really = recognizer.predict_many

    def slowly(*args: Any, **options: Any) -> Iterator[Faces]:
        began.set()
        gate.wait(60)
        return really(*args, **options)

    monkeypatch.setattr(recognizer, "predict_many", slowly)
    with serving(service, limits) as port:
        with connect(port) as leaving:
            leaving.sendall(HEAD.format("/v1/predict", "image/jpeg", len(portrait)).encode() + portrait)
            assert began.wait(60)
        time.sleep(0.5)
        held = bodies._held
        gate.set()
    assert held == len(portrait)
    assert bodies._held == 0


def test_who_leaves_while_sending_is_no_failure(
    recognizer: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits()
    service = Service(recognizer, limits=limits)
    with serving(service, limits) as port:
        for path in ("/v1/predict", "/v1/explain", "/v1/video"):
            with connect(port) as leaving:
                leaving.sendall(HEAD.format(path, "image/jpeg", 9999).encode() + b"x" * 100)
                time.sleep(0.1)
        with connect(port) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            measures = answer_of(client).decode()
    for path in ("/v1/predict", "/v1/explain", "/v1/video"):
        assert f'mien_requests_total{{method="POST",route="{path}",status="408"}} 1.0' in measures
    assert 'status="500"' not in measures
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
