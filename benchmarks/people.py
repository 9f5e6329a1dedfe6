"""How far people agree with each other and with FER-2013's labels: what any model can be asked for.

    python benchmarks/people.py DATA

DATA is FER-2013 in any shape that mien reads, with the votes of FER+. No model is read, only votes and labels.
"""

import sys
from typing import Any

import numpy as np

from common import share, write_result
from mien.datasets import crowd_majority, read_dataset
from mien.errors import DatasetError
from mien.evaluate.metrics import rounded
from mien.evaluate.votes import agreement
from mien.labels import EXPRESSIONS


def main(data: str) -> None:
    """Measures and writes ``results/people.json``."""
    result: dict[str, Any] = {}
    for split in ("train", "PublicTest"):
        result[split] = measure(data, split)
    write_result("people", result)


def measure(path: str, split: str) -> dict[str, Any]:
    """All that is said of one split."""
    data = read_dataset(path, split)
    if data.votes is None:
        raise DatasetError(f"{path}: has no votes of FER+")
    votes = data.votes.astype(np.float64)
    plurality, majority = votes.argmax(axis=1), crowd_majority(data.votes)
    same = plurality == data.labels
    for_label = votes[np.arange(len(votes)), data.labels]
    counted = majority >= 0
    for_majority = votes[counted, majority[counted]] / votes[counted].sum(axis=1)
    found = agreement(np.eye(votes.shape[1])[plurality], votes)
    return rounded(
        {
            "faces": len(data),
            "one_person_agrees_with_nine": found["person"],
            "plurality_of_ten_agrees_with_nine": found["model"],
            "one_person_agrees_with_the_majority": {"value": for_majority.mean(), "n": int(counted.sum())},
            "plurality_is_the_original_label": share(int(same.sum()), len(data)),
            "plurality_is_the_original_label_by_class": {
                word: float(same[data.labels == index].mean()) for index, word in enumerate(EXPRESSIONS)
            },
            "original_label_got_no_vote": share(int((for_label == 0).sum()), len(data)),
            "one_person_says_the_original_label": float((for_label / votes.sum(axis=1)).mean()),
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
