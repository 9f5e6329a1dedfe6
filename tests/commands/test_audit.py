"""`mien audit` as people meet it."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import drawn_face


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two classes of three faces, of which one lies in both, and a file that is no picture."""
    random = np.random.default_rng(0)
    for word in ("awake", "asleep"):
        (tmp_path / "data" / word).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(drawn_face(number, random)).save(tmp_path / "data" / word / f"{number}.png")
    copy = (tmp_path / "data" / "awake" / "0.png").read_bytes()
    (tmp_path / "data" / "asleep" / "copy.png").write_bytes(copy)
    (tmp_path / "data" / "awake" / "broken.jpg").write_text("no picture")
    return tmp_path / "data"


def test_a_table_a_report_and_rows_for_training(here, folders: Path, tmp_path: Path):
    code, out, complaints = here("audit", folders, "--out", tmp_path / "a" / "b")
    assert (code, complaints) == (0, [])
    table = {
        line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in out.splitlines() if line.strip()
    }
    assert table["pictures with"] == ["train", "exclude", "review"]
    assert table["Unreadable files"] == ["1", "1", "–"]
    assert table["Copies with different labels"] == ["2", "2", "–"]
    assert table["Blank pictures"] == ["–", "–", "–"]
    assert "2 pictures suggested to be left out of training" in out
    assert f"mien train {folders} --exclude {tmp_path / 'a' / 'b' / 'audit.csv'}" in out
    with (tmp_path / "a" / "b" / "audit.csv").open(newline="", encoding="utf-8") as file:
        issues = [(record["file"], record["issue"]) for record in csv.DictReader(file)]
    assert ("awake/broken.jpg", "unreadable") in issues
    assert "Copies with different labels" in (tmp_path / "a" / "b" / "report.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("command", [("audit",), ("evaluate", "--split", "train"), ("train",)])
def test_nothing_is_written_among_the_folders_of_classes(command, here, folders: Path, monkeypatch):
    monkeypatch.chdir(folders)
    code, _, complaints = here(command[0], ".", *command[1:])
    assert code == 2
    assert "whose folders are classes, and would be taken for one; name a folder outside" in complaints[-1]
    assert sorted(path.name for path in folders.iterdir()) == ["asleep", "awake"]


@pytest.mark.parametrize("out", ["faces/train", "faces/train/runs", "faces/test"])
def test_nothing_is_written_among_the_classes_of_a_split(out: str, here, folders: Path, monkeypatch):
    (folders.parent / "faces").mkdir()
    shutil.copytree(folders, folders.parent / "faces" / "test")
    folders.rename(folders.parent / "faces" / "train")
    monkeypatch.chdir(folders.parent)
    code, _, complaints = here("evaluate", "faces", "--split", "train", "--out", out)
    assert code == 2
    assert "whose folders are classes, and would be taken for one; name a folder outside" in complaints[-1]


def test_twice_gives_the_same_files(here, folders: Path, tmp_path: Path):
    contents = []
    for _ in range(2):
        assert here("audit", folders, "--out", tmp_path / "out")[0] == 0
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"audit.csv", "report.html"}


def test_what_is_found_can_be_left_out_of_training(here, folders: Path, tmp_path: Path):
    from mien.audit import exclude_rows
    from mien.datasets import read_dataset

    here("audit", folders, "--out", tmp_path / "out")
    data = read_dataset(folders)
    assert len(data) - len(exclude_rows(data, tmp_path / "out" / "audit.csv", "train")) == 2


def test_wrong_use_is_told_in_one_line(here, folders: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for arguments, says in (
        ((tmp_path / "nowhere",), "does not exist"),
        ((folders, "--out", tmp_path / "file"), "is no folder"),
        ((folders, "--alike", "2"), "alike 2.0: choose 0.5 or more"),
    ):
        code, out, complaints = here(
            "audit", *arguments, *(() if "--out" in arguments else ("--out", tmp_path / "o"))
        )
        assert (code, out, len(complaints)) == (2, "", 1)
        assert says in complaints[0]
    assert not (tmp_path / "o").exists()


def test_the_next_command_finds_faces_too_and_can_be_pasted(here, examples: Path, tmp_path: Path):
    for name, picture in (("one", "astronaut.jpg"), ("two", "obama.jpg")):
        (tmp_path / "my faces" / name).mkdir(parents=True)
        (tmp_path / "my faces" / name / picture).write_bytes((examples / picture).read_bytes())
    code, out, _ = here("audit", tmp_path / "my faces", "--find-faces", "--out", tmp_path / "found")
    assert code == 0
    told = f"mien train '{tmp_path / 'my faces'}' --find-faces --exclude {tmp_path / 'found' / 'audit.csv'}"
    assert told in out
