import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from faults import make_faulty_table, make_own_folders
from PIL import Image

from mien.audit import audit, exclude_rows, write_rows
from mien.audit.report import write_report
from mien.audit.rows import COLUMNS
from mien.datasets import read_dataset
from mien.errors import DatasetError


@pytest.fixture(scope="module")
def faulty_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_faulty_table(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_own_folders(tmp_path_factory.mktemp("mine"))


@pytest.fixture
def table(faulty_table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "audit.csv"
    write_rows(audit(faulty_table), path)
    return path


def test_a_row_for_every_finding(faulty_table: Path, table: Path):
    found = audit(faulty_table)
    with table.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    assert tuple(records[0]) == COLUMNS
    assert len(records) == len(found.findings)
    assert [(r["split"], r["row"], r["issue"], r["suggestion"]) for r in records[:1]] == [
        ("train", "8", "blank", "exclude")
    ]
    assert not list(table.parent.glob("*.part"))


def test_training_goes_without_what_is_excluded(faulty_table: Path, table: Path):
    data = read_dataset(faulty_table, "train")
    left = exclude_rows(data, table, "train")
    assert np.array_equal(left.images, data.images[[3, 5, 6, 9]])
    assert np.array_equal(left.labels, data.labels[[3, 5, 6, 9]])
    assert left.votes is not None
    assert len(left.votes) == 4
    test = read_dataset(faulty_table, "PublicTest")
    assert len(exclude_rows(test, table, "PublicTest")) == len(test)


def test_a_person_may_change_the_suggestions(faulty_table: Path, table: Path):
    text = table.read_text(encoding="utf-8")
    # As a spreadsheet saves it: with a mark at its start, and capitals if a person types them.
    table.write_text(
        text.replace(",review,", ", Exclude ,").replace(",keep,", ",Exclude,"), encoding="utf-8-sig"
    )
    left = exclude_rows(read_dataset(faulty_table, "train"), table, "train")
    assert len(left) == 1  # row 9
    table.write_text(text.replace(",exclude,", ",keep,"), encoding="utf-8")
    assert len(exclude_rows(read_dataset(faulty_table, "train"), table, "train")) == 12


def test_a_spreadsheet_may_write_semicolons_and_takes_no_hash_for_a_number(faulty_table: Path, table: Path):
    data = read_dataset(faulty_table, "train")
    with table.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    hashes = [record["pixels"] for record in records if record["pixels"]]
    for number in hashes:
        assert number[0] == "x"
        assert len(number) == 17
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(records)
    assert len(exclude_rows(data, table, "train")) == 4


def test_a_table_made_by_hand(faulty_table: Path, tmp_path: Path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "split,row,suggestion\ntrain,0,exclude\ntrain,11,exclude\ntest,3,exclude\ntrain,,exclude\n"
    )
    data = read_dataset(faulty_table, "train")
    assert np.array_equal(exclude_rows(data, path, "train").images, data.images[1:11])


def test_own_folders_with_files_that_cannot_be_read(own_folders: Path, tmp_path: Path):
    write_rows(audit(own_folders), tmp_path / "audit.csv")
    data = read_dataset(own_folders)
    left = exclude_rows(data, tmp_path / "audit.csv", "train")
    assert (len(data), len(left)) == (7, 5)
    assert left.classes == data.classes
    assert left.skipped == data.skipped != ()


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX only")
def test_names_that_are_no_utf8_are_written_as_escapes(own_folders: Path, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(own_folders, data)
    blank = next(path for path in sorted(data.rglob("*.png")) if path.is_file())
    Image.new("L", (48, 48)).save(os.fsencode(blank.parent) + b"/f\xfcr.png")
    found = audit(data)
    write_rows(found, tmp_path / "audit.csv")
    write_report(found, tmp_path / "report.html")
    assert "f\\udcfcr.png" in (tmp_path / "audit.csv").read_text(encoding="utf-8")
    assert "f\\udcfcr.png" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(exclude_rows(read_dataset(data), tmp_path / "audit.csv", "train")) == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("split,suggestion\n", "no column row"),
        ("", "no column row, split, suggestion"),
        ("split,row,suggestion\ntrain,12,exclude\n", "line 2: row '12' is none of the 12"),
        ("split,row,suggestion\ntrain,0,keep\ntrain,-1,exclude\n", "line 3: row '-1'"),
        ("split,row,suggestion\ntrain,x,exclude\n", "row 'x'"),
        ("split,row,suggestion,pixels\ntrain,0,exclude,0011223344556677\n", "is another picture"),
        (
            "split,row,suggestion\n" + "".join(f"train,{row},exclude\n" for row in range(12)),
            "excludes all 12",
        ),
        ("split,row,suggestion\nTraining,0,exclude\n", "line 2: split is 'Training'; write one of train, "),
        ("split,row,suggestion\ntrain,0,remove\n", "line 2: suggestion is 'remove'; write one of exclude, "),
        ("split,row,suggestion\ntrain\n", None),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    faulty_table: Path, tmp_path: Path, text: str, says: str | None
):
    path = tmp_path / "audit.csv"
    path.write_text(text)
    data = read_dataset(faulty_table, "train")
    if says is None:
        assert len(exclude_rows(data, path, "train")) == len(data)
        return
    with pytest.raises(DatasetError, match=says) as error:
        exclude_rows(data, path, "train")
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00split"])
def test_a_table_that_cannot_be_read_is_refused(faulty_table: Path, tmp_path: Path, content: bytes | None):
    path = tmp_path / "audit.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="cannot read the table"):
        exclude_rows(read_dataset(faulty_table, "train"), path, "train")


def test_a_table_of_other_data_is_refused(faulty_table: Path, table: Path, made_folders: Path):
    with pytest.raises(DatasetError, match="audit this data again"):
        exclude_rows(read_dataset(made_folders), table, "train")
