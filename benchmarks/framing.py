"""Measures how FER-2013 frames its faces, so that faces of photographs can be framed alike.

    python benchmarks/framing.py fer2013.parquet

Faces of the Training part are enlarged, set on a canvas that continues their borders smoothly, and given to the
detector. `results/framing.json` then holds where the box and the landmarks fall in the crop, and how well the
crop can be told from them: for each of several predictors its constants and its errors. `mien.align` takes its
constants from there. The test parts are never looked at.

A predictor sees a box and landmarks and says where the crop's centre lies and how long its side is:

- `height`, `width`, `area`: side = factor × the box's height, width, root of its area; centre = the box's,
  moved down by a share of the side.
- `points`: the similarity (scale, turn, shift) that brings the median landmarks nearest to these, by least
  squares; `points_unturned` the same without a turn.
- `both`: the mean of `area` and `points`: of their centres, and of the logarithms of their sides.

The constants are made symmetric: a face is seen from the left as often as from the right.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from canvas import extend
from common import write_result
from mien.datasets import SIDE, read_dataset
from mien.detect import CenterFace

MARGIN = 24  # crop pixels of surroundings on every side
THRESHOLD = 0.5
SEED = 0

Faces = NDArray[np.uint8]
Floats = NDArray[np.float64]
Predictor = Callable[[Floats, Floats], tuple[Floats, Floats]]


def main() -> None:
    """Measures, writes the JSON file, and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="FER-2013 in any shape that mien reads")
    parser.add_argument(
        "--faces", type=int, default=2000, help="how many faces to draw (default: %(default)s)"
    )
    parser.add_argument(
        "--check", type=int, default=100, help="how many of them to measure at other sizes too"
    )
    arguments = parser.parse_args()

    faces = sample(arguments.data, arguments.faces)
    boxes, points, found = detect(faces, 96)
    report = {
        "what": "framing of FER-2013's crops; lengths and places in shares of the crop's side",
        "split": "Training",
        "faces": len(faces),
        "seed": SEED,
        "threshold": THRESHOLD,
        "enlarged_to": 96,
        "found": round(float(found.mean()), 4),
        "geometry": geometry(boxes, points),
        "landmarks": usual_landmarks(points).tolist(),
        "predictors": {
            name: errors(p(boxes, points), points) for name, p in predictors(boxes, points).items()
        },
        "constants": constants(boxes),
        "other_sizes": {str(n): other_size(faces[: arguments.check], n) for n in (96, 192, 384)},
    }
    write_result("framing", report)


def sample(data: Path, count: int) -> Faces:
    """Draws `count` faces of the Training part, uint8 (count, 48, 48): the same on every run."""
    images = read_dataset(data, "train").images
    return images[np.random.default_rng(SEED).choice(len(images), count, replace=False)]


