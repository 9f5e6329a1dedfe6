from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ConfigError
from mien.prior import leanings, prior_shares, read_prior, shift

WORDS = ("a", "b", "c")


def test_shares_are_in_proportion():
    assert prior_shares("even", WORDS).tolist() == [1 / 3] * 3
    assert np.allclose(prior_shares({"c": 6, "a": 3, "b": 0}, WORDS), [1 / 3, 0, 2 / 3])
    assert np.allclose(prior_shares({"c": np.float32(1), "a": 1e308, "b": 1e308}, WORDS), [0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        ({"a": 1, "b": 1}, "lacks c; it needs one number for each of a, b, c"),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, "names d"),
        ({"a": 1, "b": 1, "c": -0.1}, "c = -0.1, must be a number of 0 or more"),
        ({"a": 1, "b": 1, "c": float("nan")}, "c = nan"),
        ({"a": 1, "b": 1, "c": float("inf")}, "c = inf"),
        ({"a": 1, "b": 1, "c": "1"}, "c = '1'"),
        ({"a": 1, "b": 1, "c": True}, "c = True"),
        ({"a": 0, "b": 0, "c": 0}, "all numbers are 0"),
        ("odd", "'odd': give 'even', or a number for each"),
        ([1, 1, 1], "give 'even', or a number for each"),
        (np.ones(3), "give 'even', or a number for each"),
        ({"a": 1, "b": 1, "c": 10**400}, "c = 1000"),
    ],
)
def test_a_prior_that_is_none_is_refused(prior, says: str):
    with pytest.raises(ConfigError, match=says) as error:
        prior_shares(prior, WORDS)
    assert "\n" not in str(error.value)


def test_files(tmp_path: Path):
    (tmp_path / "a.toml").write_text('a = 1\nb = 0.5\n"very sad" = 0\n')
    (tmp_path / "a.json").write_text('{"a": 1, "b": 0.5, "very sad": 0}')
    assert (
        read_prior(tmp_path / "a.toml")
        == read_prior(tmp_path / "a.json")
        == {"a": 1, "b": 0.5, "very sad": 0}
    )
    (tmp_path / "b.toml").write_bytes(b"a = 1 # \xff")
    with pytest.raises(ConfigError, match="neither TOML nor JSON"):
        read_prior(tmp_path / "b.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prior(tmp_path)


shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda values: np.array(values) / sum(values)
)


@given(shares, shares, shares)
def test_moving_there_and_back_changes_nothing(probabilities: np.ndarray, old: np.ndarray, new: np.ndarray):
    answer = probabilities[None].astype(np.float32)
    moved = shift(answer, old, new)
    assert moved.dtype == np.float32
    assert np.isclose(moved.sum(), 1, atol=1e-6)
    assert np.allclose(shift(moved, new, old), answer, atol=1e-4)


@given(shares, shares)
def test_whoever_knows_nothing_says_the_prior(old: np.ndarray, new: np.ndarray):
    assert np.allclose(shift(old[None].astype(np.float32), old, new), new, atol=1e-5)


def test_bayes_by_counting():
    """100 pictures, half of them sad; the answer is right by count, and stays so when the happy ones triple."""
    # Of those with this face 30 are sad and 10 happy: 0.75. With three times the happy ones: 30 of 60.
    moved = shift(np.array([[0.75, 0.25]], np.float32), np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    assert np.allclose(moved, [[0.5, 0.5]])


def test_where_nothing_is_left_the_prior_is_said():
    moved = shift(np.array([[1, 0, 0]], np.float32), np.full(3, 1 / 3), np.array([0, 0.25, 0.75]))
    assert moved.tolist() == [[0, 0.25, 0.75]]
    assert shift(np.empty((0, 3), np.float32), np.full(3, 1 / 3), np.full(3, 1 / 3)).shape == (0, 3)


def test_what_answers_lean_towards_is_found():
    """Faces whose true posterior is known, answered under other shares than those with which they come."""
    random = np.random.default_rng(0)
    shares, leaning = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    truth = random.choice(3, 40_000, p=shares)
    seen = np.eye(3)[truth] + random.normal(0, 1, (len(truth), 3))  # the likelihood ratio is exp(seen)
    answers = leaning * np.exp(seen)
    answers = (answers / answers.sum(axis=1, keepdims=True)).astype(np.float32)
    found = leanings(answers, truth)
    assert np.allclose(found, leaning, atol=0.015)
    moved = shift(answers, found, shares)
    assert np.allclose(moved.mean(axis=0), shares, atol=0.005)


def test_few_faces_tell_little_about_leanings():
    answers = np.full((4, 2), 0.5, np.float32)
    assert leanings(answers, np.array([0, 0, 1, 1])).tolist() == [0.5, 0.5]
    found = leanings(np.array([[0.9, 0.1]] * 3, np.float32), np.array([0, 0, 0]))
    assert np.isfinite(found).all()
    assert found.tolist() == [1, 0]
    sure = leanings(np.array([[1, 0], [0, 1], [1, 0]], np.float32), np.array([1, 0, 1]))
    assert np.isfinite(sure).all()
    assert sure.sum() == pytest.approx(1)
