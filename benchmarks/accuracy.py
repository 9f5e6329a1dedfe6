"""Accuracy of a model on FER-2013's PublicTest, one view a face, each truth by the reading that answers it.

    python benchmarks/accuracy.py DATA [MODEL]

DATA is FER-2013 in any shape that mien reads, with the FER+ votes; MODEL is a name or folder (default: base).
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import model_sha256, share, write_result
from mien.classify import Classifier
from mien.datasets import crowd_majority, has_twin, read_dataset
from mien.labels import CROWD, EXPRESSIONS


def main(data: str, model: str = "base") -> None:
    """Measures and writes ``results/accuracy.json``."""
    test, training = read_dataset(data, "PublicTest"), read_dataset(data, "train")
    if test.votes is None:
        raise SystemExit(f"{data}: has no FER+ votes, which two of the three protocols need")
    readings = Classifier(model).classify(test.images)
    majority = crowd_majority(test.votes)
    seven = np.where(majority < len(EXPRESSIONS), majority, -1)
    fresh = ~has_twin(test.images, training.images)
    write_result(
        "accuracy",
        {
            "model": model,
            "model_sha256": model_sha256(model),
            "split": "PublicTest",
            "views": 1,
            "fer2013_original_labels": score(readings.fer2013, test.labels, EXPRESSIONS),
            "fer2013_original_labels_without_twins_in_training": score(
                readings.fer2013[fresh], test.labels[fresh], EXPRESSIONS
            ),
            "crowd_ferplus_majority_8": score(readings.crowd[:, :8], majority, CROWD[:8]),
            "crowd_ferplus_majority_8_without_twins_in_training": score(
                readings.crowd[fresh, :8], majority[fresh], CROWD[:8]
            ),
            "probabilities_ferplus_majority_7": score(readings.probabilities, seven, EXPRESSIONS),
            "probabilities_calibration": calibration(readings.probabilities, seven),
            "crowd_agreement": crowd_agreement(readings.crowd, test.votes),
        },
    )


def score(scores: NDArray[np.float32], truth: NDArray[np.int64], words: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy with its interval, and recall by class; faces with a truth of -1 are not counted."""
    counted = truth >= 0
    truth, answer = truth[counted], scores[counted].argmax(axis=1)
    recall = {
        word: round(float((answer[truth == index] == index).mean()), 4)
        for index, word in enumerate(words)
        if (truth == index).any()
    }
    return {
        "accuracy": share(int((answer == truth).sum()), len(truth)),
        "mean_recall": round(float(np.mean(list(recall.values()))), 4),
        "recall": recall,
    }


def calibration(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = 15
) -> dict[str, Any]:
    """Expected calibration error of the largest probability, in bins of equal mass (Nixon et al. 2019)."""
    counted = truth >= 0
    truth, probabilities = truth[counted], probabilities[counted]
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    table = [
        {
            "faces": len(part),
            "said": round(float(confidence[part].mean()), 4),
            "true": round(float(right[part].mean()), 4),
        }
        for part in parts
    ]
    error = sum(row["faces"] * abs(row["said"] - row["true"]) for row in table) / len(truth)
    return {"expected_calibration_error": round(error, 4), "n": len(truth), "bins": table}


def crowd_agreement(crowd: NDArray[np.float32], votes: NDArray[np.uint8]) -> dict[str, Any]:
    """How often the model, and how often one annotator, agrees with the plurality of nine annotators.

    Ten classes, no face left out, ties shared. The model is held against the same nine as the annotator is: for
    each annotator in turn, the other nine.
    """
    model = person = total = 0.0
    for counts, shares in zip(votes.astype(np.int64), crowd, strict=True):
        answer = shares.argmax()
        for word in np.flatnonzero(counts):
            others = counts.copy()
            others[word] -= 1
            best = np.flatnonzero(others == others.max())
            person += counts[word] * (word in best) / len(best)
            model += counts[word] * (answer in best) / len(best)
            total += counts[word]
    return {
        "model_with_nine": round(model / total, 4),
        "one_annotator_with_the_other_nine": round(person / total, 4),
        "n": len(votes),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
