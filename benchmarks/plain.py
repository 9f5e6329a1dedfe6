"""The original author's network on the faces it learnt from and on faces it never saw.

    python benchmarks/plain.py DATA FOLDER

DATA is FER-2013 in any shape that mien reads; FOLDER is what `mien train DATA --recipe plain` made.
"""

import json
import sys
from pathlib import Path

from common import model_sha256, share, write_result
from mien.classify import Classifier
from mien.datasets import read_dataset


def main(data: str, folder: str) -> None:
    """Measures and writes ``results/plain.json``."""
    classifier = Classifier(folder)
    found = {}
    for split in ("train", "PublicTest"):
        faces = read_dataset(data, split)
        right = classifier.classify(faces.images).fer2013.argmax(axis=1) == faces.labels
        found[split] = share(int(right.sum()), len(faces))
    recipe = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))["recipe"]
    write_result(
        "plain",
        {"recipe": recipe["name"], "epochs": recipe["epochs"], "model_sha256": model_sha256(folder)} | found,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