def on_canvas(face: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarges a face to `side` pixels, with surroundings that continue it: RGB uint8 (2·side, 2·side, 3)."""
    canvas = extend(face, MARGIN, MARGIN, MARGIN, MARGIN)
    length = side * (SIDE + 2 * MARGIN) // SIDE
    large = Image.fromarray(canvas).resize((length, length), Image.Resampling.BICUBIC)
    return np.asarray(large.convert("RGB"))


def detect(faces: Faces, side: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Boxes (n, 4) and landmarks (n, 5, 2) of the faces found, in shares of the crop; and which were found."""
    canvas = side * (SIDE + 2 * MARGIN) // SIDE - 4
    detector = CenterFace(size=canvas, threshold=THRESHOLD, threads=1)
    random = np.random.default_rng(SEED)
    boxes, points, found = [], [], []
    for face in faces:
        # The network's cells are 4 pixels wide: a face always in the same place would show their edges.
        x, y = random.integers(0, 4, 2)
        result = detector.detect(on_canvas(face, side)[y : y + canvas, x : x + canvas])
        found.append(len(result) > 0)
        if len(result):
            boxes.append((result.boxes[0] + [x, y, x, y]) / side - MARGIN / SIDE)
            points.append((result.landmarks[0] + [x, y]) / side - MARGIN / SIDE)
    return np.array(boxes, np.float64), np.array(points, np.float64), np.array(found)


def geometry(boxes: Floats, points: Floats) -> dict[str, dict[str, float]]:
    """Median and spread of where things lie in the crop."""
    centre, width, height = measures(boxes)
    eyes, mouth = points[:, :2].mean(axis=1), points[:, 3:].mean(axis=1)
    values = {
        "box_centre_x": centre[:, 0],
        "box_centre_y": centre[:, 1],
        "box_width": width,
        "box_height": height,
        "left_eye_x": points[:, 0, 0],
        "left_eye_y": points[:, 0, 1],
        "right_eye_x": points[:, 1, 0],
        "right_eye_y": points[:, 1, 1],
        "mouth_x": mouth[:, 0],
        "mouth_y": mouth[:, 1],
        "eye_distance": np.linalg.norm(points[:, 1] - points[:, 0], axis=1),
        "eyes_to_mouth": np.linalg.norm(mouth - eyes, axis=1),
        "eye_angle_degrees": eye_angle(points),
    }
    return {name: spread(value) for name, value in values.items()}


def constants(boxes: Floats) -> dict[str, dict[str, float]]:
    """For each measure of the box: the crop's side as its multiple, its centre's shift in shares of the side."""
    centre, width, height = measures(boxes)
    table = {}
    for name, length in {"height": height, "width": width, "area": np.sqrt(width * height)}.items():
        factor = float(np.exp(np.median(-np.log(length))))
        predicted = factor * length
        table[name] = {
            "factor": round(factor, 4),
            "shift_down": round(float(np.median((0.5 - centre[:, 1]) / predicted)), 4),
        }
    return table


def usual_landmarks(points: Floats) -> Floats:
    """Median landmarks (5, 2), made symmetric."""
    median = np.median(points, axis=0)
    mirrored = median[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]
    return ((median + mirrored) / 2).round(4)


def predictors(boxes: Floats, points: Floats) -> dict[str, Predictor]:
    """The predictors by name, with constants fitted to these faces."""
    fitted = constants(boxes)
    template = usual_landmarks(points)

    def from_box(name: str) -> Predictor:
        def predict(boxes: Floats, points: Floats) -> tuple[Floats, Floats]:
            centre, width, height = measures(boxes)
            length = {"height": height, "width": width, "area": np.sqrt(width * height)}[name]
            side = fitted[name]["factor"] * length
            return centre + side[:, None] * [0, fitted[name]["shift_down"]], side

        return predict

    def from_points(turn: bool) -> Predictor:
        # Least squares in complex numbers: points ≈ a · (template - its mean) + mean of points.
        def predict(boxes: Floats, points: Floats) -> tuple[Floats, Floats]:
            model = template @ [1, 1j]
            seen = points @ [1, 1j]
            middle, seen_middle = model.mean(), seen.mean(axis=1)
            model = model - middle
            a = ((seen - seen_middle[:, None]) * model.conj()).sum(axis=1) / (np.abs(model) ** 2).sum()
            a = a if turn else a.real
            centre = seen_middle + a * (0.5 + 0.5j - middle)
            return np.stack([centre.real, centre.imag], axis=1), np.abs(a)

        return predict

    def both(boxes: Floats, points: Floats) -> tuple[Floats, Floats]:
        (centre, side), (other_centre, other_side) = (
            predict(boxes, points) for predict in (from_box("area"), from_points(True))
        )
        return (centre + other_centre) / 2, np.sqrt(side * other_side)

    return {
        **{name: from_box(name) for name in fitted},
        "points": from_points(True),
        "points_unturned": from_points(False),
        "both": both,
    }


def errors(prediction: tuple[Floats, Floats], points: Floats) -> dict[str, float]:
    """How far predicted crops are from the true one (centre 0.5, 0.5; side 1)."""
    centre, side = prediction
    off, scale = centre - 0.5, np.log(side)
    corners = np.hypot(np.linalg.norm(off, axis=1), np.abs(scale) / 2)
    tilted = np.abs(eye_angle(points)) > 15
    values = {
        "centre_x_median_abs": np.median(np.abs(off[:, 0])),
        "centre_y_median_abs": np.median(np.abs(off[:, 1])),
        "centre_x_std": off[:, 0].std(),
        "centre_y_std": off[:, 1].std(),
        "log_side_median": np.median(scale),
        "log_side_median_abs": np.median(np.abs(scale)),
        "log_side_std": scale.std(),
        "border_median": np.median(corners),
        "border_90_percent": np.quantile(corners, 0.9),
        "border_median_tilted_over_15_degrees": np.median(corners[tilted]),
    }
    return {name: round(float(value), 4) for name, value in values.items()}


def other_size(faces: Faces, side: int) -> dict[str, float]:
    """The chief measures with faces enlarged to another size."""
    boxes, points, found = detect(faces, side)
    values = geometry(boxes, points)
    names = ("box_centre_y", "box_width", "box_height", "eye_distance", "eyes_to_mouth")
    return {
        "faces": len(faces),
        "found": round(float(found.mean()), 4),
        **{name: values[name]["median"] for name in names},
    }


def measures(boxes: Floats) -> tuple[Floats, Floats, Floats]:
    """Centre (n, 2), width (n,) and height (n,) of boxes."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def eye_angle(points: Floats) -> Floats:
    """Degrees by which the line through the eyes falls to the right."""
    across = points[:, 1] - points[:, 0]
    return np.degrees(np.arctan2(across[:, 1], across[:, 0]))


def spread(values: Floats) -> dict[str, float]:
    """Median, quartiles and the middle 90 percent."""
    names = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
    return {name: round(float(np.quantile(values, q)), 4) for name, q in names.items()}


if __name__ == "__main__":
    main()
