"""How much the service bears: many clients at once, beside itself without batching and beside a plain peer.

    python benchmarks/serve.py [--peer PYTHON] [--seconds 10] [--threads N]

Three servers run in turn, each alone, on loopback, all with one picture: one face, 640×480, JPEG. `mien` is
`mien serve`; `unbatched` is the same with --max-batch 1; `peer` is `fer` behind FastAPI (benchmarks/peer_app.py)
under the Python that PYTHON names, which needs fer, fastapi and uvicorn. Each is asked by 1, 8 and 64 clients,
who ask again as soon as they are answered. Then `mien serve` with its own limits is asked three times as often
as it can answer. For the camera, frames are sent over /v1/live as fast as they are answered.
"""

import argparse
import asyncio
import contextlib
import io
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import websockets
from PIL import Image

from common import model_sha256, write_result

EXAMPLES = Path(__file__).parent.parent / "examples"
CLIENTS = (1, 8, 64)
# So that 64 clients are all let in, where the load of many is measured.
ROOMY = ("--max-queue", "128")
MEBIBYTE = 1 << 20


def main() -> None:
    """Measures and writes ``results/serve.json``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="a Python that has fer and fastapi")
    parser.add_argument("--seconds", type=float, default=10, help="of each measure")
    parser.add_argument("--threads", type=int, help="of the service; by default all")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    options = parser.parse_args()
    threads = () if options.threads is None else ("--threads", str(options.threads))
    picture = photograph()
    load: dict[str, Any] = {}
    for name, command in (
        ("mien", mien(*ROOMY, *threads)),
        ("unbatched", mien(*ROOMY, "--max-batch", "1", *threads)),
        ("peer", None if options.peer is None else peer(options.peer)),
    ):
        if command is None:
            continue
        with running(command) as (address, process):
            asyncio.run(closed_loop(address, picture, 1, 3))  # warms up
            load[name] = {
                f"{clients} clients": asyncio.run(closed_loop(address, picture, clients, options.seconds))
                for clients in CLIENTS
            }
            load[name]["peak_mib"] = peak(process)
    with running(mien(*threads)) as (address, process):
        asyncio.run(closed_loop(address, picture, 1, 3))
        camera = asyncio.run(live(address, picture, options.seconds))
        able = asyncio.run(closed_loop(address, picture, 8, options.seconds))["answers_per_second"]
        before = psutil.Process(process.pid).memory_info().rss / MEBIBYTE
        overload = asyncio.run(open_loop(address, picture, 3 * able, options.seconds))
        overload |= {
            "asked_per_second": round(3 * able, 1),
            "able_per_second": able,
            "rss_mib_before": round(before, 1),
            "peak_mib": peak(process),
        }
    write_result(
        "serve",
        {
            "model_sha256": model_sha256("base"),
            "note": options.note,
            "load_average": os.getloadavg(),
            "seconds_each": options.seconds,
            "picture": "one face, 640×480 JPEG",
            "load": load,
            "overload": overload,
            "camera": camera,
        },
    )


def photograph() -> bytes:
    """One face, 640×480, as JPEG."""
    picture = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").crop((0, 0, 512, 384)).resize((640, 480))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def mien(*options: str) -> list[str]:
    """The command of our service, at a free port."""
    return [sys.executable, "-m", "mien", "serve", "--no-open", "--port", "0", *options]


def peer(python: str) -> list[str]:
    """The command of the peer's service."""
    return [python, str(Path(__file__).parent / "peer_app.py")]


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Runs a server, which prints its address first; yields the address and the process."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise SystemExit(f"{command}: did not start")
        yield found[0], process
    finally:
        process.terminate()
        process.wait(timeout=60)


def peak(process: "subprocess.Popen[str]") -> float:
    """The most memory that a process had in use so far, in MiB."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", lines)
    return round(int(found[1]) / 1024, 1) if found else float("nan")


async def closed_loop(address: str, picture: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Clients who ask again as soon as they are answered."""
    times: list[float] = []
    statuses: Counter[str] = Counter()
    start = time.perf_counter()

    async def ask(session: httpx.AsyncClient) -> None:
        while time.perf_counter() < start + seconds:
            asked = time.perf_counter()
            try:
                answer = await session.post(f"{address}/v1/predict", content=picture)
            except httpx.HTTPError as error:
                statuses[type(error).__name__] += 1
                continue
            statuses[str(answer.status_code)] += 1
            if answer.status_code == 200:
                times.append(time.perf_counter() - asked)

    async with _session() as session:
        await asyncio.gather(*(ask(session) for _ in range(clients)))
    elapsed = time.perf_counter() - start
    return {"answers_per_second": round(len(times) / elapsed, 2), **_times(times), "statuses": dict(statuses)}


async def open_loop(address: str, picture: bytes, rate: float, seconds: float) -> dict[str, Any]:
    """Clients who ask so many times a second, answered or not; then one who asks when they have gone."""
    good: list[float] = []
    refused: list[float] = []
    statuses: Counter[str] = Counter()

    async def ask(session: httpx.AsyncClient) -> None:
        asked = time.perf_counter()
        try:
            answer = await session.post(f"{address}/v1/predict", content=picture)
        except httpx.HTTPError as error:
            statuses[type(error).__name__] += 1
            return
        statuses[str(answer.status_code)] += 1
        (good if answer.status_code == 200 else refused).append(time.perf_counter() - asked)

    async with _session() as session:
        start = time.perf_counter()
        asking = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            asking.append(asyncio.create_task(ask(session)))
        end = time.perf_counter()
        while (await session.post(f"{address}/v1/predict", content=picture)).status_code != 200:
            await asyncio.sleep(0.02)
        recovery = time.perf_counter() - end
        await asyncio.gather(*asking)
    return {
        "statuses": dict(statuses),
        "answered": _times(good),
        "refused": _times(refused),
        "seconds_until_one_who_asks_afterwards_is_answered": round(recovery, 3),
    }


async def live(address: str, picture: bytes, seconds: float) -> dict[str, Any]:
    """A camera whose next frame is sent when the last but one is answered, as the page does."""
    socket_address = address.replace("http", "ws") + "/v1/live"
    times = []
    async with websockets.connect(socket_address) as socket:
        sent = [time.perf_counter()]
        await socket.send(picture)
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            sent.append(time.perf_counter())
            await socket.send(picture)
            await socket.recv()
            times.append(time.perf_counter() - sent.pop(0))
        elapsed = time.perf_counter() - start
    return {"frames_per_second": round(len(times) / elapsed, 2), **_times(times)}


def _session() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(timeout=300, limits=limits)


def _times(times: list[float]) -> dict[str, Any]:
    """The median and the 99th percentile, in milliseconds."""
    if len(times) < 2:
        return {"n": len(times)}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "n": len(times),
        "p50_milliseconds": round(1000 * cuts[49], 1),
        "p99_milliseconds": round(1000 * cuts[98], 1),
    }


if __name__ == "__main__":
    main()
