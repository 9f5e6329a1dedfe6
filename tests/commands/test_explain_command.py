"""`mien explain` as people meet it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# One thread: the machine is shared.
ONE = ("--threads", "1")


@pytest.mark.parametrize("name", ["why.png", "deep/er/why.jpg"])
def test_a_sheet_is_drawn(here, examples: Path, tmp_path: Path, name: str):
    out = tmp_path / name
    words = ("--expressions", "happy", "fear")
    code, printed, complaints = here("explain", examples / "astronaut.jpg", "--out", out, *words, *ONE)
    assert (code, printed, complaints) == (0, f"{out}\n", [])
    with Image.open(out) as sheet:
        assert sheet.format == ("PNG" if name.endswith("png") else "JPEG")
        pixels = np.asarray(sheet.convert("RGB"), int)
    # The face is grey; what happy rests on is orange.
    assert np.ptp(pixels[20:260, 20:260], axis=2).max() < 20
    assert (pixels[20:260, 280:520, 0] - pixels[20:260, 280:520, 2]).max() > 60


def test_what_is_explained_is_the_answer_that_a_prior_moved(here, examples: Path, tmp_path: Path):
    sheets = []
    for prior in ((), ("--prior", "even")):
        out = tmp_path / f"{len(prior)}.png"
        assert here("explain", examples / "obama.jpg", "--out", out, *prior, *ONE)[0] == 0
        sheets.append(out.read_bytes())
    assert sheets[0] != sheets[1]


def test_a_name_that_the_terminal_cannot_write_is_told_in_escapes(examples: Path, tmp_path: Path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mien",
            "explain",
            examples / "obama.jpg",
            "--out",
            tmp_path / "why-ü.png",
            "--max-faces",
            "1",
            *ONE,
        ],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("why-\\xfc.png\n")
    assert (tmp_path / "why-ü.png").is_file()


def test_nobody_in_the_picture(here, examples: Path, tmp_path: Path):
    code, printed, complaints = here("explain", examples / "coffee.jpg", "--out", tmp_path / "why.png", *ONE)
    assert (code, printed) == (2, "")
    assert complaints == [
        f"mien: {examples / 'coffee.jpg'}: no face was found, so there is nothing to explain"
    ]
    assert not (tmp_path / "why.png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("coffee.jpg", "--out", "why.gif"), "must end in"),
        (("coffee.jpg", "--out", "coffee.jpg"), "is the picture itself"),
        (("missing.jpg", "--out", "why.png"), "no such file"),
        (("coffee.jpg", "--out", "why.png", "--expressions", "joy"), "'joy': choose among angry"),
        (("coffee.jpg", "--out", "why.png", "--max-faces", "0"), "max_faces 0"),
        (("coffee.jpg",), "--out"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    here,
    examples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
):
    (tmp_path / "coffee.jpg").write_bytes((examples / "coffee.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    code, printed, complaints = here("explain", *arguments)
    assert (code, printed, len(complaints)) == (2, "", 1)
    assert says in complaints[0]
    assert [path.name for path in tmp_path.iterdir()] == ["coffee.jpg"]
