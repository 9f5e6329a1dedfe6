"""How long a person waits: importing mien, the whole command, and each step for one photograph.

    python benchmarks/speed.py

Everything is run in turn, `RUNS` times after a first that does not count; medians and quartiles are written.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common import model_sha256, write_result
from mien.align import align_faces
from mien.classify import Classifier
from mien.detect import CenterFace
from mien.image import read_image

PHOTOGRAPH = Path(__file__).parent.parent / "examples" / "grace_hopper.jpg"
RUNS = 21


def main() -> None:
    """Measures and writes ``results/speed.json``."""
    image = read_image(PHOTOGRAPH)
    detector, classifier = CenterFace(), Classifier()
    found = detector.detect(image)
    crops = align_faces(image, found.boxes, found.landmarks)
    batch = crops[:1].repeat(64, axis=0)
    python = sys.executable
    steps: dict[str, Callable[[], object]] = {
        "process: python -c pass": lambda: run(python, "-c", "pass"),
        "process: python -c 'import mien'": lambda: run(python, "-c", "import mien"),
        "process: mien predict one.jpg": lambda: run(python, "-m", "mien", "predict", str(PHOTOGRAPH)),
        f"read, {image.shape[1]}×{image.shape[0]} JPEG": lambda: read_image(PHOTOGRAPH),
        "detect, long side 640": lambda: detector.detect(image),
        "align one face": lambda: align_faces(image, found.boxes[:1], found.landmarks[:1]),
        "classify one face": lambda: classifier.classify(crops[:1]),
        "classify 64 faces": lambda: classifier.classify(batch),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(RUNS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - start) * 1000)
    table, medians = {}, {}
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values[1:], n=4)
        medians[name] = middle
        table[name] = {"median": round(middle, 2), "quartiles": [round(low, 2), round(high, 2)]}
    importing = medians["process: python -c 'import mien'"] - medians["process: python -c pass"]
    write_result(
        "speed",
        {
            "model_sha256": model_sha256("base"),
            "runs": RUNS,
            "milliseconds": table,
            "import_mien_milliseconds": round(importing, 2),
        },
    )


def run(*command: str) -> None:
    """Runs a command to its end and hides what it prints."""
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
