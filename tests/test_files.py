"""What is written is whole, or not there at all."""

import errno
import os
from pathlib import Path

import pytest

from mien.files import replacing


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path: Path):
    path = tmp_path / "answers.json"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_what_ends_halfway_changes_nothing(before: str | None, error: BaseException, tmp_path: Path):
    path = tmp_path / "answers.json"
    if before is not None:
        path.write_text(before)

    def write_half():
        with replacing(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert (path.read_text() if path.exists() else None) == before
    assert list(tmp_path.iterdir()) == ([] if before is None else [path])


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EACCES, "Permission denied", "PART")],
)
def test_an_error_names_the_file_that_people_know_of(error: OSError, tmp_path: Path):
    path = tmp_path / "answers.json"

    def fail():
        with replacing(path) as part:
            error.filename = str(part) if error.filename else None
            raise error

    with pytest.raises(OSError, match=r"answers\.json'$"):
        fail()


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "link.json", tmp_path / "elsewhere" / "file.json"
    link.symlink_to(file)
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes that have names")
def test_a_pipe_stays_a_pipe(tmp_path: Path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with replacing(path) as part:
            part.write_text("through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert path.is_fifo()
