"""Makes the pictures of the page of `mien serve` in docs/, in the system's Chromium.

    python tools/make_page_pictures.py

Shows the pictures of examples/ only: a photograph at three widths, and a camera and a video made from one of them.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WAIT = 120_000  # milliseconds
# File, width and height of the window, colour scheme, scale.
SIZES = (
    ("serve.jpg", 1280, 800, "light", 1.0),
    ("serve-tablet.jpg", 834, 1000, "dark", 1.0),
    ("serve-phone.jpg", 390, 844, "light", 1.5),
)


def main() -> None:
    """Starts a server, and writes the pictures."""
    command = [sys.executable, "-m", "mien", "serve", "--no-open", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(command) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        assert found
        camera, film = Path(folder) / "camera.mjpeg", Path(folder) / "clip.mp4"
        make_clips(camera, film)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                *("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        for name, width, height, scheme, scale in SIZES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                device_scale_factor=scale,
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.set_default_timeout(WAIT)
            page.goto(found[0])
            page.click("[data-example='together.jpg']")
            page.wait_for_selector(".card")
            page.locator("#photograph .box").nth(1).click()
            page.mouse.move(0, 0)
            shoot(page, name)
            context.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT)
        page.goto(f"{found[0]}#camera")
        page.click("[data-start-camera]")
        page.wait_for_selector("#camera .card")
        page.wait_for_timeout(20_000)  # so that there is something in the timeline
        shoot(page, "serve-camera.jpg", full_page=True)
        page.goto(f"{found[0]}#video")
        page.set_input_files("#video [data-start] [data-file]", film)
        page.wait_for_selector("#video .track")
        page.wait_for_selector("[data-reading]", state="hidden")
        page.locator("#video [role=slider]").focus()
        page.keyboard.press("ArrowRight")
        shoot(page, "serve-video.jpg", full_page=True)
        browser.close()


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A server for as long as it is needed, whatever goes wrong with its clients."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()


def shoot(page: Page, name: str, *, full_page: bool = False) -> None:
    """Writes a picture of the page, from its top."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    shown = Image.open(io.BytesIO(page.screenshot(full_page=full_page))).convert("RGB")
    shown.save(DOCS / name, quality=88, optimize=True, subsampling=0)


def make_clips(camera: Path, film: Path) -> None:
    """A camera's stream of one face that moves, and a film in three scenes."""
    picture = Image.open(ROOT / "examples" / "astronaut.jpg").convert("RGB")
    frames = [
        picture.crop((40 + n, 0, 440 + n, 300)).resize((640, 480)) for n in (*range(20), *range(20, 0, -1))
    ]
    stream = io.BytesIO()
    for frame in frames:
        frame.save(stream, "JPEG", quality=85)
    camera.write_bytes(stream.getvalue())
    scenes = (
        ("astronaut.jpg", (100, 0, 420, 240)),
        ("obama_speech.jpg", (40, 120, 440, 420)),
        ("together.jpg", (0, 0, 640, 480)),
    )
    with av.open(str(film), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        for name, (left, top, right, bottom) in scenes:
            picture = Image.open(ROOT / "examples" / name).convert("RGB")
            for step in range(30):
                part = picture.crop((left + step // 2, top, right + step // 2, bottom)).resize((640, 480))
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(part), format="rgb24")))
        container.mux(video.encode())


if __name__ == "__main__":
    main()
