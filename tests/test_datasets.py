import csv
import io
import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.align import align_faces, whole_picture
from mien.datasets import (
    FERPLUS_COLUMNS,
    Dataset,
    crowd_majority,
    has_twin,
    read_dataset,
    split_validation,
)
from mien.detect import CenterFace
from mien.errors import ConfigError, DatasetError
from mien.image import read_image
from mien.labels import CROWD, EXPRESSIONS
from support import drawn_face, png

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


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_split_on_which_nobody_voted_has_no_votes(tmp_path: Path, form: str):
    if form == "csv":
        path = write_csv(tmp_path, votes=True)
        lines = (path / "fer2013new.csv").read_text().splitlines()
        lines = [f"Training,,{','.join('0' * 10)}" if "Training" in line else line for line in lines]
        (path / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    else:
        path = write_parquet(tmp_path)
        table = pq.read_table(path).to_pylist()
        pq.write_table(
            pa.Table.from_pylist(
                [row | {"ferplus_votes": [0] * 10} if row["usage"] == "Training" else row for row in table]
            ),
            path,
        )
    assert read_dataset(path, "train").votes is None
    votes = read_dataset(path, "test").votes
    assert votes is not None
    assert (votes.sum(axis=1) == 10).all()


@pytest.mark.parametrize("name", ["fer2013.CSV", "fer2013.Parquet"])
def test_an_ending_may_be_in_capitals(tmp_path: Path, name: str):
    made = write_parquet(tmp_path) if "Parquet" in name else write_csv(tmp_path, votes=False) / "fer2013.csv"
    made.rename(tmp_path / name)
    assert len(read_dataset(tmp_path / name)) == 12


def test_folders(made_folders: Path):
    data = read_dataset(made_folders, "train")
    assert data.images.shape == (140, 48, 48)
    assert data.votes is None
    assert np.bincount(data.labels).tolist() == [20] * 7
    assert len(read_dataset(made_folders, "test")) == 28


def test_the_heading_of_kaggles_own_file_and_excels_mark_at_its_beginning(tmp_path: Path):
    path = tmp_path / "icml_face_data.csv"
    path.write_text(f"\ufeffemotion, Usage, pixels\n4,Training,{'7 ' * 2304}\n", encoding="utf-8")
    data = read_dataset(path)
    assert data.labels.tolist() == [4]
    assert (data.images == 7).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path / "missing", "does not exist"),
        (lambda path: path / ("x" * 300), "does not exist, or cannot be reached"),
        (lambda path: path, "found an empty folder"),
        (lambda path: _touch(path / "notes.txt").parent, "found notes.txt"),
        (lambda path: _touch(path / "notes.txt"), "found a .txt file"),
        (
            lambda path: _touch(path / "fer2013.csv", "a,b\n1,2\n"),
            "no column Usage, emotion, pixels; found a, b",
        ),
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
        (
            lambda path: _touch(path / "x.csv", "emotion,pixels,Usage\n0,1 2"),
            "row 0: has no Usage .is the file cut",
        ),
        (
            lambda path: _touch(path / "x.csv", "emotion,pixels,Usage\n0,1 2,train"),
            "row 0: its Usage is 'train'",
        ),
        (lambda path: _touch(path / "x.parquet", "no parquet"), "not a Parquet file"),
        (lambda path: _touch(path / "train" / "angry" / "1.png").parents[2], "two or more .* found angry"),
        (
            lambda path: _touch(path / "angry" / "1.png").parents[1],
            "two or more folders of classes.*found angry",
        ),
        (lambda path: _touch(path / "1.png").parent, "found 1.png"),
        (
            lambda path: _own(path, {"train/glad": 1, "train/grim": 0}),
            r"grim: no pictures.*found an empty folder",
        ),
        (lambda path: _own(path, {"glad": 1, "more/grim": 1}), "more: no pictures of this class.*found grim"),
        (lambda path: _own(path, {"glad": 1, "two\nlines": 1}), r"'two\\nlines' is no name for a class"),
        (lambda path: _own(path, {"test/glad": 1, "test/grim": 1}), "no train/ folder; found test"),
    ],
)
def test_a_wrong_layout_is_told_in_one_line(tmp_path: Path, make, says: str):
    with pytest.raises(DatasetError, match=says) as error:
        read_dataset(make(tmp_path))
    assert "\n" not in str(error.value)


def test_your_own_classes_are_the_names_of_your_folders(tmp_path: Path):
    _own(tmp_path, {"train/tired": 3, "train/Awake": 2, "train/müde": 1, "test/tired": 2, "test/Awake": 0})
    _touch(tmp_path / "train" / "tired" / ".hidden.png")
    _touch(tmp_path / "train" / "tired" / "notes.txt")
    (tmp_path / "train" / "tired" / "deeper.png").mkdir()
    (tmp_path / "train" / ".cache").mkdir()
    training, test = read_dataset(tmp_path), read_dataset(tmp_path, "test")
    assert training.classes == test.classes == ("Awake", "müde", "tired")
    assert training.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert test.labels.tolist() == [2, 2]
    assert training.votes is None
    assert training.skipped == ()
    assert training.take(np.array([3])).classes == training.classes


