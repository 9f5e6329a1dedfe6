"""The camera of the page of `mien serve`, in a real browser: frames a second, and who does the work.

    python benchmarks/camera.py [SECONDS]

The system's Chromium opens the page with a stand-in for a camera, 640×480 at 30 frames a second, one face that
moves. For SECONDS (default 20) it is counted how many frames are answered, and how much of the processor's time
the browser takes, which compresses, sends and draws each frame without a graphics card, and how much the service.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import av
import httpx
import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import sync_playwright

from common import model_sha256, write_result
from serve import EXAMPLES, mien, running

WAIT = 60_000  # milliseconds


def main(seconds: float = 20) -> None:
    """Measures and writes ``results/camera.json``."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(mien()) as (address, service),
        sync_playwright() as playwright,
    ):
        camera = Path(folder) / "camera.y4m"
        write_camera(camera)
        mine = set(psutil.Process().children(recursive=True))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                *("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT)
        page.goto(f"{address}#camera")
        page.click("[data-start-camera]")
        page.wait_for_selector("#camera .card")
        page.wait_for_timeout(3000)
        of_browser = [child for child in psutil.Process().children(recursive=True) if child not in mine]
        of_service = [psutil.Process(service.pid)]
        before = (answered(address), spent(of_browser), spent(of_service), time.perf_counter())
        page.wait_for_timeout(seconds * 1000)
        after = (answered(address), spent(of_browser), spent(of_service), time.perf_counter())
        browser.close()
    frames, by_browser, by_service, wall = (b - a for a, b in zip(before, after, strict=True))
    write_result(
        "camera",
        {
            "model_sha256": model_sha256("base"),
            "load_average": os.getloadavg(),
            "camera": "640×480, 30 frames a second, one face",
            "seconds": round(wall, 1),
            "frames_answered": int(frames),
            "frames_a_second": round(frames / wall, 1),
            "processor_milliseconds_a_frame": {
                "browser": round(1000 * by_browser / frames, 1),
                "service": round(1000 * by_service / frames, 1),
            },
            "share_of_the_browser": round(by_browser / (by_browser + by_service), 2),
        },
    )


def write_camera(path: Path) -> None:
    """A camera's stream as Chromium reads it: uncompressed, so that it costs the browser no decoding."""
    picture = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB")
    there = [picture.crop((40 + n, 0, 440 + n, 300)).resize((640, 480)) for n in range(45)]
    with av.open(str(path), "w", format="yuv4mpegpipe") as container:
        stream = container.add_stream("wrapped_avframe", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in [*there, *reversed(there)]:
            shown = av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")
            container.mux(stream.encode(shown.reformat(format="yuv420p")))
        container.mux(stream.encode())


def answered(address: str) -> float:
    """Frames of cameras that the service has read so far."""
    text = httpx.get(f"{address}/metrics").text
    found = re.search(r'^mien_frames_total\{origin="camera",outcome="read"\} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def spent(processes: list[psutil.Process]) -> float:
    """Seconds of the processor's time that processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:]))
