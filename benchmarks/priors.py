"""What `prior` does where expressions are not as common as among the pictures the model was made with.

    python benchmarks/priors.py DATA [MODEL]

DATA is FER-2013 in any shape that mien reads, with the FER+ votes; MODEL is a name or folder (default: base).

From PublicTest, from which nothing was learnt, faces are drawn with replacement so that each expression has the
share that SETTINGS gives it, and the answer as made is held against the answer moved to these shares: how many are
right, the expected calibration error, and the logarithmic loss in nats.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import model_sha256, write_result
from mien.classify import Classifier
from mien.datasets import crowd_majority, read_dataset
from mien.evaluate.calibration import calibration
from mien.labels import EXPRESSIONS
from mien.prior import Prior, prior_shares

SETTINGS: dict[str, Prior] = {
    "clinic": {
        "angry": 10,
        "disgust": 2,
        "fear": 15,
        "happy": 5,
        "sad": 40,
        "surprise": 3,
        "neutral": 25,
    },
    "even": "even",
}
"""Made-up places whose pictures are not those of an image search."""

DRAWN = 20_000


def main(data: str, model: str = "base") -> None:
    """Measures and writes ``results/priors.json``."""
    test = read_dataset(data, "PublicTest")
    if test.votes is None:
        raise SystemExit(f"{data}: has no FER+ votes, which say what is right")
    majority = crowd_majority(test.votes)
    known = (majority >= 0) & (majority < len(EXPRESSIONS))
    faces, truth = test.images[known], majority[known]
    as_made = Classifier(model).classify(faces).probabilities
    result: dict[str, Any] = {}
    for name, prior in SETTINGS.items():
        rows = draw(truth, prior_shares(prior, EXPRESSIONS))
        moved = Classifier(model, prior=prior).classify(faces).probabilities
        result[name] = {
            "prior": prior,
            "as_made": measures(as_made[rows], truth[rows]),
            "with_prior": measures(moved[rows], truth[rows]),
        }
    write_result(
        "priors",
        {
            "model": model,
            "model_sha256": model_sha256(model),
            "split": "PublicTest, FER+ majority of the seven, drawn anew",
            "faces": len(truth),
            **result,
        },
    )


def draw(truth: NDArray[np.int64], shares: NDArray[np.float64], seed: int = 0) -> NDArray[np.int64]:
    """Rows drawn with replacement, so that each label of `truth` comes with its share; (DRAWN,)."""
    weights = (shares / np.bincount(truth, minlength=len(shares)))[truth]
    return np.random.default_rng(seed).choice(len(truth), DRAWN, p=weights / weights.sum())


def measures(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, expected calibration error and logarithmic loss."""
    found = calibration(probabilities.astype(np.float64), truth)
    return {
        "accuracy": round(float((probabilities.argmax(axis=1) == truth).mean()), 4),
        "expected_calibration_error": round(found["expected_calibration_error"], 4),
        "log_loss": round(found["log_loss"], 4),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
