"""Whether the maps of `mien explain` tell what the answer rests on: three checks on faces of PublicTest.

    python benchmarks/explain.py DATA [FACES] [MODEL]

- Deletion and insertion (Petsiuk et al. 2018): the pixels of a face are blurred, or shown on a blurred face, from
  the most to the least important by a map; the area under the share of the explained expression is low for a good
  map when deleting, high when inserting. Beside the maps: random maps as smooth as they are, the middle of the
  face, the map of another face, hiding one part at a time (Zeiler and Fergus 2014), and RISE with random masks and
  as many readings.
- Stability: how alike the maps of a face and of the same face moved by a pixel are.
- Sanity (Adebayo et al. 2018): how alike the maps are of a model whose weights were shuffled.

DATA is FER-2013 with the votes; FACES (default 35) are as many of each of the seven by FER+'s majority.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from common import model_sha256, write_result
from mien.classify import Classifier
from mien.datasets import crowd_majority, read_dataset
from mien.explain import explain_crop
from mien.labels import EXPRESSIONS
from mien.model_file import find_model, seal

POINTS = 13
"""Places on each curve."""

Map = NDArray[np.float32]
Face = NDArray[np.uint8]


def main(data: str, faces: str = "35", model: str = "base") -> None:
    """Measures and writes ``results/explain.json``."""
    test = read_dataset(data, "PublicTest")
    if test.votes is None:
        raise SystemExit(f"{data}: has no FER+ votes, by which the faces are drawn")
    random = np.random.default_rng(0)
    majority = crowd_majority(test.votes)
    each = int(faces) // len(EXPRESSIONS)
    rows = np.concatenate(
        [random.choice(np.flatnonzero(majority == label), each, False) for label in range(len(EXPRESSIONS))]
    )
    classifier = Classifier(model, threads=1)
    images = test.images[rows]
    likeliest = classifier.classify(images).probabilities.argmax(axis=1)
    words = [classifier.classes[index] for index in likeliest]
    maps = [explain_crop(classifier, face, [word])[word] for face, word in zip(images, words, strict=True)]
    kinds: dict[str, Callable[[int], Map]] = {
        "mien_explain": lambda face: maps[face],
        "random_map": lambda face: random_map(random),
        "middle_of_the_face": lambda face: middle(),
        "map_of_another_face": lambda face: maps[(face + each) % len(maps)],
        "one_part_at_a_time": lambda face: one_at_a_time(classifier, images[face], words[face]),
        "rise_random_masks": lambda face: rise(classifier, images[face], words[face], random),
    }
    with tempfile.TemporaryDirectory() as folder:
        shuffled = Classifier(shuffle_weights(model, Path(folder) / "shuffled.onnx"), threads=1)
        sanity = [
            abs(rank_correlation(values, explain_crop(shuffled, face, [word])[word]))
            for face, word, values in zip(images, words, maps, strict=True)
        ]
    unrelated = [abs(rank_correlation(values, random_map(random))) for values in maps]
    moved = [
        rank_correlation(
            # What was at column x lies at x + 1 in the face that was moved to the right.
            values[:, :-1],
            explain_crop(classifier, np.roll(face, 1, axis=1), [word])[word][:, 1:],
        )
        for face, word, values in zip(images, words, maps, strict=True)
    ]
    curves = {
        name: [areas(classifier, images[face], words[face], draw(face)) for face in range(len(images))]
        for name, draw in kinds.items()
    }
    write_result(
        "explain",
        {
            "model": model,
            "model_sha256": model_sha256(model),
            "split": "PublicTest",
            "faces": len(images),
            "curves": {name: summary(values, curves["random_map"]) for name, values in curves.items()},
            "better_than_rise": better(curves["mien_explain"], curves["rise_random_masks"]),
            "rank_correlation_moved_by_a_pixel": round(float(np.mean(moved)), 3),
            "size_of_rank_correlation_with_shuffled_weights": round(float(np.mean(sanity)), 3),
            "size_of_rank_correlation_with_a_random_map": round(float(np.mean(unrelated)), 3),
        },
    )


def summary(values: list[tuple[float, float]], of_random: list[tuple[float, float]]) -> dict[str, Any]:
    """Mean areas, and on what share of the faces they are better than a random map's."""
    deletion, insertion = np.array(values).T
    random_deletion, random_insertion = np.array(of_random).T
    return {
        "deletion": round(float(deletion.mean()), 4),
        "insertion": round(float(insertion.mean()), 4),
        "deletion_better_than_random": round(float((deletion < random_deletion).mean()), 3),
        "insertion_better_than_random": round(float((insertion > random_insertion).mean()), 3),
    }