def test_folders_of_classes_alone_are_all_train(tmp_path: Path):
    _own(tmp_path, {"grim": 1, "glad": 2})
    data = read_dataset(tmp_path)
    assert data.classes == ("glad", "grim")
    assert data.labels.tolist() == [0, 0, 1]
    with pytest.raises(DatasetError, match="no test/ folder; found glad, grim"):
        read_dataset(tmp_path, "test")


def test_the_seven_keep_their_order_in_every_layout(tmp_path: Path):
    _own(tmp_path, dict.fromkeys(EXPRESSIONS, 1))
    data = read_dataset(tmp_path)
    assert data.classes is EXPRESSIONS
    assert data.labels.tolist() == list(range(7))


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path):
    _own(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/c": 1})
    with pytest.raises(DatasetError, match=r"test: c is no class of .*train, which has a, b$"):
        read_dataset(tmp_path, "test")


def test_where_nothing_is_learnt_the_test_has_its_own_classes(tmp_path: Path):
    _own(tmp_path, {"test/a": 1, "test/b": 2})
    assert read_dataset(tmp_path, "test").classes == ("a", "b")


def test_pictures_of_any_size_and_colour_are_made_faces(tmp_path: Path):
    _own(tmp_path, {"a": 0, "b": 1})
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (60, 30, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a" / "tall.png")
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "a" / "print.JPG", quality=95)
    Image.fromarray(colour[:, :, 0]).save(tmp_path / "a" / "grey.tiff")
    Image.fromarray(colour).save(tmp_path / "a" / "lossless.webp", lossless=True)
    data = read_dataset(tmp_path)
    assert data.labels.tolist() == [0, 0, 0, 0, 1]
    grey, lossless, _, tall = data.images[:4]
    assert np.array_equal(tall, whole_picture(colour))
    assert np.array_equal(lossless, tall)
    assert np.array_equal(grey, whole_picture(np.repeat(colour[:, :, :1], 3, axis=2)))


def test_small_grey_jpegs_are_read_to_the_bit(tmp_path: Path):
    _own(tmp_path, {"a": 1, "b": 1})
    path = tmp_path / "a" / "0.jpg"
    (tmp_path / "a" / "0.png").rename(path)
    Image.fromarray(drawn_face(0, np.random.default_rng(5))).save(path)
    assert np.array_equal(read_dataset(tmp_path).images[0], np.asarray(Image.open(path)))


def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path: Path):
    _own(tmp_path, {"train/a": 2, "train/b": 2})
    broken = _touch(tmp_path / "train" / "a" / "1.jpg", "not a picture")
    cut = tmp_path / "train" / "b" / "0.png"
    cut.write_bytes(cut.read_bytes()[:200])
    gone = tmp_path / "train" / "b" / "gone.png"
    gone.symlink_to("nowhere.png")
    data = read_dataset(tmp_path)
    assert data.labels.tolist() == [0, 0, 1]
    assert [line.split(": ")[0] for line in data.skipped] == [str(broken), str(cut), str(gone)]
    assert not any("\n" in line for line in data.skipped)


@pytest.mark.parametrize(
    ("broken", "says"), [(["a"], "a: none of its pictures"), (["a", "b"], "has no images")]
)
def test_where_no_picture_is_left_to_learn_from_the_first_is_named(
    tmp_path: Path, broken: list[str], says: str
):
    _own(tmp_path, {"a": 1, "b": 1})
    for name in broken:
        (tmp_path / name / "0.png").write_text("not a picture")
    with pytest.raises(DatasetError, match=rf"{says}.*{tmp_path}/a/0\.png: is not a JPEG"):
        read_dataset(tmp_path)


def test_faces_are_found_in_photographs(tmp_path: Path, examples: Path):
    for name, picture in (("glad", "obama.jpg"), ("grim", "grace_hopper.jpg")):
        (tmp_path / name).mkdir()
        (tmp_path / name / picture).write_bytes((examples / picture).read_bytes())
    nobody = tmp_path / "grim" / "wall.png"
    Image.fromarray(np.full((300, 300), 128, np.uint8)).save(nobody)
    data = read_dataset(tmp_path, find_faces=True)
    assert data.labels.tolist() == [0, 1]
    assert data.skipped == (f"{nobody}: no face was found",)
    image = read_image(tmp_path / "glad" / "obama.jpg")
    found = CenterFace().detect(image)
    assert np.array_equal(data.images[0], align_faces(image, found.boxes[:1], found.landmarks[:1])[0])


