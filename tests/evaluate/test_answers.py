import contextlib
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

from mien.classify import Classifier
from mien.datasets import read_dataset
from mien.errors import DatasetError
from mien.evaluate.answers import (
    answers_of_model,
    image_keys,
    read_faces,
    read_predictions,
    write_predictions,
)
from mien.evaluate.run import fitting
from mien.labels import CROWD, EXPRESSIONS

CROWD_COLUMNS = [f"crowd_{word}" for word in CROWD]
VOTE_COLUMNS = [f"votes_{word}" for word in CROWD]
EVEN = [str(round(1 / 7, 4))] * 7


def write(path: Path, header: list[str], *rows: list[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_models_readings_come_with_its_temperatures_and_its_hash():
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    seen: list[int] = []
    answers, classifier = answers_of_model("base", faces, threads=1, advance=seen.append)
    assert answers.name == classifier.name == "base"
    assert len(answers.sha256) == 64
    assert {"probabilities", "crowd", "fer2013"} <= set(answers.temperatures)
    assert sum(seen) == 3
    direct = Classifier("base", threads=1).classify(faces)
    assert answers.readings["crowd"].words == CROWD
    assert answers.readings["crowd"].shares == pytest.approx(direct.crowd.astype(np.float64))


def test_the_network_is_opened_once(monkeypatch: pytest.MonkeyPatch):
    opened: list[int] = []

    class Counted(onnxruntime.InferenceSession):
        def __init__(self, *arguments, **options):
            opened.append(1)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Counted)
    answers, _ = answers_of_model("nano", np.zeros((1, 48, 48), np.uint8), threads=1)
    assert len(opened) == 1
    assert answers.views is not None


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    faces = np.random.default_rng(1).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    classifier = Classifier("base", threads=1)
    whole = read_faces(classifier, faces)
    monkeypatch.setattr("mien.evaluate.answers._CHUNK", 2)
    parts = read_faces(classifier, faces)
    assert parts["probabilities"].shares == pytest.approx(whole["probabilities"].shares, abs=1e-6)


def test_what_is_written_is_read(voted: Path, tmp_path: Path):
    data = read_dataset(voted, "PublicTest")
    answers, _ = answers_of_model("base", data.images, threads=1)
    write_predictions(tmp_path / "said.parquet", answers, data)
    assert len(pq.read_table(tmp_path / "said.parquet")) == len(data) == 42
    back = read_predictions(tmp_path / "said.parquet")
    for name, reading in answers.readings.items():
        assert back.answers.readings[name].words == reading.words
        assert back.answers.readings[name].shares == pytest.approx(reading.shares, abs=1e-6)
    assert back.images is not None
    assert np.array_equal(back.images, image_keys(data.images))
    assert back.people is not None
    assert back.people.votes is not None
    assert np.array_equal(back.people.labels, data.labels)
    assert np.array_equal(back.people.votes, data.votes)


def test_a_peer_may_write_its_rows_in_any_order(tmp_path: Path):
    shares = np.eye(7)[[2, 0, 6]]
    rows = [[row, *shares[row]] for row in (2, 0, 1)]
    found = read_predictions(write(tmp_path / "peer.csv", ["row", *EXPRESSIONS], *rows))
    reading = found.answers.readings["probabilities"]
    assert reading.words == EXPRESSIONS
    assert reading.shares.argmax(axis=1).tolist() == [2, 0, 6]
    assert (found.images, found.people) == (None, None)


def test_a_peer_may_have_words_only(tmp_path: Path):
    found = read_predictions(write(tmp_path / "peer.csv", ["row", "answer"], [0, "sad"], [1, "happy"]))
    reading = found.answers.readings["probabilities"]
    assert not reading.graded
    assert [reading.words[index] for index in reading.shares.argmax(axis=1)] == ["sad", "happy"]


def test_a_key_of_digits_stays_a_key(tmp_path: Path):
    path = write(tmp_path / "peer.csv", ["row", "image", "answer"], [0, "00000012", "sad"])
    assert read_predictions(path).images == [0x12]


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (["angry", "sad"], [[0.5, 0.5]], "no column 'row'"),
        (["row", "angry", "sad"], [[0, 0.5, 0.5], [0, 0.5, 0.5]], "each once"),
        (["row", "angry", "sad"], [[1, 0.5, 0.5]], "0 to N-1"),
        (["row", "angry", "sad"], [], "found 0 rows"),
        (["row", "angry", "sad"], [[0, 80, 20]], "row 0: angry, sad must be shares"),
        (["row", "angry", "sad"], [[0, 1.5, -0.5]], "must be shares"),
        (["row", "angry", "sad"], [[0, "much", "little"]], "must be numbers"),
        (["row", "angry", "sad"], [[0, "", 1.0]], "none missing"),
        (["row", "angry"], [[0, 1.0]], "needs a column for each expression"),
        (["row", "angry", "sad", "angry"], [[0, 0.5, 0.5, 0]], "has 'angry' twice, give each column a name"),
        (["row", "image", "answer"], [[0, "no key", "sad"]], "hexadecimal"),
        (
            ["row", *CROWD_COLUMNS],
            [[0, *[0.1] * 10]],
            "with columns crowd_..., probabilities_... are needed too",
        ),
        (
            ["row", "answer", "label", *VOTE_COLUMNS],
            [[0, "sad", "sad", 0.8, 0.2, *[0] * 8]],
            "row 0: votes must be whole",
        ),
        (
            ["row", "answer", "label", *VOTE_COLUMNS],
            [[0, "sad", "sad", -1, *[0] * 9]],
            "row 0: votes must be whole",
        ),
        (
            ["row", "answer", "label", *VOTE_COLUMNS],
            [[0, "sad", "sad", 300, *[0] * 9]],
            "row 0: votes must be whole",
        ),
        (
            ["row", "answer", "label", *VOTE_COLUMNS],
            [[0, "sad", "contempt", 10, *[0] * 9]],
            "'label' must be one of",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, header: list[str], rows: list, says: str):
    with pytest.raises(DatasetError, match=rf"peer\.csv.*{says}"):
        read_predictions(write(tmp_path / "peer.csv", header, *rows))


@pytest.mark.parametrize("name", ["peer.csv", "peer.parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"row,m\xfcde,wach\n0,0.5,0.5\n", None])
def test_rubbish_is_refused(tmp_path: Path, name: str, content: bytes | None):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        read_predictions(tmp_path / name)


def test_predictions_must_be_about_these_faces(voted: Path, tmp_path: Path):
    data = read_dataset(voted, "PublicTest")
    keys = [f"{key:08x}" for key in image_keys(data.images)]
    rows = [[row, key, *EVEN] for row, key in enumerate(keys)]
    header = ["row", "image", *EXPRESSIONS]
    good = read_predictions(write(tmp_path / "good.csv", header, *rows))
    assert fitting(good, data, "good.csv") is good.answers
    with pytest.raises(DatasetError, match="has 42 rows, and the split has 41 faces"):
        fitting(good, data.take(np.arange(41)), "good.csv")
    swapped = replace(good, images=good.images[::-1])  # type: ignore[index]
    with pytest.raises(DatasetError, match="row 0: is about another picture"):
        fitting(swapped, data, "swapped.csv")
    said = [(EXPRESSIONS[label], *votes) for label, votes in zip(data.labels, data.votes, strict=True)]
    header = ["row", *EXPRESSIONS, "label", *VOTE_COLUMNS]
    for change, says in (
        ({}, None),
        ({"label": "fear"}, "row 3: has another label"),
        ({"votes": 9}, "row 3"),
    ):
        rows = [[row, *EVEN, *said[row]] for row in range(len(data))]
        if change:
            rows[3] = [
                3,
                *EVEN,
                change.get("label", said[3][0]),
                change.get("votes", said[3][1]),
                *said[3][2:],
            ]
        file = read_predictions(write(tmp_path / "said.csv", header, *rows))
        with pytest.raises(DatasetError, match=says) if says else contextlib.nullcontext():
            fitting(file, data, "said.csv")