def better(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> dict[str, Any]:
    """By how much our areas are better on the same faces, in the mean, with the 95 % bootstrap interval."""
    gains = (np.array(ours) - np.array(theirs)) * [-1, 1]  # less deletion, more insertion
    drawn = np.random.default_rng(0).integers(0, len(gains), (2000, len(gains)))
    low, high = np.percentile(gains[drawn].mean(axis=1), [2.5, 97.5], axis=0)
    return {
        name: {"gain": round(float(gain), 4), "interval_95": [round(float(a), 4), round(float(b), 4)]}
        for name, gain, a, b in zip(("deletion", "insertion"), gains.mean(axis=0), low, high, strict=True)
    }


def areas(classifier: Classifier, face: Face, word: str, values: Map) -> tuple[float, float]:
    """The areas under the curves of deletion and of insertion."""
    rank = np.empty(values.size, int)
    rank[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
    first = rank.reshape(values.shape) < np.linspace(0, values.size, POINTS)[:, None, None]
    steps = np.where(np.concatenate([first, ~first]), blurred(face), face)
    shares = share(classifier, steps, word)
    return float(shares[:POINTS].mean()), float(shares[POINTS:].mean())


def share(classifier: Classifier, faces: Face, word: str) -> NDArray[np.float32]:
    """The share of an expression on each face."""
    shares: NDArray[np.float32] = classifier.classify(faces).probabilities
    return shares[:, classifier.classes.index(word)]


def blurred(face: Face) -> Face:
    """A face of which nothing can be told."""
    dim: Face = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(len(face) / 8)))
    return dim


def hide(face: Face, seen: NDArray[np.float64]) -> Face:
    """The face as far as it is seen, (n, size, size) in [0, 1], blurred where not."""
    dim = blurred(face).astype(np.float64)
    return np.rint(dim + (face - dim) * seen).astype(np.uint8)


def random_map(random: np.random.Generator, size: int = 48) -> Map:
    """7×7 random numbers and what lies between them."""
    grid = Image.fromarray(random.normal(size=(7, 7)).astype(np.float32))
    values: Map = np.asarray(grid.resize((size, size), Image.Resampling.BILINEAR))
    return values


def middle(size: int = 48) -> Map:
    """How near each pixel is to the middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    values: Map = -np.hypot(x, y).astype(np.float32)
    return values


def one_at_a_time(classifier: Classifier, face: Face, word: str) -> Map:
    """How much the share falls with a Gaussian cover (standard deviation 4 pixels) at each of 12×12 places."""
    along = np.exp(-0.5 * ((np.arange(48) - np.arange(1.5, 48, 4)[:, None]) / 4) ** 2)
    covers = np.einsum("ay,bx->abyx", along, along).reshape(-1, 48, 48)
    lost = share(classifier, face[None], word) - share(classifier, hide(face, 1 - covers), word)
    values: Map = (np.tensordot(lost, covers, axes=1) / covers.sum(axis=0)).astype(np.float32)
    return values


def rise(
    classifier: Classifier, face: Face, word: str, random: np.random.Generator, readings: int = 128
) -> Map:
    """RISE as published, cells of 7 pixels seen by chance, half of them, with the masks' own means taken off."""
    masks = []
    for _ in range(readings):
        cells = Image.fromarray((random.random((8, 8)) < 0.5).astype(np.float32))
        large = np.asarray(cells.resize((56, 56), Image.Resampling.BILINEAR))
        y, x = random.integers(0, 7, 2)
        masks.append(large[y : y + 48, x : x + 48])
    seen = np.array(masks, np.float64)
    shares = share(classifier, hide(face, seen), word)
    seen -= seen.mean(axis=0)
    values: Map = (np.tensordot(shares, seen, axes=1) / (seen**2).sum(axis=0)).astype(np.float32)
    return values


def shuffle_weights(model: str, path: Path) -> Path:
    """Writes a model whose weights are its own, those of each layer in random order."""
    random = np.random.default_rng(0)
    network = onnx.load_from_string(find_model(model).read_bytes())
    seal_of_theirs = next(entry for entry in network.metadata_props if entry.key == "mien.sha256")
    network.metadata_props.remove(seal_of_theirs)
    for tensor in network.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.size > 1 and weights.dtype != np.int64:  # shapes are in 64 bits
            mixed = random.permutation(weights.ravel()).reshape(weights.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(mixed, tensor.name))
    path.write_bytes(seal(network.SerializeToString()))
    return path


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's; 0 where a map is the same everywhere."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


if __name__ == "__main__":
    main(*sys.argv[1:])
