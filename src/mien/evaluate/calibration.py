"""Whether a probability means what it says, and what is gained by leaving the least certain answers out."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from mien.evaluate.metrics import SEED, interval
from mien.evaluate.truths import chosen

Floats = NDArray[np.float64]

BINS: Final = 15
LEFT_OUT: Final = (0.05, 0.10, 0.20)
"""Shares of the least certain faces that are left out."""
_CURVE: Final = 50
_DRAWS: Final = 400
_TINY: Final = 1e-9


def calibration(shares: Floats, labels: NDArray[np.int64]) -> dict[str, Any]:
    """All that is said of how far probabilities can be believed.

    Args:
        shares: float64 (N, K), rows sum to one.
        labels: int64 (N,), all counted.

    Returns:
        ``expected_calibration_error`` (of the largest probability, bins of equal mass, Nixon et al. 2019),
        ``by_chance_95`` (the middle 95 % of that error where each answer is right as often as it says: few faces
        show some even then), ``brier`` (sum over classes of squared differences, Brier 1950: 0 to 2), ``log_loss``
        (nats), ``bins``.
    """
    order = np.argsort(shares.max(axis=1), kind="stable")
    confidence, right = shares.max(axis=1)[order], (chosen(shares) == labels)[order]
    starts = np.unique(np.arange(BINS) * len(labels) // BINS)
    sizes = np.diff([*starts, len(labels)])
    said = np.add.reduceat(confidence, starts)

    def gap(right: NDArray[np.bool_]) -> float:
        return float(np.abs(said - np.add.reduceat(right.astype(np.float64), starts)).sum() / len(labels))

    random = np.random.default_rng(SEED)
    by_chance = np.array([gap(random.random(len(labels)) < confidence) for _ in range(_DRAWS)])
    true = np.add.reduceat(right.astype(np.float64), starts)
    bins = [
        {"n": int(n), "said": float(s / n), "true": float(t / n)}
        for n, s, t in zip(sizes, said, true, strict=True)
    ]
    truth = np.eye(shares.shape[1])[labels]
    safe = np.maximum(shares, _TINY)
    return {
        "n": len(labels),
        "expected_calibration_error": gap(right),
        "by_chance_95": interval(by_chance),
        "brier": float(((shares - truth) ** 2).sum(axis=1).mean()),
        "log_loss": float(
            log_loss(labels, safe / safe.sum(axis=1, keepdims=True), labels=np.arange(shares.shape[1]))
        ),
        "bins": bins,
    }


def undo_temperature(shares: Floats, temperature: float) -> Floats:
    """What a reading said before its logarithms were divided by a temperature: log p times T, renormalised.

    Args:
        shares: float64 (N, K), all the words of the reading.
        temperature: T, as the model's file states it.
    """
    scores = np.log(np.maximum(shares, _TINY)) * temperature
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    undone: Floats = scores / scores.sum(axis=1, keepdims=True)
    return undone


def risk_coverage(shares: Floats, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy when the least certain answers are left out.

    Returns:
        ``least_certain_left_out``: accuracy by the share left out; ``curve``: accuracy by the share of faces
        kept, from all down.
    """
    order = np.argsort(-shares.max(axis=1), kind="stable")
    right = (chosen(shares) == labels)[order]
    so_far = np.cumsum(right) / np.arange(1, len(right) + 1)

    def kept(share: float) -> int:
        return max(1, round(share * len(right)))

    curve = [(step + 1) / _CURVE for step in range(_CURVE)]
    return {
        "least_certain_left_out": {
            f"{left:.0%}": {"n": kept(1 - left), "accuracy": float(so_far[kept(1 - left) - 1])}
            for left in (0.0, *LEFT_OUT)
        },
        "curve": [[share, float(so_far[kept(share) - 1])] for share in curve],
    }