def test_no_faces_are_found_in_tables(tmp_path: Path):
    with pytest.raises(ConfigError, match="folders of photographs"):
        read_dataset(write_csv(tmp_path, votes=False), find_faces=True)


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims this size, and holds nothing of its pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": b"no picture"}, "not a readable picture"),
        ({"image": png_of(30_000, 30_000)}, r"not a readable picture \(30000×30000 is more than the limit"),
        ({"image": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n"}, r"not .* \(is not a JPEG, PNG"),
        ({"image": png(np.zeros((48, 49), np.uint8))}, "49×48 pixels; FER-2013's faces are 48×48"),
        ({"image": None}, r"its image is no bytes of a picture \(NoneType\)"),
        ({"emotion": "content"}, "'content' is none of angry"),
        ({"ferplus_votes": [1] * 5}, r"not ten votes, whole numbers of people \(found \[1, 1, 1, 1, 1\]\)"),
        ({"ferplus_votes": None}, "not ten votes"),
        ({"ferplus_votes": [1] * 9 + [None]}, "not ten votes"),
        ({"ferplus_votes": [1] * 9 + [300]}, "not ten votes"),
        ({"ferplus_votes": [1] * 9 + [-1]}, "not ten votes"),
        ({"ferplus_votes": [0.1] * 10}, "not ten votes, whole numbers of people"),
    ],
)
def test_a_damaged_row_of_a_table_is_an_error_that_names_it(tmp_path: Path, changes: dict, says: str):
    good = {
        "usage": "Training",
        "emotion": "sad",
        "image": png(rows(USAGES)[0][2]),
        "ferplus_votes": [1] * 10,
    }
    other = good | {"usage": "PublicTest"}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([good, other, good | changes, good]), path)
    with pytest.raises(DatasetError, match=rf"x\.parquet, row 2: {says}"):
        read_dataset(path)


def test_pictures_in_records_are_told(tmp_path: Path):
    row = {
        "usage": "Training",
        "emotion": "sad",
        "image": {"bytes": b"", "path": ""},
        "ferplus_votes": [1] * 10,
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match=r"no bytes of a picture \(dict\)"):
        read_dataset(tmp_path / "x.parquet")


@pytest.mark.parametrize("usage", [["Training"], {"name": "Training"}], ids=str)
def test_usages_that_are_no_words_are_told(tmp_path: Path, usage: list[str] | dict[str, str]):
    row = {"usage": usage, "emotion": "sad", "image": b"", "ferplus_votes": [1] * 10}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    with pytest.raises(
        DatasetError, match=r"x\.parquet: its column 'usage' must hold words such as Training"
    ):
        read_dataset(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"emotion,pixels,Usage\n\xff\xfe", "utf-8"), (b"emotion,pixels,Usage\n" + b"1" * 200_000, "limit")],
)
@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013new.csv"])
def test_a_csv_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes, says: str):
    write_csv(tmp_path, votes=True)
    if name == "fer2013new.csv":
        content = (tmp_path / name).read_bytes().splitlines()[0] + b"\n" + content.split(b"\n")[1]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{name}: not a readable CSV file \(.*{says}"):
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


@pytest.mark.parametrize("seed", range(20))
def test_every_class_of_two_faces_is_in_both_parts(seed: int):
    labels = np.repeat(np.arange(6), [1, 2, 2, 3, 5, 60])
    images = noise(len(labels), seed)
    data = Dataset(images, labels, None, classes=tuple("abcdef"))
    learn, choose = split_validation(data)
    assert set(learn.labels) == set(range(6))
    assert set(choose.labels) == set(range(1, 6))
    assert len(learn) + len(choose) == len(labels)
    assert learn.classes == choose.classes == data.classes
    order = np.random.default_rng(seed).permutation(len(labels))
    again = split_validation(data.take(order))[1]
    assert {image.tobytes() for image in again.images} == {image.tobytes() for image in choose.images}


def test_a_class_of_which_all_faces_are_in_the_tenth_gives_one_back():
    images = noise(600)
    tenth = np.array([crc32(image.tobytes()) % 10 == 0 for image in images])
    learn, choose = split_validation(Dataset(images, np.where(tenth, 1, 0), None))
    assert np.bincount(learn.labels).tolist()[1] == 1
    assert np.bincount(choose.labels).tolist() == [1, tenth.sum() - 1]


def test_a_class_that_is_one_face_over_again_is_named():
    images = np.concatenate([noise(50), np.repeat(noise(1, seed=9), 4, axis=0)])
    data = Dataset(images, np.repeat([0, 1], [50, 4]), None, classes=("many", "same"))
    with pytest.raises(DatasetError, match="same: none of its 4 faces"):
        split_validation(data)


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
def test_the_real_faces_are_read_to_the_bit(fer2013: Path):
    images = pq.read_table(fer2013, columns=["usage", "image"]).slice(0, 500).to_pylist()
    shown = [np.asarray(Image.open(io.BytesIO(row["image"]))) for row in images if row["usage"] == "Training"]
    assert np.array_equal(read_dataset(fer2013).images[: len(shown)], shown)


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


def _own(root: Path, pictures: dict[str, int]) -> Path:
    """A person's own folders: so many made-up faces in each."""
    random = np.random.default_rng(3)
    for name, count in pictures.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(drawn_face(number % 7, random)).save(root / name / f"{number}.png")
    return root
