import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score

from mien.evaluate.metrics import (
    accuracy,
    interval,
    macro_f1,
    mean_recall,
    resampled_ratios,
    rounded,
    score,
    with_interval,
)
from mien.evaluate.truths import Truth

WORDS = ("a", "b", "c")


def truth(labels: list[int], words: tuple[str, ...] = WORDS) -> Truth:
    return Truth("key", "title", "probabilities", words, np.array(labels))


def test_a_small_table_by_hand():
    shares = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0]])
    found = score(shares, truth([0, 1, 1, 1, -1]))
    assert (found["n"], found["left_out"]) == (4, 1)
    assert found["accuracy"]["value"] == 0.5
    assert found["mean_recall"]["value"] == pytest.approx(
        (1 + 1 / 3) / 2
    )  # c has no face, and counts nothing
    assert found["top2"] == 1.0
    assert found["confusion"] == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert found["classes"]["b"] == {"n": 3, "precision": 1.0, "recall": pytest.approx(1 / 3), "f1": 0.5}
    assert found["classes"]["c"] == {"n": 0, "precision": 0.0, "recall": None, "f1": None}


def test_bare_answers_have_no_second():
    assert score(np.eye(3), truth([0, 1, 2]), graded=False)["top2"] is None


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.int64, (30, 2), elements=st.integers(0, 3)))
def test_means_over_classes_are_those_of_scikit_learn(pairs: np.ndarray):
    labels, answers = pairs.T
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    present = np.unique(labels)
    recalls = [(answers[labels == word] == word).mean() for word in present]
    assert mean_recall(confusion) == pytest.approx(np.mean(recalls))
    assert macro_f1(confusion) == pytest.approx(
        f1_score(labels, answers, labels=present, average="macro", zero_division=0.0)
    )


def test_an_interval_of_an_accuracy_is_that_of_the_binomial():
    counts = np.array([[700, 100], [200, 500]])
    found = with_interval(counts, accuracy)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 1500)
    assert found["value"] == pytest.approx(0.8)
    assert found["interval_95"] == pytest.approx([0.8 - half, 0.8 + half], abs=0.003)
    assert with_interval(counts, accuracy) == found  # the seed is fixed


def test_drawing_counts_is_drawing_faces():
    random = np.random.default_rng(3)
    right = (random.random(400) < 0.7).astype(float)
    faces = interval(resampled_ratios(right[:, None], np.ones(400))[:, 0])
    counts = with_interval(np.array([[int(right.sum()), 400 - int(right.sum())], [0, 0]]), accuracy)
    assert faces == pytest.approx(counts["interval_95"], abs=0.01)


def test_rounding_leaves_tiny_probabilities_their_size():
    record = {"a": np.float64(0.123456), "b": [np.int64(3), 2.3456e-9], "c": None, "d": (True, "x")}
    assert rounded(record) == {"a": 0.1235, "b": [3, 2.3e-9], "c": None, "d": [True, "x"]}
