"""What is installed is what is in the repository."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import mien

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    listed = subprocess.run(
        ["git", "ls-files", "src/mien"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"mien-{mien.__version__}-")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {path.removeprefix("src/") for path in listed} <= held
    assert not [name for name in held if name.endswith(("checkpoint.safetensors", ".part"))]


def test_the_version_is_the_same_wherever_it_stands():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == mien.__version__


def test_every_public_name_can_be_had():
    for name in mien.__all__:
        getattr(mien, name)
    assert set(mien.__all__) <= set(dir(mien))
