import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import drawn_face, png
from mien.datasets import (
    FERPLUS_COLUMNS,
    Dataset,
    crowd_majority,
    has_twin,
    read_dataset,
    split_validation,
)
from mien.errors import ConfigError, DatasetError
from mien.labels import CROWD, EXPRESSIONS

# What each of FER+'s columns is called here.
NAMES = dict(
    zip(
        FERPLUS_COLUMNS,
        [
            "neutral",
            "happy",
            "surprise",
            "sad",
            "angry",
            "disgust",
            "fear",
            "contempt",
            "unknown",
            "not_a_face",
        ],
        strict=True,
    )
)


def rows(usages: list[str]) -> list[tuple[str, int, np.ndarray, list[int]]]:
    """Made-up rows: usage, label, face, votes in FER+'s order (all ten for the row's number modulo ten)."""
    random = np.random.default_rng(1)
    return [
        (usage, number % 7, drawn_face(number % 7, random), [10 * (number % 10 == k) for k in range(10)])
        for number, usage in enumerate(usages)
    ]


USAGES = ["Training"] * 12 + ["PublicTest"] * 3 + ["PrivateTest"] * 2


def write_csv(folder: Path, *, votes: bool) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "fer2013.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        writer.writerows(
            [label, " ".join(map(str, face.ravel())), usage] for usage, label, face, _ in rows(USAGES)
        )
    if votes:
        with (folder / "fer2013new.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["Usage", "Image name", *FERPLUS_COLUMNS])
            writer.writerows([usage, "", *counts] for usage, _, _, counts in rows(USAGES))
    return folder


def write_parquet(folder: Path) -> Path:
    path = folder / "fer2013.parquet"
    table = [
        {"usage": usage, "emotion": EXPRESSIONS[label], "image": png(face), "ferplus_votes": counts}
        for usage, label, face, counts in rows(USAGES)
    ]
    pq.write_table(pa.Table.from_pylist(table), path)
    return path


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", range(12)),
        ("test", range(12, 17)),
        ("PublicTest", range(12, 15)),
        ("PrivateTest", range(15, 17)),
    ],
)
@pytest.mark.parametrize("form", ["csv folder", "csv file", "parquet"])
def test_csv_and_parquet_give_the_same_faces_labels_and_votes(
    tmp_path: Path, form: str, split: str, expected: range
):
    path = write_parquet(tmp_path) if form == "parquet" else write_csv(tmp_path, votes=True)
    data = read_dataset(path / "fer2013.csv" if form == "csv file" else path, split)
    made = rows(USAGES)
    assert np.array_equal(data.images, [made[row][2] for row in expected])
    assert data.labels.tolist() == [made[row][1] for row in expected]
    assert data.votes is not None
    for votes, row in zip(data.votes, expected, strict=True):
        assert votes.sum() == 10
        assert CROWD[votes.argmax()] == NAMES[FERPLUS_COLUMNS[row % 10]]


def test_csv_without_votes_has_none(tmp_path: Path):
    assert read_dataset(write_csv(tmp_path, votes=False)).votes is None


def test_folders(made_folders: Path):
    data = read_dataset(made_folders, "train")
    assert data.images.shape == (140, 48, 48)
    assert data.votes is None
    assert np.bincount(data.labels).tolist() == [20] * 7
    assert len(read_dataset(made_folders, "test")) == 28


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path / "missing", "does not exist"),
        (lambda path: path, "found an empty folder"),
        (lambda path: _touch(path / "notes.txt").parent, "found notes.txt"),
        (lambda path: _touch(path / "notes.txt"), "found a .txt file"),
        (lambda path: _touch(path / "fer2013.csv", "a,b\n1,2\n"), "needs the columns emotion, pixels, Usage"),
        (lambda path: _touch(path / "fer2013.csv", "emotion,pixels,Usage\n0,1 2 3,Training\n"), "row 0"),
        (
            lambda path: _touch(path / "x.csv", f"emotion,pixels,Usage\n9,{' 1' * 2304},Training\n"),
            "label of 0 to 6",
        ),
        (
            lambda path: _touch(path / "x.csv", f"emotion,pixels,Usage\n-1,{' 1' * 2304},Training\n"),
            "label of 0 to 6",
        ),
        (lambda path: _touch(path / "x.csv", "Usage,emotion,pixels\nTraining\n"), "row 0"),
        (lambda path: _touch(path / "x.csv", "emotion,pixels,Usage\n"), "no images"),
        (lambda path: _touch(path / "x.parquet", "no parquet"), "not a Parquet file"),
        (lambda path: _touch(path / "train" / "angry" / "1.png").parents[2], "no folder for disgust"),
    ],
)
def test_a_wrong_layout_is_told_in_one_line(tmp_path: Path, make, says: str):
    with pytest.raises(DatasetError, match=says) as error:
        read_dataset(make(tmp_path))
    assert "\n" not in str(error.value)


