"""Whether anything that is sent to the service breaks it, or stays in its memory.

    python benchmarks/serve_fuzz.py [COUNT]

COUNT uploads and socket messages (default 5,000) are made from good ones by changing, cutting, doubling and
inserting bytes: pictures, forms, and frames of a camera. Each must be answered, and none with a status of 500. The
memory of the service is noted before and after; half as many others are sent first, for what it needs once for
each kind of content.
"""

import asyncio
import io
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import websockets
from PIL import Image

from common import model_sha256, write_result
from serve import mien, running

EXAMPLES = Path(__file__).parent.parent / "examples"
MEBIBYTE = 1 << 20
# Small searches, so that many can be sent; room for all, so that nothing is refused unread.
OPTIONS = ("--threads", "1", "--detector-size", "128", "--max-queue", "64", "--max-sockets", "64")
FORM = "multipart/form-data; boundary=xyz"


def main(count: int = 5000) -> None:
    """Measures and writes ``results/serve_fuzz.json``."""
    with running(mien(*OPTIONS)) as (address, process):
        service = psutil.Process(process.pid)
        statuses: Counter[str] = Counter()
        start = service.memory_info().rss / MEBIBYTE
        asyncio.run(send(address, count // 2, 0, Counter()))
        early = service.memory_info().rss / MEBIBYTE
        asyncio.run(send(address, count, 1, statuses))
        late = service.memory_info().rss / MEBIBYTE
        alive = httpx.get(f"{address}/readyz", timeout=60).status_code
        threads = service.num_threads()
    write_result(
        "serve_fuzz",
        {
            "model_sha256": model_sha256("base"),
            "sent": count,
            "answers": dict(sorted(statuses.items())),
            "answers_of_500": sum(
                many for status, many in statuses.items() if re.search(r" 5(?!03)\d\d$", status)
            ),
            "ready_afterwards": alive == 200,
            "threads_afterwards": threads,
            "rss_mib_at_start": round(start, 1),
            "rss_mib_before": round(early, 1),
            "rss_mib_after": round(late, 1),
            "growth": round(late / early - 1, 4),
        },
    )


def seeds() -> list[bytes]:
    """Good pictures of all kinds, small so that many can be sent."""
    contents = []
    for name in ("astronaut.jpg", "cat.jpg"):
        picture = Image.open(EXAMPLES / name).convert("RGB").resize((128, 128))
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
            stream = io.BytesIO()
            picture.save(stream, kind)
            contents.append(stream.getvalue())
    return contents


def form(content: bytes) -> bytes:
    """A form with one file."""
    head = b'--xyz\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    return head + content + b"\r\n--xyz--\r\n"


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """The bytes with a few changes."""
    data = bytearray(content)
    changes: list[Callable[[int], None]] = [
        lambda place: data.__setitem__(place, int(random.integers(256))),
        lambda place: data.__delitem__(slice(place, place + int(random.integers(1, 200)))),
        lambda place: data.__setitem__(slice(place, place), random.bytes(int(random.integers(1, 50)))),
        lambda place: data.__setitem__(slice(place, place), data[place : place + 100]),
        lambda place: data.__delitem__(slice(place, None)),
    ]
    for _ in range(int(random.integers(1, 9))):
        if data:
            # Near the beginning, where the headers are, as often as anywhere.
            end = len(data) if random.random() < 0.5 else min(len(data), 200)
            changes[random.choice(5, p=(0.5, 0.15, 0.15, 0.15, 0.05))](int(random.integers(end)))
    return bytes(data)


async def send(address: str, count: int, seed: int, statuses: Counter[str]) -> None:
    """Sends so many, a third of each kind, and counts what is answered."""
    random = np.random.default_rng(seed)
    good = seeds()
    async with httpx.AsyncClient(timeout=300) as session:

        async def post(kind: str, path: str, body: bytes, content_type: str) -> None:
            headers = {"Content-Type": content_type}
            answer = await session.post(address + path, content=body, headers=headers)
            statuses[f"{kind} {answer.status_code}"] += 1

        for start in range(0, count, 6):
            bodies = [good[int(random.integers(len(good)))] for _ in range(min(6, count - start))]
            asking = []
            for number, body in enumerate(bodies):
                if number % 3 == 0:
                    asking.append(post("picture", "/v1/predict", mutated(body, random), "image/jpeg"))
                elif number % 3 == 1:
                    asking.append(post("form", "/v1/predict", mutated(form(body), random), FORM))
                else:
                    asking.append(frames(address, [mutated(body, random)], statuses))
            await asyncio.gather(*asking)


async def frames(address: str, messages: list[bytes], statuses: Counter[str]) -> None:
    """Sends frames to a camera's socket; each must be answered."""
    async with websockets.connect(address.replace("http", "ws") + "/v1/live") as socket:
        for message in messages:
            await socket.send(message)
            answer = await asyncio.wait_for(socket.recv(), 300)
            statuses["frame read" if '"faces"' in str(answer) else "frame refused"] += 1


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
