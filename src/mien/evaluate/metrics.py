"""How often an answer is right, by class and over all, and how sure that is.

Intervals are bootstrap intervals: the faces are drawn anew with replacement, which for counts is a draw from the
multinomial distribution of the counts that were found, so none but the confusion matrix is needed.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mien.evaluate.truths import Truth, chosen

RESAMPLES: Final = 2000
SEED: Final = 0

Floats = NDArray[np.float64]


def score(shares: Floats, truth: Truth, *, graded: bool = True) -> dict[str, Any]:
    """All counts of right and wrong under one protocol.

    Args:
        shares: float64 (N, K), what is said about the truth's words.
        truth: what it is held against.
        graded: whether shares have an order beyond the first; top-2 accuracy is None where they have not.

    Returns:
        ``n``, ``left_out``, ``accuracy``, ``mean_recall`` and ``macro_f1`` with their intervals, ``top2``,
        ``classes`` (precision, recall, F1 and support of each) and ``confusion`` (rows are true; a face without
        an answer, see `mien.evaluate.truths.chosen`, is wrong, and in none of its columns).
    """
    labels, shares = truth.labels[truth.counted], shares[truth.counted]
    answer = chosen(shares)
    every = np.arange(len(truth.words))
    # With a column more where there are faces without an answer.
    table = confusion_matrix(labels, answer, labels=[*every, -2] if (answer < 0).any() else every)
    confusion = table[: len(every), : len(every)]
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, answer, labels=every, zero_division=0.0
    )
    best_two = np.argsort(-shares, axis=1, kind="stable")[:, :2]
    named = (best_two == labels[:, None]).any(axis=1) & (answer >= 0)
    return {
        "title": truth.title,
        "reading": truth.reading,
        "n": len(labels),
        "left_out": int((~truth.counted).sum()),
        "accuracy": with_interval(table, accuracy),
        "mean_recall": with_interval(table, mean_recall),
        "macro_f1": with_interval(table, macro_f1),
        "top2": float(named.mean()) if graded else None,
        "classes": {
            word: {
                "n": int(support[index]),
                "precision": float(precision[index]) if confusion[:, index].any() else None,
                "recall": float(recall[index]) if support[index] else None,
                "f1": float(f1[index]) if support[index] else None,
            }
            for index, word in enumerate(truth.words)
        },
        "confusion": confusion.tolist(),
    }


def accuracy(confusion: Floats) -> Floats:
    """Share of right answers, of confusion matrices (..., K, K)."""
    right: Floats = np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))
    return right


def mean_recall(confusion: Floats) -> Floats:
    """Mean over the classes that have faces of the share found, of confusion matrices (..., K, K)."""
    return _mean_where(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def macro_f1(confusion: Floats) -> Floats:
    """Mean F1 over the classes that have faces, of confusion matrices (..., K, K)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    support = confusion.sum(axis=-1)
    both = support + confusion.sum(axis=-2)
    return _mean_where(np.where(support > 0, 2 * right, 0), np.where(support > 0, both, 0))


def _mean_where(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Mean of part / whole over the last axis, where the whole is not nothing."""
    there = whole > 0
    mean: Floats = (part / np.where(there, whole, 1) * there).sum(axis=-1) / there.sum(axis=-1)
    return mean


def with_interval(counts: NDArray[Any], statistic: Callable[[Any], Any]) -> dict[str, Any]:
    """A statistic of a table of counts, with its 95 % bootstrap interval (percentiles)."""
    total = int(counts.sum())
    drawn = np.random.default_rng(SEED).multinomial(total, counts.ravel() / total, size=RESAMPLES)
    return {
        "value": float(statistic(counts)),
        "interval_95": interval(statistic(drawn.reshape(RESAMPLES, *counts.shape))),
    }


def interval(values: NDArray[Any]) -> list[float]:
    """The middle 95 % of bootstrap values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return [float(low), float(high)]


def resampled_ratios(numerators: Floats, denominator: Floats) -> Floats:
    """Bootstrap values of ratios of sums over faces.

    Args:
        numerators: float (N, M), M quantities of each face.
        denominator: float (N,).

    Returns:
        (RESAMPLES, M): the sum of each numerator over that of the denominator, of faces drawn anew; the same
        faces for all M, so that their differences are paired.
    """
    random = np.random.default_rng(SEED)
    n = len(denominator)
    values = np.empty((RESAMPLES, numerators.shape[1]))
    for row in values:
        times = np.bincount(random.integers(0, n, n), minlength=n)
        row[:] = times @ numerators / (times @ denominator)
    return values


def rounded(record: dict[str, Any], digits: int = 4) -> dict[str, Any]:
    """A record for JSON: every NumPy number a plain one, and every float rounded; tiny ones to two figures."""
    return {key: _rounded(value, digits) for key, value in record.items()}


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return rounded(value, digits)
    if isinstance(value, list | tuple):
        return [_rounded(part, digits) for part in value]
    if isinstance(value, float | np.floating):
        number = float(value)
        return round(number, digits) if abs(number) >= 10.0 ** (1 - digits) else float(f"{number:.2g}")
    if isinstance(value, np.integer):
        return int(value)
    return value
