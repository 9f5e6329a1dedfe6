"""The same test on spoilt faces: what a model loses when pictures are not as clean as the data set's.

Thirteen ways of spoiling, each at five strengths: of the content (a bar over the eyes, over the mouth), of the
picture's quality, and of how the face was cut out: no detector frames faces as a data set does.
The strengths of noise and contrast span those of CIFAR-10-C (Hendrycks & Dietterich 2019); the others are given in
pixels, degrees or shares of the 48-pixel face, so that one can picture them.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mien.classify import Classifier
from mien.evaluate.answers import Reading, read_faces
from mien.evaluate.truths import Truth, chosen, shares_for

Faces = NDArray[np.uint8]
Random = np.random.Generator

CURVE_FACES: Final = 1200
"""Faces on which the curves are measured: every k-th, so that a hundred thousand cost no more."""
SEED: Final = 0
# Where eyes and mouth lie in a crop, as shares of its side from above: benchmarks/results/framing.json.
_EYES, _MOUTH = 0.3995, 0.759


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way of spoiling faces.

    Attributes:
        key: its name in files.
        title: its name for people.
        unit: what its strengths are.
        strengths: five, rising in harm.
        spoil: from faces, a strength and a source of chance to spoilt faces; uint8 (N, 48, 48) both.
    """

    key: str
    title: str
    unit: str
    strengths: tuple[float, float, float, float, float]
    spoil: Callable[[Faces, float, Random], Faces]


def _bytes(values: NDArray[Any]) -> Faces:
    rounded: Faces = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded


def _signs(faces: Faces, random: Random) -> NDArray[np.int64]:
    return random.choice([-1, 1], len(faces))


def noise(faces: Faces, strength: float, random: Random) -> Faces:
    """Gaussian noise; strength: standard deviation as a share of the grey range."""
    return _bytes(faces + random.normal(0, 255 * strength, faces.shape))


def blur(faces: Faces, strength: float, random: Random) -> Faces:
    """Gaussian blur; strength: standard deviation in pixels."""
    return _bytes(ndimage.gaussian_filter(faces.astype(np.float32), (0, strength, strength), mode="nearest"))


def motion(faces: Faces, strength: float, random: Random) -> Faces:
    """A hand that moved: each face smeared along a direction of its own; strength: length in pixels."""
    steps = np.linspace(-strength / 2, strength / 2, 2 * round(strength) + 1)
    smeared = []
    for face, angle in zip(faces.astype(np.float32), random.uniform(0, np.pi, len(faces)), strict=True):
        way = np.array([np.sin(angle), np.cos(angle)])
        moved = [ndimage.shift(face, step * way, order=1, mode="nearest") for step in steps]
        smeared.append(np.mean(moved, axis=0))
    return _bytes(np.array(smeared))


def jpeg(faces: Faces, strength: float, random: Random) -> Faces:
    """JPEG; strength: the quality."""
    return np.array([_jpeg(face, int(strength)) for face in faces])


def _jpeg(face: Faces, quality: int) -> Faces:
    stream = io.BytesIO()
    Image.fromarray(face).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def contrast(faces: Faces, strength: float, random: Random) -> Faces:
    """Differences from a face's mean grey times a factor; strength: the factor."""
    mean = faces.mean(axis=(1, 2), keepdims=True)
    return _bytes(mean + strength * (faces - mean))


def brightness(faces: Faces, strength: float, random: Random) -> Faces:
    """Half of the faces brighter, half darker; strength: by which share of the grey range."""
    return _bytes(faces + 255 * strength * _signs(faces, random)[:, None, None])


def low_resolution(faces: Faces, strength: float, random: Random) -> Faces:
    """Shrunk and enlarged again (bicubic); strength: the small side in pixels."""
    small = (int(strength), int(strength))
    bicubic = Image.Resampling.BICUBIC
    return np.array(
        [
            np.asarray(Image.fromarray(face).resize(small, bicubic).resize(face.shape[::-1], bicubic))
            for face in faces
        ]
    )


def _cover(faces: Faces, middle: float, height: float) -> Faces:
    """Lays a bar of a face's mean grey over its whole width."""
    side = faces.shape[1]
    top, bottom = round((middle - height / 2) * side), round((middle + height / 2) * side)
    covered = faces.copy()
    covered[:, max(top, 0) : bottom] = faces.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
    return covered


