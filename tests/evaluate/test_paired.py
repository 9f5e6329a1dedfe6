from pathlib import Path

import numpy as np
import pytest

from mien.datasets import read_dataset
from mien.errors import ConfigError, DatasetError
from mien.evaluate.answers import Answers, Reading, answers_of_model, write_predictions
from mien.evaluate.compare import compare, gather, paired
from mien.evaluate.report import write_comparison
from mien.evaluate.truths import ORIGINAL, People, Truth, people_of
from mien.labels import EXPRESSIONS


def model(name: str, answers: np.ndarray, words: tuple[str, ...] = EXPRESSIONS) -> Answers:
    return Answers(name, name, {"probabilities": Reading(words, np.eye(len(words))[answers])})


def truth(labels: np.ndarray) -> Truth:
    return Truth("key", "title", "probabilities", ("a", "b"), labels)


def test_mcnemar_by_hand():
    labels = np.array([0] * 10 + [1] * 10 + [-1])
    first = np.array([True] * 10 + [False] * 10 + [True])
    other = first.copy()
    other[:1] = False
    other[10:17] = True
    other[20] = False  # not counted
    found = paired(truth(labels), other, first)
    assert (found["only_other_right"], found["only_first_right"]) == (7, 1)
    assert found["mcnemar_p"] == pytest.approx(2 * (1 + 8) / 2**8)
    assert found["accuracy"]["value"] == pytest.approx(6 / 20)
    assert found["mean_recall"]["value"] == pytest.approx((-0.1 + 0.7) / 2)


def test_the_same_model_twice_differs_in_nothing():
    right = np.random.default_rng(0).random(50) < 0.7
    found = paired(truth(np.arange(50) % 2), right, right)
    assert found["mcnemar_p"] == 1.0
    assert found["accuracy"] == {"value": 0.0, "interval_95": [0.0, 0.0]}


def test_the_paired_interval_is_narrower_than_two_apart():
    random = np.random.default_rng(1)
    first = random.random(2000) < 0.7
    other = first ^ (random.random(2000) < 0.02)
    found = paired(truth(np.arange(2000) % 2), other, first)
    low, high = found["accuracy"]["interval_95"]
    difference = other.astype(float) - first
    half = 1.96 * difference.std() / np.sqrt(2000)
    assert [low, high] == pytest.approx([difference.mean() - half, difference.mean() + half], abs=0.001)
    assert high - low < 0.02


def test_noise_is_not_read_as_progress():
    random = np.random.default_rng(2)
    labels = np.arange(700) % 7
    people = People(EXPRESSIONS, labels, None)
    alike = [np.where(random.random(700) < 0.6, labels, (labels + 1) % 7) for _ in range(2)]
    better = np.where(random.random(700) < 0.75, labels, (labels + 1) % 7)
    found = compare([model("a", alike[0]), model("b", alike[1]), model("c", better)], people)
    same, real = found["truths"]["labels"]["against_first"]
    assert same["mcnemar_p"] > 0.05
    assert same["accuracy"]["interval_95"][0] < 0 < same["accuracy"]["interval_95"][1]
    assert real["mcnemar_p"] < 0.001
    assert real["accuracy"]["interval_95"][0] > 0


def test_models_may_order_their_words_differently():
    labels = np.arange(70) % 7
    backwards = EXPRESSIONS[::-1]
    found = compare(
        [model("a", labels), model("b", 6 - labels, backwards)], People(EXPRESSIONS, labels, None)
    )
    rows = found["truths"]["labels"]["models"]
    assert [row["accuracy"]["value"] for row in rows] == [1.0, 1.0]
    assert found["truths"]["labels"]["against_first"][0]["mcnemar_p"] == 1.0


def test_a_page_of_models_of_which_one_knows_a_word_more(tmp_path: Path):
    labels = np.arange(70) % 7
    wider = (*EXPRESSIONS, "contempt")
    for models in ([("a", wider), ("b", EXPRESSIONS)], [("b", EXPRESSIONS), ("a", wider)]):
        found = compare(
            [model(name, labels, words) for name, words in models], People(EXPRESSIONS, labels, None)
        )
        write_comparison(found, tmp_path / "side.html")
        page = (tmp_path / "side.html").read_text()
        assert "<th>contempt</th><td>0</td>" in page
        assert "<td>–</td>" in page


@pytest.fixture(scope="module")
def files(voted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What mien says of the made-up faces; and a peer that says the label of most of them, and nothing else."""
    folder = tmp_path_factory.mktemp("files")
    data = read_dataset(voted, "PublicTest")
    answers, _ = answers_of_model("base", data.images, threads=1)
    write_predictions(folder / "mien.parquet", answers, data)
    words = [EXPRESSIONS[label if row % 5 else 0] for row, label in enumerate(data.labels)]
    (folder / "peer.csv").write_text(
        "row,answer\n" + "".join(f"{row},{word}\n" for row, word in enumerate(words))
    )
    return folder / "mien.parquet", folder / "peer.csv"


def test_files_are_enough_if_one_says_what_people_said(files: tuple[Path, Path], voted: Path, tmp_path: Path):
    mien, peer = map(str, files)
    answers, people = gather([peer, mien], None)
    assert np.array_equal(people.labels, read_dataset(voted, "PublicTest").labels)
    found = compare(answers, people)
    with_data, same = gather([peer, mien], read_dataset(voted, "PublicTest"))
    assert compare(with_data, same) == found
    assert found["truths"][ORIGINAL]["models"][0]["accuracy"]["value"] > 0.7
    assert found["truths"][ORIGINAL]["models"][0]["calibration"] is None
    write_comparison(found, tmp_path / "side.html")
    page = (tmp_path / "side.html").read_text()
    assert "peer and mien, side by side" in page
    assert "http" not in page


def test_models_and_files_side_by_side(files: tuple[Path, Path], voted: Path):
    answers, people = gather(["base", str(files[1])], read_dataset(voted, "PublicTest"), threads=1)
    assert [one.name for one in answers] == ["base", "peer"]
    assert np.array_equal(people.labels, people_of(read_dataset(voted, "PublicTest")).labels)
    found = compare(answers, people)
    assert set(found["truths"]) == {"ferplus_majority_7", "ferplus_majority_8", "original_labels"}
    assert len(found["votes"]) == 2


def test_wrong_use_is_told(files: tuple[Path, Path], voted: Path, tmp_path: Path):
    mien, peer = map(str, files)
    with pytest.raises(ConfigError, match=r"base is a model.*--data"):
        gather(["base", peer], None)
    with pytest.raises(ConfigError, match="none of the files has the column 'label'"):
        gather([peer, peer], None)
    (tmp_path / "other.csv").write_text(
        "row,answer,label\n" + "".join(f"{row},sad,angry\n" for row in range(42))
    )
    with pytest.raises(DatasetError, match=r"other\.csv, row \d+: has another label"):
        gather([mien, str(tmp_path / "other.csv")], None)
    (tmp_path / "short.csv").write_text("row,answer\n0,sad\n")
    with pytest.raises(DatasetError, match=r"short\.csv: is about other faces"):
        gather([mien, str(tmp_path / "short.csv")], None)
    with pytest.raises(DatasetError, match=r"short\.csv: has 1 rows, and the split has 42"):
        gather([mien, str(tmp_path / "short.csv")], read_dataset(voted, "PublicTest"))
