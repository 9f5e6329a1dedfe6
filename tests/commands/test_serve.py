import re
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason='needs pip install "mien[serve]"')

from mien.commands.serve import serve
from mien.errors import ConfigError
from mien.serve.limits import Limits
from mien.serve.server import loopback
from support import running_server


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("mien.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert loopback(host) is local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_others_are_let_in_only_with_a_token_or_when_it_is_said(host: str) -> None:
    with pytest.raises(ConfigError, match=r"set MIEN_TOKEN .* or say --insecure"):
        serve(host=host, port=0)


@pytest.mark.parametrize("token", ["", " ", " secret", "se\ncret", "größe"])
def test_a_token_that_no_header_could_hold_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="--token, MIEN_TOKEN: must be"):
        serve(port=0, token=token)


def test_an_address_that_cannot_be_had_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1, port {port}: .*choose another --port"):
            serve(port=port)
    with pytest.raises(ConfigError, match="--port 99999: choose 1 to 65535, or 0"):
        serve(port=99_999)
    for host in ("nowhere.invalid", "a..b", f"{'x' * 64}.example"):
        with pytest.raises(
            ConfigError, match=f"--host {re.escape(host)}: .*name an address of this computer"
        ):
            serve(host=host, insecure=True)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    options = ("--idle-seconds", "0.5", "--max-connections", "3", "--host", "127.0.0.1")
    with running_server(*options, folder=tmp_path, token="secret") as server:
        yield server


def test_it_runs_guards_and_ends(running: tuple[subprocess.Popen[str], str]) -> None:
    process, address = running
    port = int(address.rsplit(":", 1)[1])
    with urllib.request.urlopen(f"{address}/readyz") as answer:
        assert answer.status == 200
        assert "server" not in answer.headers
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/v1/models")
    # A site that points its own name at this computer gets nothing.
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(urllib.request.Request(f"{address}/readyz", headers={"Host": "evil.example"}))
    # One that never says what it wants is left; so is one that is slow to say it.
    for start in (b"", b"POST /v1/predict HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
            silent.sendall(start)
            assert silent.recv(100) == b""
    # A body that stands still is a problem; so is what is no HTTP.
    for sent, status in (
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
            b"Content-Length: 9\r\n\r\nx",
            b"408",
        ),
        (b"\x16\x03\x01 hello\r\n\r\n", b"400"),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            slow.sendall(sent)
            answer_bytes = slow.recv(4096)
            while chunk := slow.recv(4096):
                answer_bytes += chunk
        assert answer_bytes.startswith(b"HTTP/1.1 " + status)
        assert b"application/problem+json" in answer_bytes
    # No more connections than there may be.
    held = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as fourth:
        try:
            fourth.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answered = fourth.recv(10)
        except ConnectionError:
            answered = b""
    assert answered == b""
    for one in held:
        one.close()
    # Ctrl-C.
    timer = threading.Timer(60, process.kill)
    timer.start()
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate()
    timer.cancel()
    assert (process.returncode, complaints) == (130, "mien: stopped\n")
    assert "secret" not in out


def test_limits_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    from mien.cli import app

    app(["serve", "--help"])
    told = capsys.readouterr().out
    for name in Limits.__slots__:
        assert f"--{name.replace('_', '-')}" in told