def cover_eyes(faces: Faces, strength: float, random: Random) -> Faces:
    """A bar over the eyes; strength: its height as a share of the face."""
    return _cover(faces, _EYES, strength)


def cover_mouth(faces: Faces, strength: float, random: Random) -> Faces:
    """A bar over the mouth; strength: its height as a share of the face."""
    return _cover(faces, _MOUTH, strength)


def _reframed(
    faces: Faces,
    *,
    zoom: float = 1.0,
    degrees: NDArray[Any] | None = None,
    offsets: NDArray[Any] | None = None,
) -> Faces:
    """Cuts faces out anew; what lies outside is continued by the nearest pixels, as `mien.align` does.

    Args:
        faces: uint8 (N, S, S).
        zoom: side of the new frame as a share of the old one's.
        degrees: (N,), turn of each face about its middle.
        offsets: (N, 2), how far down and right each frame moves, in pixels.
    """
    middle = (faces.shape[1] - 1) / 2
    angles = np.deg2rad(np.zeros(len(faces)) if degrees is None else degrees)
    offsets = np.zeros((len(faces), 2)) if offsets is None else offsets
    cut = []
    for face, angle, offset in zip(faces.astype(np.float32), angles, offsets, strict=True):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * zoom
        start = middle + offset - turn @ np.full(2, middle)
        # A larger frame samples its pixels less densely: without a blur it would show what no camera does.
        smooth = ndimage.gaussian_filter(face, 0.5 * np.sqrt(zoom**2 - 1)) if zoom > 1 else face
        cut.append(ndimage.affine_transform(smooth, turn, start, order=3, mode="nearest"))
    return _bytes(np.array(cut))


def turn(faces: Faces, strength: float, random: Random) -> Faces:
    """Turned, half to the left, half to the right; strength: degrees."""
    return _reframed(faces, degrees=strength * _signs(faces, random))


def shift(faces: Faces, strength: float, random: Random) -> Faces:
    """Moved, each face in a direction of its own; strength: how far, as a share of the side."""
    angle = random.uniform(0, 2 * np.pi, len(faces))
    way = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return _reframed(faces, offsets=strength * faces.shape[1] * way)


def tighter(faces: Faces, strength: float, random: Random) -> Faces:
    """Framed tighter; strength: by which share the frame's side is less."""
    return _reframed(faces, zoom=1 - strength)


def wider(faces: Faces, strength: float, random: Random) -> Faces:
    """Framed wider; strength: by which share the frame's side is more."""
    return _reframed(faces, zoom=1 + strength)


CORRUPTIONS: Final = (
    Corruption("noise", "noise", "deviation, of the grey range", (0.02, 0.04, 0.06, 0.08, 0.12), noise),
    Corruption("blur", "blur", "deviation in pixels", (0.5, 1.0, 1.5, 2.0, 3.0), blur),
    Corruption("motion", "motion blur", "length in pixels", (3, 5, 7, 9, 13), motion),
    Corruption("jpeg", "JPEG", "quality", (60, 40, 25, 15, 8), jpeg),
    Corruption("contrast", "low contrast", "factor", (0.75, 0.5, 0.4, 0.3, 0.15), contrast),
    Corruption("brightness", "brightness", "up or down, of the range", (0.1, 0.2, 0.3, 0.4, 0.5), brightness),
    Corruption("low_resolution", "low resolution", "side in pixels", (32, 24, 16, 12, 8), low_resolution),
    Corruption("eyes", "eyes covered", "height, of the face", (0.08, 0.14, 0.2, 0.26, 0.32), cover_eyes),
    Corruption("mouth", "mouth covered", "height, of the face", (0.1, 0.18, 0.26, 0.34, 0.42), cover_mouth),
    Corruption("rotation", "turned", "degrees", (5, 10, 15, 20, 30), turn),
    Corruption("shift", "shifted", "share of the side", (0.04, 0.08, 0.12, 0.16, 0.2), shift),
    Corruption("tighter", "framed tighter", "share of the side", (0.05, 0.1, 0.15, 0.2, 0.3), tighter),
    Corruption("wider", "framed wider", "share of the side", (0.05, 0.1, 0.15, 0.2, 0.3), wider),
)

