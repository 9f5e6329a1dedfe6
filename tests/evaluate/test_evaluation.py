import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mien.datasets import data_sha256, read_dataset
from mien.errors import ConfigError, DatasetError
from mien.evaluate.answers import Answers, Reading
from mien.evaluate.report import to_json, write_report
from mien.evaluate.run import Evaluation, calibrated, evaluate
from mien.evaluate.truths import Truth
from mien.labels import EXPRESSIONS
from support import write_own_model


@pytest.fixture(scope="module")
def found(voted: Path) -> Evaluation:
    return evaluate(voted, split="PublicTest", threads=1)


def test_every_truth_is_there_with_its_n(found: Evaluation):
    accuracy = found.metrics["accuracy"]
    assert {key: (row["n"], row["left_out"]) for key, row in accuracy.items()} == {
        "ferplus_majority_7": (35, 7),
        "ferplus_majority_8": (35, 7),
        "original_labels": (42, 0),
    }
    for row in accuracy.values():
        low, high = row["accuracy"]["interval_95"]
        assert low <= row["accuracy"]["value"] <= high
        assert np.sum(row["confusion"]) == row["n"]
    assert found.metrics["votes"]["n"] == 42
    # Without one of eight, seven agree: a person is right in 8 of 10 on 35 faces; on the split ones less.
    assert 0.66 < found.metrics["votes"]["agreement"]["person"]["value"] < 0.8
    assert found.metrics["without_copies_in_training"]["copies"] == 0


def test_an_empty_class_is_told(found: Evaluation):
    assert any("8 classes: no face is contempt" in note for note in found.notes)


def test_the_temperature_is_undone(found: Evaluation):
    record = found.metrics["calibration"]["ferplus_majority_7"]
    assert record["temperature"] == pytest.approx(found.answers.temperatures["probabilities"], abs=1e-4)
    assert record["before"]["log_loss"] != record["after"]["log_loss"]


def test_before_the_temperature_is_the_network_itself():
    plain = np.random.default_rng(0).dirichlet(np.ones(7), 60)
    sharp = plain**2 / (plain**2).sum(axis=1, keepdims=True)
    truth = Truth("key", "title", "probabilities", EXPRESSIONS, np.arange(60) % 7)
    answers = Answers("name", "", {"probabilities": Reading(EXPRESSIONS, sharp)}, {"probabilities": 0.5})
    untouched = Answers("name", "", {"probabilities": Reading(EXPRESSIONS, plain)})
    before, after = calibrated(truth, answers)["before"], calibrated(truth, untouched)["after"]
    assert before["log_loss"] == pytest.approx(after["log_loss"])
    assert calibrated(truth, untouched)["before"] is None


def test_a_second_person_gets_the_same_figures(found: Evaluation, voted: Path):
    assert to_json(evaluate(voted, split="PublicTest", threads=1).metrics) == to_json(found.metrics)


def test_other_data_have_another_hash(voted: Path):
    data = read_dataset(voted, "PublicTest")
    hashes = {
        data_sha256(data),
        data_sha256(data.take(np.arange(41))),
        data_sha256(read_dataset(voted, "train")),
    }
    assert len(hashes) == 3


def test_copies_of_training_faces_are_counted_out(voted: Path, tmp_path: Path):
    shutil.copytree(voted, tmp_path / "leaky")
    rows = (tmp_path / "leaky" / "fer2013.csv").read_text().splitlines()
    rows[40] = rows[5].replace("Training", "PublicTest")
    (tmp_path / "leaky" / "fer2013.csv").write_text("\n".join(rows) + "\n")
    fresh = evaluate(tmp_path / "leaky", split="PublicTest", threads=1).metrics["without_copies_in_training"]
    assert fresh["copies"] == 1
    assert fresh["original_labels"]["n"] == 41


