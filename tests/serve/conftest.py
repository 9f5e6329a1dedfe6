import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason='needs pip install "mien[serve]"')

from mien.recognize import Recognizer
from mien.serve.engine import load_recognizer
from support import running_server


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """One for all, which searches small pictures so that it is quick."""
    return load_recognizer("base", detector_size=256, threads=1, max_faces=3, max_pixels=25_000_000)


@pytest.fixture(scope="session")
def portrait(examples: Path) -> bytes:
    """A JPEG of one face, 320×320."""
    picture = Image.open(examples / "astronaut.jpg").crop((60, 0, 380, 320))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture(scope="session")
def clip(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of video in two scenes, ten frames a second."""
    av = pytest.importorskip("av", reason='needs pip install "mien[video]"')
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    scenes = [("astronaut.jpg", (80, 0, 400, 240)), ("obama.jpg", (200, 0, 680, 360))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for name, (left, top, right, bottom) in scenes:
            picture = Image.open(examples / name).convert("RGB")
            for step in range(10):
                part = picture.crop((left + step, top, right + step, bottom)).resize((320, 240))
                container.mux(stream.encode(av.VideoFrame.from_image(part)))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real command, running; it must end well, with nothing to say and nothing left behind."""
    folder = tmp_path_factory.mktemp("server")
    with running_server("--max-video-seconds", "30", folder=folder) as (process, address):
        yield address
        process.terminate()
        complaints = process.communicate(timeout=30)[1]
    assert complaints == ""
    assert list(folder.iterdir()) == []  # no picture, no name, was written


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs Chromium (Debian: apt install chromium)")
