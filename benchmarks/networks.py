"""Compares networks: everything the table in docs/networks.md says.

    python benchmarks/networks.py fer2013-dev.parquet FOLDER...

Each FOLDER is one that `mien train` made. Its ONNX file is read on PublicTest; parameters,
operations, file size and minutes are those that the run wrote into its metrics.json. A folder's row replaces the
one of the same name in ``results/networks.json``; the other rows stay.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import RESULTS, model_sha256, share, write_result
from mien.classify import Classifier
from mien.datasets import Dataset, crowd_majority, read_dataset
from mien.labels import EXPRESSIONS
from mien.train.recipe import Recipe


def main() -> None:
    """Measures and writes ``results/networks.json``."""
    data = read_dataset(sys.argv[1], "PublicTest")
    if data.votes is None:
        raise SystemExit(f"{sys.argv[1]}: has no votes of FER+")
    majority = crowd_majority(data.votes)
    before = RESULTS / "networks.json"
    table = json.loads(before.read_text(encoding="utf-8"))["networks"] if before.is_file() else {}
    for folder in map(Path, sys.argv[2:]):
        run = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(run["recipe"])
        table[recipe.name] = {
            "model_sha256": model_sha256(str(folder)),
            "network": recipe.model,
            "parameters": run["parameters"],
            "macs": run["macs"],
            "onnx_bytes": run["onnx_bytes"],
            "mirror": recipe.mirror,
            "epochs": recipe.epochs,
            "sizes": recipe.sizes,
            "minutes": run["minutes"],
            "machine": run["machine"],
        } | measure(Classifier(folder), data, majority)
    write_result("networks", {"split": "PublicTest", "networks": table})


def measure(classifier: Classifier, data: Dataset, majority: NDArray[np.int64]) -> dict[str, Any]:
    """Each reading against the truth that it answers."""
    readings = classifier.classify(data.images)
    said = readings.fer2013.argmax(axis=1)
    recalls = [float((said[data.labels == k] == k).mean()) for k in range(len(EXPRESSIONS))]
    return {
        "fer2013": share(int((said == data.labels).sum()), len(data)),
        "fer2013_mean_recall": round(float(np.mean(recalls)), 4),
        "crowd_8": agreement(readings.crowd[:, :8], majority),
        "probabilities_7": agreement(readings.probabilities, np.where(majority < 7, majority, -1)),
    }


def agreement(shares: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, Any]:
    """How often the largest share is that of the truth, where that is known (at least 0)."""
    counted = truth >= 0
    right = shares[counted].argmax(axis=1) == truth[counted]
    return share(int(right.sum()), int(counted.sum()))


if __name__ == "__main__":
    main()
