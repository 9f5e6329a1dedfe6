"""Which faces a person should look at: the ones that say most about a model and about its data."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.truths import chosen

Rows = NDArray[np.int64]

EACH: Final = 12
TYPICAL: Final = 4


def confident_mistakes(shares: NDArray[np.float64], labels: NDArray[np.int64], count: int = EACH) -> Rows:
    """Rows of the surest wrong answers, the surest first; labels of -1 are nobody's mistakes."""
    wrong = (labels >= 0) & (chosen(shares) != labels)
    return _first(np.where(wrong, shares.max(axis=1), -1.0), count, wrong)


def most_disputed(votes: NDArray[np.uint8], count: int = EACH) -> Rows:
    """Rows of the faces on which people differed most (entropy of the votes), the most disputed first."""
    people = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    entropy = -(people * np.log(np.where(people > 0, people, 1))).sum(axis=1)
    return _first(entropy, count, entropy > 0)


def least_certain(shares: NDArray[np.float64], count: int = EACH) -> Rows:
    """Rows of the faces on which the model is least sure, the least sure first."""
    return _first(-shares.max(axis=1), count, np.ones(len(shares), np.bool_))


def most_typical(
    shares: NDArray[np.float64], labels: NDArray[np.int64], word: int, count: int = TYPICAL
) -> Rows:
    """Rows of the faces of one class that the model is surest of, and right about."""
    right = (labels == word) & (chosen(shares) == word)
    return _first(np.where(right, shares[:, word], -1.0), count, right)


def _first(values: NDArray[np.float64], count: int, eligible: NDArray[np.bool_]) -> Rows:
    """The rows with the largest values among the eligible; equals in the order of the data."""
    order = np.argsort(-values, kind="stable")
    return order[eligible[order]][:count]
