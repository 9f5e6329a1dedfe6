"""Lets a peer read the faces on which mien is measured: its own code, in its own environment.

    python benchmarks/peers/run.py PEER DATA [--split PublicTest]

PEER is a folder beside this file, with a requirements.txt and a predict.py. Its environment is made in
benchmarks/peers/.venv/PEER; the faces go there through a temporary file. What it says is written to
benchmarks/results/peers/PEER.csv, in the format of docs/evaluation.md, for

    mien compare base benchmarks/results/peers/PEER.csv --data DATA --split PublicTest
"""

import argparse
import csv
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np

from mien.datasets import read_dataset
from mien.evaluate.answers import image_keys, read_predictions

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "peers"


def main() -> None:
    """Makes the environment where there is none, runs the peer, checks and writes what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("peer", choices=sorted(path.parent.name for path in HERE.glob("*/predict.py")))
    parser.add_argument("data", type=Path, help="FER-2013 in any shape that mien reads")
    parser.add_argument("--split", default="PublicTest")
    arguments = parser.parse_args()

    images = read_dataset(arguments.data, arguments.split).images
    python = environment(arguments.peer)
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{arguments.peer}.csv"
    with tempfile.TemporaryDirectory() as folder:
        faces, said = Path(folder) / "faces.npy", Path(folder) / "said.csv"
        np.save(faces, images)
        subprocess.run([python, HERE / arguments.peer / "predict.py", faces, said], check=True)
        add_keys(said, target, [f"{key:08x}" for key in image_keys(images)])
    read_predictions(target)
    print(target)


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made and filled when first asked for."""
    folder = HERE / ".venv" / peer
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True)
        requirements = HERE / peer / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", requirements], check=True)
        done.touch()
    return python


def add_keys(said: Path, target: Path, keys: list[str]) -> None:
    """Adds to each row of a prediction file the key of its picture, so that it fits no other data."""
    with said.open(newline="") as source, target.open("w", newline="") as file:
        reader = csv.reader(source)
        writer = csv.writer(file, lineterminator="\n")
        header = next(reader)
        writer.writerow([header[0], "image", *header[1:]])
        for record in reader:
            writer.writerow([record[0], keys[int(record[0])], *record[1:]])


if __name__ == "__main__":
    main()