def test_a_damaged_picture_is_named(made_folders: Path, tmp_path: Path):
    for name in EXPRESSIONS:
        (tmp_path / "train" / name).mkdir(parents=True)
    broken = _touch(tmp_path / "train" / "fear" / "broken.jpg", "not a picture")
    with pytest.raises(DatasetError, match=str(broken)):
        read_dataset(tmp_path)


def test_votes_for_fewer_rows_are_refused(tmp_path: Path):
    write_csv(tmp_path, votes=True)
    votes = tmp_path / "fer2013new.csv"
    votes.write_text("\n".join(votes.read_text().splitlines()[:5]) + "\n")
    with pytest.raises(DatasetError, match="rows are not those of"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(("old", "new"), [("PublicTest", "PrivateTest"), (",10,", ",x,"), (",10,", ",999,")])
def test_votes_of_other_rows_and_votes_that_are_none_are_refused(tmp_path: Path, old: str, new: str):
    votes = write_csv(tmp_path, votes=True) / "fer2013new.csv"
    votes.write_text(votes.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=r"fer2013new\.csv"):
        read_dataset(tmp_path)


def test_an_unknown_split_is_refused(made_folders: Path):
    with pytest.raises(ConfigError, match="'validation'"):
        read_dataset(made_folders, "validation")


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)


def test_validation_is_a_tenth_that_does_not_depend_on_the_order():
    images = noise(1000)
    order = np.random.default_rng(1).permutation(1000)
    parts = [
        split_validation(Dataset(images[rows], np.zeros(1000, np.int64), None))
        for rows in (np.arange(1000), order)
    ]
    assert 70 < len(parts[0][1]) < 130
    first, second = ({image.tobytes() for image in part[1].images} for part in parts)
    assert first == second
    assert len(parts[0][0]) + len(parts[0][1]) == 1000


def test_copies_of_validation_faces_are_kept_out_of_training():
    images = noise(200)
    brighter = (images // 2 + 60).astype(
        np.uint8
    )  # correlates perfectly but for rounding, and has other bytes
    training, validation = split_validation(
        Dataset(np.concatenate([images, brighter]), np.zeros(400, np.int64), None)
    )
    assert not has_twin(training.images, validation.images).any()
    assert len(training) + len(validation) < 400


def test_copies_of_one_face_cannot_be_parted():
    with pytest.raises(DatasetError, match="copies of one another"):
        split_validation(Dataset(np.repeat(noise(1), 50, axis=0), np.zeros(50, np.int64), None))


def test_blank_faces_are_nobodys_twin():
    blank = np.zeros((1, 48, 48), np.uint8)
    assert not has_twin(blank, blank).any()


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ({"happy": 10}, "happy"),
        ({"happy": 6, "neutral": 4}, "happy"),
        ({"happy": 5, "neutral": 5}, None),  # half is no majority
        (
            {"happy": 5, "neutral": 3, "sad": 1, "fear": 1},
            "happy",
        ),  # counts of one fall away, and 5 of 8 remain
        ({"unknown": 8, "sad": 2}, None),
        ({"not_a_face": 10}, None),
        ({"contempt": 7, "neutral": 3}, "contempt"),
        (dict.fromkeys(CROWD, 1), None),
    ],
)
def test_majority(votes: dict[str, int], label: str | None):
    counts = np.array([[votes.get(name, 0) for name in CROWD]], np.uint8)
    assert crowd_majority(counts).tolist() == [-1 if label is None else CROWD.index(label)]


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_a_majority_has_more_votes_than_all_others_that_count(counts: list[int]):
    winner = int(crowd_majority(np.array([counts], np.uint8))[0])
    if winner >= 0:
        assert counts[winner] > sum(count for k, count in enumerate(counts) if k != winner and count > 1)


@pytest.mark.fer2013
def test_the_real_data_has_the_sizes_that_the_literature_states(fer2013: Path):
    training, test = read_dataset(fer2013, "train"), read_dataset(fer2013, "PublicTest")
    assert (len(training), len(test)) == (28_709, 3_589)
    assert training.votes is not None
    assert test.votes is not None
    assert int((crowd_majority(training.votes) >= 0).sum()) == 25_045
    assert int((crowd_majority(test.votes) >= 0).sum()) == 3_191
    learn, choose = split_validation(training)
    assert (len(learn), len(choose)) == (25_744, 2_847)


def _touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
