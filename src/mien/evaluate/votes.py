"""A model against ten people: how far its shares are from theirs, and whether it agrees with them as they do."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.answers import Reading
from mien.evaluate.metrics import interval, resampled_ratios
from mien.evaluate.truths import chosen
from mien.labels import CROWD

Floats = NDArray[np.float64]

TINY = 1e-9
"""The least share that a logarithm is taken of."""


def against_votes(crowd: Reading, votes: NDArray[np.uint8]) -> dict[str, Any]:
    """Everything that is measured against the votes themselves. No face is left out but those without two votes.

    Args:
        crowd: what the model says; ten shares, or fewer for a peer that knows fewer answers.
        votes: uint8 (N, 10), in the order of `mien.labels.CROWD`.
    """
    used = votes.sum(axis=1) > 1
    counts = votes[used].astype(np.float64)
    shares = np.zeros_like(counts)
    for index, word in enumerate(CROWD):
        if word in crowd.words:
            shares[:, index] = crowd.shares[used, crowd.words.index(word)]
    result: dict[str, Any] = {"n": len(counts), "agreement": agreement(shares, counts)}
    if crowd.graded:
        result["distance"] = distance(shares, counts)
    return result


_LEVELS: Final = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Bounds of the share that the commonest answer has among nine annotators."""


def agreement(shares: Floats, counts: Floats) -> dict[str, Any]:
    """How often the model, and how often one annotator, agrees with the plurality of nine annotators.

    Ten answers, ties shared. The model is held against the same nine as the annotator is: for each annotator in
    turn, the other nine.

    Args:
        shares: float (N, 10), what the model says.
        counts: float (N, 10), how many people gave each answer.
    """
    answer = chosen(shares)
    rows = np.arange(len(counts))
    model, person = np.zeros(len(counts)), np.zeros(len(counts))
    by_level = np.zeros((len(_LEVELS) - 1, 3))  # annotators held out, and how often model and person agree
    for word in range(counts.shape[1]):
        others = counts.copy()
        others[:, word] -= 1
        best = others == others.max(axis=1, keepdims=True)
        credit = counts[:, word] / best.sum(axis=1)
        person += credit * best[:, word]
        agrees = best[rows, answer] & (answer >= 0)
        model += credit * agrees
        # By what the other nine say alone: the annotator's own vote in it would decide where it counts.
        level = np.searchsorted(_LEVELS[1:-1], others.max(axis=1) / np.maximum(others.sum(axis=1), 1) - 1e-9)
        given = np.stack([counts[:, word], credit * agrees, credit * best[:, word]], axis=1)
        np.add.at(by_level, level, given)
    total = counts.sum(axis=1)
    drawn = resampled_ratios(np.stack([model, person], axis=1), total)
    difference = drawn[:, 0] - drawn[:, 1]
    value_model, value_person = model.sum() / total.sum(), person.sum() / total.sum()
    levels = [
        {
            "largest_share": [low, high],
            "n": int(count),
            "model": agreed / count,
            "person": person_agreed / count,
        }
        for low, high, (count, agreed, person_agreed) in zip(_LEVELS, _LEVELS[1:], by_level, strict=False)
        if count
    ]
    return {
        "protocol": "held against the plurality of nine annotators, ten answers, ties shared, no face left out",
        "model": {"value": value_model, "interval_95": interval(drawn[:, 0])},
        "person": {"value": value_person, "interval_95": interval(drawn[:, 1])},
        "difference": {"value": value_model - value_person, "interval_95": interval(difference)},
        "by_unanimity": levels,
    }


def distance(shares: Floats, counts: Floats) -> dict[str, Any]:
    """How far shares are from the people's: total variation and Kullback-Leibler divergence, means over faces.

    Beside the model: the best constant, the one guess for all faces that comes nearest to these very votes (so no
    constant does better), and one person drawn from the ten, whose single answer is a share of 1. That person is
    one of the ten, which flatters; `nine` therefore holds person and model against the other nine.

    Args:
        shares: float (N, 10), what the model says; what it does not know has 0.
        counts: float (N, 10), how many people gave each answer.
    """
    total = counts.sum(axis=1, keepdims=True)
    people = counts / total
    mean = people.mean(axis=0)
    nine_model, nine_person = np.zeros(len(counts)), np.zeros(len(counts))
    for word in range(counts.shape[1]):
        others = counts.copy()
        others[:, word] -= 1
        rest = others / (total - 1)
        weight = counts[:, word] / total[:, 0]
        nine_model += weight * total_variation(shares, rest)
        nine_person += weight * (1 - rest[:, word])
    return {
        "total_variation": {
            "model": total_variation(shares, people).mean(),
            "best_constant": total_variation(nearest_constant(people)[None], people).mean(),
            "one_person": (1 - (people**2).sum(axis=1)).mean(),
        },
        "total_variation_from_the_other_nine": {
            "model": nine_model.mean(),
            "one_person": nine_person.mean(),
        },
        # One person's answer gives the others' answers no share at all: its divergence has no bound.
        "kullback_leibler": {
            "model": divergence(people, shares).mean(),
            "best_constant": divergence(people, mean[None]).mean(),
            "one_person": None,
        },
    }


def total_variation(shares: Floats, people: Floats) -> Floats:
    """Half the sum of absolute differences of two distributions: (N, K) and (N, K) to (N,), in [0, 1]."""
    half: Floats = np.abs(shares - people).sum(axis=1) / 2
    return half


def divergence(people: Floats, shares: Floats) -> Floats:
    """Kullback-Leibler divergence of what a model says from what people said, in nats: (N,)."""
    terms = np.where(
        people > 0, people * (np.log(np.maximum(people, TINY)) - np.log(np.maximum(shares, TINY))), 0
    )
    summed: Floats = terms.sum(axis=1)
    return summed


def nearest_constant(people: Floats) -> Floats:
    """The one distribution with the least mean total variation from many: (N, K) to (K,).

    At the optimum every column's value is the same quantile of that column (the multiplier of the sum-to-one
    condition); the quantile is found by bisection.
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if np.quantile(people, middle, axis=0).sum() < 1:
            low = middle
        else:
            high = middle
    below, above = np.quantile(people, low, axis=0), np.quantile(people, high, axis=0)
    gap = above.sum() - below.sum()
    constant: Floats = below + (above - below) * ((1 - below.sum()) / gap if gap > 0 else 0)
    constant /= constant.sum()
    return constant


def label_noise(
    answer: NDArray[np.int64], labels: NDArray[np.int64], majority: NDArray[np.int64]
) -> dict[str, Any]:
    """Whose side the crowd takes where the model and the original label differ.

    Args:
        answer: int (N,), the model's answer, an index into `mien.labels.EXPRESSIONS`.
        labels: int (N,), the original labels.
        majority: int (N,), FER+'s majority by `mien.datasets.crowd_majority`, -1 where there is none.
    """
    wrong = answer != labels
    n = int(wrong.sum())
    sides = {
        "crowd_sides_with_model": wrong & (majority == answer),
        "crowd_sides_with_label": wrong & (majority == labels),
        "crowd_says_something_else": wrong & (majority >= 0) & (majority != answer) & (majority != labels),
        "crowd_has_no_majority": wrong & (majority < 0),
    }
    return {
        "mistakes_on_original_labels": n,
        **{
            name: {"n": int(rows.sum()), "share": rows.sum() / n if n else None}
            for name, rows in sides.items()
        },
    }
