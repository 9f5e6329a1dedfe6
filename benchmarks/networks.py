"""Compares networks: everything the table in docs/networks.md says.

    python benchmarks/networks.py fer2013-dev.parquet FOLDER...

Each FOLDER is one that `mien train` made. Its ONNX file is read on PublicTest, one view a face; parameters,
operations, file size and minutes are those that the run wrote into its metrics.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common import share, write_result
from mien.classify import Classifier
from mien.datasets import crowd_majority, read_dataset
from mien.labels import EXPRESSIONS


def main() -> None:
    """Measures and writes ``results/networks.json``."""
    data = read_dataset(sys.argv[1], "PublicTest")
    if data.votes is None:
        raise SystemExit(f"{sys.argv[1]}: has no votes of FER+")
    majority = crowd_majority(data.votes)
    counted = majority >= 0
    table: dict[str, Any] = {}
    for folder in map(Path, sys.argv[2:]):
        run = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        readings = Classifier(folder).classify(data.images)
        said = readings.fer2013.argmax(axis=1)
        eight = readings.crowd[:, :8].argmax(axis=1)
        recalls = [float((said[data.labels == k] == k).mean()) for k in range(len(EXPRESSIONS))]
        table[run["recipe"]["name"]] = {
            "model": run["recipe"]["model"],
            "parameters": run["parameters"],
            "macs": run["macs"],
            "onnx_bytes": run["onnx_bytes"],
            "epochs": run["recipe"]["epochs"],
            "minutes": run["minutes"],
            "machine": run["machine"],
            "fer2013": share(int((said == data.labels).sum()), len(data)),
            "fer2013_mean_recall": round(float(np.mean(recalls)), 4),
            "crowd_8": share(int((eight[counted] == majority[counted]).sum()), int(counted.sum())),
        }
    write_result("networks", {"split": "PublicTest", "networks": table})


if __name__ == "__main__":
    main()
