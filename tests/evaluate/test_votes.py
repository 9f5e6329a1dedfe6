import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.evaluate.answers import Reading
from mien.evaluate.votes import (
    against_votes,
    agreement,
    distance,
    divergence,
    label_noise,
    nearest_constant,
    total_variation,
)
from mien.labels import CROWD, EXPRESSIONS


def one_hot(*words: int) -> np.ndarray:
    return np.eye(10)[list(words)]


def test_agreement_by_hand():
    # Seven of ten say 0: each of the seven sees six others, the three see seven, so the plurality is always 0.
    counts = np.array([[7.0, 3, *[0] * 8]])
    found = agreement(one_hot(0), counts)
    assert found["model"]["value"] == 1.0
    assert found["person"]["value"] == pytest.approx(0.7)
    assert agreement(one_hot(1), counts)["model"]["value"] == 0.0


def test_ties_are_shared():
    # Five against five: without one, the other five win; so a person never agrees, a model half the time.
    counts = np.array([[5.0, 5, *[0] * 8]])
    found = agreement(one_hot(0), counts)
    assert found["person"]["value"] == 0.0
    assert found["model"]["value"] == pytest.approx(0.5)


def test_agreement_is_that_of_asking_each_person_in_turn():
    random = np.random.default_rng(0)
    counts = random.multinomial(10, random.dirichlet(np.ones(10), 50)).astype(np.float64)
    shares = random.dirichlet(np.ones(10), 50)
    model = person = 0.0
    for row, share in zip(counts, shares, strict=True):
        for word in np.repeat(np.arange(10), row.astype(int)):
            others = row.copy()
            others[word] -= 1
            best = np.flatnonzero(others == others.max())
            person += (word in best) / len(best)
            model += (share.argmax() in best) / len(best)
    found = agreement(shares, counts)
    assert found["model"]["value"] == pytest.approx(model / 500)
    assert found["person"]["value"] == pytest.approx(person / 500)
    low, high = found["difference"]["interval_95"]
    assert low < found["model"]["value"] - found["person"]["value"] < high
    levels = found["by_unanimity"]
    assert sum(level["n"] for level in levels) == 500
    assert sum(level["n"] * level["model"] for level in levels) == pytest.approx(model)
    assert sum(level["n"] * level["person"] for level in levels) == pytest.approx(person)


def test_unanimity_is_that_of_the_other_nine():
    # Nine say one thing and one another: of the ten, nine see eight of the others agree, and one sees all nine.
    counts = np.array([[9.0, 1, *[0] * 8]])
    found = agreement(one_hot(0), counts)["by_unanimity"]
    assert [(level["largest_share"], level["n"]) for level in found] == [([0.8, 0.9], 9), ([0.9, 1.0], 1)]
    assert [level["person"] for level in found] == [1.0, 0.0]
    assert [level["model"] for level in found] == [1.0, 1.0]


def test_distances_by_hand():
    counts = np.array([[5.0, 5, *[0] * 8], [10, *[0] * 9]])
    found = distance(np.array([[1.0, *[0] * 9], [0.5, 0.5, *[0] * 8]]), counts)
    assert found["total_variation"]["model"] == pytest.approx(0.5)
    assert found["total_variation"]["one_person"] == pytest.approx((0.5 + 0) / 2)
    # Of five and five, the other nine are four and five: a person's answer has 4/9 of them.
    assert found["total_variation_from_the_other_nine"]["one_person"] == pytest.approx((5 / 9 + 0) / 2)
    assert found["kullback_leibler"]["one_person"] is None
    assert found["kullback_leibler"]["model"] > found["kullback_leibler"]["best_constant"]


def test_the_mean_is_the_constant_with_the_least_divergence():
    people = np.random.default_rng(1).dirichlet(np.ones(10), 40)
    best = divergence(people, people.mean(axis=0)[None]).mean()
    for other in np.random.default_rng(2).dirichlet(np.ones(10), 20):
        assert divergence(people, other[None]).mean() > best


@settings(max_examples=8, deadline=None)
@given(arrays.arrays(np.float64, (8, 4), elements=st.floats(0.01, 1)), st.integers(0, 1000))
def test_no_constant_is_nearer_than_the_nearest(weights: np.ndarray, seed: int):
    people = weights / weights.sum(axis=1, keepdims=True)
    constant = nearest_constant(people)
    assert constant.sum() == pytest.approx(1)
    assert (constant >= 0).all()
    best = total_variation(constant[None], people).mean()
    random = np.random.default_rng(seed)
    near = np.abs(constant + random.normal(0, 0.05, (50, 4)))
    for other in [
        *random.dirichlet(np.ones(4), 50),
        *(near / near.sum(axis=1, keepdims=True)),
        people.mean(0),
    ]:
        assert total_variation(other[None], people).mean() >= best - 1e-9


def test_the_nearest_constant_of_votes_beats_every_corner():
    counts = np.array([[10, 0, 0]] * 6 + [[0, 10, 0]] * 3 + [[0, 0, 10]])
    assert nearest_constant(counts / 10) == pytest.approx([1, 0, 0])


def test_a_peer_with_bare_answers_has_no_distance():
    votes = np.tile(np.array([8, 0, 0, 2, 0, 0, 0, 0, 0, 0], np.uint8), (4, 1))
    said = Reading(EXPRESSIONS, np.eye(7)[[0, 0, 0, 3]], graded=False)
    found = against_votes(said, votes)
    assert "distance" not in found
    assert found["agreement"]["model"]["value"] == pytest.approx(0.75)
    assert "distance" in against_votes(Reading(CROWD, np.eye(10)[[0, 0, 0, 3]]), votes)


def test_whose_side_the_crowd_takes():
    found = label_noise(np.array([0, 1, 1, 1, 1]), np.array([0, 0, 0, 0, 0]), np.array([0, 1, 0, 2, -1]))
    assert found["mistakes_on_original_labels"] == 4
    sides = ("with_model", "with_label")
    assert [found[f"crowd_sides_{side}"]["n"] for side in sides] == [1, 1]
    assert found["crowd_says_something_else"] == {"n": 1, "share": 0.25}
    assert found["crowd_has_no_majority"]["n"] == 1