def test_the_folder_that_is_written(found: Evaluation, tmp_path: Path):
    write_report(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.json",
        "predictions.parquet",
        "figures",
        "report.html",
    }
    assert json.loads((tmp_path / "metrics.json").read_text()) == found.metrics
    assert len(pq.read_table(tmp_path / "predictions.parquet")) == 42
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"agreement.png", "reliability.png", "confusion-original_labels.png"} <= names
    for name in names:
        with Image.open(tmp_path / "figures" / name) as picture:
            assert min(picture.size) > 300
    page = (tmp_path / "report.html").read_text()
    agreement = found.metrics["votes"]["agreement"]
    assert f"{100 * agreement['model']['value']:.1f}%" in page
    # One file, which asks nothing of any network.
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert "@import" not in page
    assert "<script" not in page
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_folders_without_votes(made_folders: Path, tmp_path: Path):
    found = evaluate(made_folders, threads=1)
    assert set(found.metrics["accuracy"]) == {"labels", "original_labels"}
    assert "votes" not in found.metrics
    assert any("no FER+ votes" in note for note in found.notes)
    write_report(found, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "what the data’s labels say" in page
    assert "Most disputed" not in page


def test_one_vote_a_face_is_told_and_left_out(voted: Path, tmp_path: Path):
    """As who has labels alone may fill the columns of votes."""
    shutil.copytree(voted, tmp_path / "data")
    path = tmp_path / "data" / "fer2013new.csv"
    heading, *lines = path.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    path.write_text("\n".join([heading, *(",".join([*row[:2], "1", *"0" * 9]) for row in cells)]) + "\n")
    found = evaluate(tmp_path / "data", split="PublicTest", threads=1)
    assert set(found.metrics["accuracy"]) == {"labels", "original_labels"}
    assert not {"votes", "label_noise"} & set(found.metrics)
    assert found.metrics["data"]["votes"] is False
    assert any(note.startswith("no face has two FER+ votes: agreement with people") for note in found.notes)
    write_report(found, tmp_path)
    assert "Most disputed" not in (tmp_path / "report.html").read_text()


def test_labels_that_do_not_fit_are_told(made_folders: Path, tmp_path: Path):
    own = tmp_path / "own" / "test"
    for source, name in (("happy", "smiling"), ("sad", "crying")):
        shutil.copytree(made_folders / "test" / source, own / name)
    with pytest.raises(ConfigError, match="labels do not fit the data: it does not know crying, smiling"):
        evaluate(tmp_path / "own", threads=1)


def test_a_part_of_the_classes_is_enough(made_folders: Path, tmp_path: Path):
    for name in ("happy", "sad"):
        shutil.copytree(made_folders / "test" / name, tmp_path / "own" / "test" / name)
    found = evaluate(tmp_path / "own", threads=1)
    (row,) = found.metrics["accuracy"].values()
    assert row["n"] == 8
    assert row["classes"]["angry"]["n"] == 0
    assert any("no face is angry" in note for note in found.notes)


def test_a_model_of_its_own_classes_on_folders_of_these(made_own_folders: Path, tmp_path: Path):
    model = write_own_model(tmp_path / "own.onnx", ("merry", "calm", "cross"))
    found = evaluate(made_own_folders, str(model), threads=1)
    (row,) = found.metrics["accuracy"].values()
    assert {word: counts["n"] for word, counts in row["classes"].items()} == {
        "merry": 8,
        "calm": 8,
        "cross": 8,
    }
    assert list(row["classes"]) == ["merry", "calm", "cross"]
    assert not any("FER+" in note for note in found.notes)  # nobody votes on classes of one's own
    assert set(found.answers.readings) == {"probabilities"}
    write_report(found, tmp_path)
    assert set(pq.read_table(tmp_path / "predictions.parquet").column_names) >= {
        f"probabilities_{word}" for word in found.data.classes
    }


def test_a_model_of_other_classes_does_not_fit(voted: Path, own_model: Path):
    with pytest.raises(ConfigError, match="does not know angry, disgust"):
        evaluate(voted, str(own_model), split="PublicTest", threads=1)


@pytest.mark.parametrize("split", ["PrivateTest", "validation"])
def test_a_split_that_is_not_there_is_told(voted: Path, split: str):
    with pytest.raises((ConfigError, DatasetError), match=split):
        evaluate(voted, split=split, threads=1)


def test_a_file_of_predictions_cannot_read_spoilt_faces(voted: Path):
    with pytest.raises(ConfigError, match="leave out --robustness"):
        evaluate(voted, "peer.csv", split="PublicTest", robustness=True)


@pytest.mark.fer2013
def test_the_person_is_the_one_of_the_literature(fer2013: Path):
    from mien.evaluate.votes import agreement

    votes = read_dataset(fer2013, "PublicTest").votes
    assert votes is not None
    found = agreement(np.eye(10)[votes.argmax(axis=1)], votes.astype(np.float64))
    assert found["person"]["value"] == pytest.approx(0.735, abs=0.003)
    # Nobody can agree with nine people more often than their own plurality does.
    assert 0.9 < found["model"]["value"] < 1