PROBES: Final = {
    "tighter_15": ("tighter", 0.15),
    "wider_15": ("wider", 0.15),
    "shift_8": ("shift", 0.08),
    "turn_15": ("rotation", 15),
    "shrunk_32": ("low_resolution", 32),
}
"""What a detector of another make does to a face: measured on every face, not only on those of the curves."""


def passes(n: int) -> int:
    """How many faces `robustness` reads, of n."""
    curve = len(_curve_rows(n))
    points = sum(len(corruption.strengths) for corruption in CORRUPTIONS) - len(PROBES)
    return curve * points + n * len(PROBES)


def _curve_rows(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, CURVE_FACES)).astype(np.int64))


def robustness(
    classifier: Classifier,
    images: Faces,
    truths: list[Truth],
    readings: dict[str, Reading],
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Accuracy under every corruption and strength, against the same faces unspoilt.

    Args:
        classifier: the model.
        images: uint8 (N, 48, 48).
        truths: what is held against; each has its own accuracies.
        readings: what the model says of the unspoilt faces.
        advance: told of the faces done.

    Returns:
        ``clean`` accuracy of the faces of the curves; ``curves``: by corruption, the accuracy at each strength;
        ``kept``: mean accuracy over all of them as a share of ``clean``; ``probes``: accuracy and points lost on
        all faces. All by truth.
    """
    some = _curve_rows(len(images))
    every = np.arange(len(images))
    plain = _right(readings, every, truths)
    clean = {key: _share(right[some]) for key, right in plain.items()}
    curves: dict[str, Any] = {}
    probes: dict[str, Any] = {}
    named = {place: name for name, place in PROBES.items()}
    for corruption in CORRUPTIONS:
        accuracies: dict[str, list[float]] = {truth.key: [] for truth in truths}
        for strength in corruption.strengths:
            probe = named.get((corruption.key, strength))
            rows = some if probe is None else every
            spoilt = _read_spoilt(classifier, images, rows, corruption, strength, advance)
            right = _right(spoilt, rows, truths)
            for key, values in right.items():
                accuracies[key].append(_share(values if probe is None else values[some]))
            if probe is not None:
                probes[probe] = {
                    key: {
                        "accuracy": _share(values),
                        "lost": _share(plain[key]) - _share(values),
                        "n": int((~np.isnan(values)).sum()),
                    }
                    for key, values in right.items()
                }
        curves[corruption.key] = {
            "title": corruption.title,
            "unit": corruption.unit,
            "strengths": list(corruption.strengths),
            "accuracy": accuracies,
        }
    return {
        "faces_of_the_curves": len(some),
        "clean": clean,
        "kept": {
            key: float(np.mean([curve["accuracy"][key] for curve in curves.values()])) / clean[key]
            if clean[key]
            else None
            for key in clean
        },
        "curves": curves,
        "probes": probes,
    }


def _read_spoilt(
    classifier: Classifier,
    images: Faces,
    rows: NDArray[np.int64],
    corruption: Corruption,
    strength: float,
    advance: Callable[[int], None],
) -> dict[str, Reading]:
    """The readings of spoilt faces, a chunk at a time: no more than a chunk of them is ever held."""
    random = np.random.default_rng(SEED)
    chunks = []
    for start in range(0, len(rows), 256):
        faces = corruption.spoil(images[rows[start : start + 256]], strength, random)
        chunks.append(read_faces(classifier, faces))
        advance(len(faces))
    return {
        name: Reading(reading.words, np.concatenate([chunk[name].shares for chunk in chunks]))
        for name, reading in chunks[0].items()
    }


def _right(
    readings: dict[str, Reading], rows: NDArray[np.int64], truths: list[Truth]
) -> dict[str, NDArray[np.float64]]:
    """By truth, for each of `rows`: 1 right, 0 wrong, NaN not counted by the protocol."""
    result = {}
    for truth in truths:
        labels = truth.labels[rows]
        answer = chosen(shares_for(truth, readings)[0])
        result[truth.key] = np.where(labels >= 0, answer == labels, np.nan)
    return result


def _share(right: NDArray[np.float64]) -> float:
    return float(np.nanmean(right))
