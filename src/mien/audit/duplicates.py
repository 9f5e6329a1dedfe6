"""Finds copies among faces: exact ones by their bytes, near and mirrored ones by correlation.

Written here and not taken from cleanvision (Apache 2.0; brings matplotlib and pandas) or imagehash (BSD; brings
SciPy): their perceptual hashes keep 64 signs of a picture, which is coarse for faces of 48×48 that all look
alike, and mean another "near" than `mien.datasets.has_twin`, by which training keeps its validation part apart.
Here near means just what it means there, and none is missed: see `near_pairs`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.datasets import SIDE

ALIKE: Final = 0.95
"""Pixels of near copies correlate above this, as in `mien.datasets.split_validation`."""

_FREQUENCIES: Final = 11  # of 48 in each direction; more means fewer false alarms and longer products
_BLOCK: Final = 2048  # pictures compared with as many others at once: some 16 MiB


class Pair(NamedTuple):
    """Two pictures that are nearly the same.

    Attributes:
        first: index of one.
        second: index of the other, larger than `first`.
        correlation: of their pixels, in (`alike`, 1].
        mirrored: whether one of them is seen in a mirror.
    """

    first: int
    second: int
    correlation: float
    mirrored: bool


def exact_groups(images: NDArray[np.uint8]) -> list[list[int]]:
    """Groups of two or more pictures (N, 48, 48) with the same pixels, as rising indices, by their first."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[image.tobytes()].append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(
    images: NDArray[np.uint8],
    *,
    alike: float = ALIKE,
    say: Callable[[str], None] = lambda message: None,
) -> list[Pair]:
    """All pairs of pictures whose pixels correlate above `alike`, as they are or with one of them mirrored.

    Two pictures of unit norm that correlate above r are nearer than √(2 − 2r), and no nearer after any
    orthogonal projection. So all are compared by 120 low frequencies of their cosine transform first (among
    which a mirror is a change of signs), and the few that are near enough by all 2,304 pixels. A picture of one
    single grey correlates with nothing.

    Args:
        images: uint8 (N, 48, 48), no two of them the same: take one of each of `exact_groups`.
        alike: correlation above which two are near copies, in [-1, 1).
        say: is told in a few words how far the work is.

    Returns:
        The pairs, a mirrored one only if the two are not alike without a mirror.
    """
    reduced = np.concatenate(
        [_low_frequencies(images[start : start + _BLOCK]) for start in range(0, len(images), _BLOCK)]
        or [np.empty((0, _FREQUENCIES**2), np.float32)]
    )
    # |a − b|² < 2 − 2r, written as one product: a·b − |a|²/2 − |b|²/2 > r − 1. Rounding must not lose a pair.
    least = np.float32(alike - 1 - 1e-5)
    half = (reduced**2).sum(axis=1, keepdims=True) / 2
    one = np.ones_like(half)
    left = np.hstack([reduced, -half, one])
    right = {False: np.hstack([reduced, one, -half]), True: np.hstack([reduced * _MIRROR, one, -half])}
    pairs: dict[tuple[int, int], Pair] = {}
    starts = range(0, len(images), _BLOCK)
    for start in starts:
        say(f"comparing pictures: {start:,} of {len(images):,}")
        for other in range(start, len(images), _BLOCK):
            for mirrored in (False, True):
                near = left[start : start + _BLOCK] @ right[mirrored][other : other + _BLOCK].T > least
                first, second = np.nonzero(near)
                first, second = first + start, second + other
                first, second = first[first < second], second[first < second]
                for pair in _verified(images, first, second, mirrored, alike):
                    pairs.setdefault((pair.first, pair.second), pair)
    return sorted(pairs.values())


def components(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of all that are joined by pairs, directly or through others: rising indices, by their first."""
    root: dict[int, int] = {}

    def find(index: int) -> int:
        root.setdefault(index, index)
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    for first, second in pairs:
        a, b = sorted((find(first), find(second)))
        root[b] = a
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index in sorted(root):
        groups[find(index)].append(index)
    return sorted(groups.values())


def _verified(
    images: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    mirrored: bool,
    alike: float,
) -> Iterable[Pair]:
    """Those candidates that correlate above `alike` by all their pixels."""
    for start in range(0, len(first), _BLOCK):
        a, b = first[start : start + _BLOCK], second[start : start + _BLOCK]
        others = images[b][:, :, ::-1] if mirrored else images[b]
        correlation = np.einsum("nij,nij->n", _unit(images[a]), _unit(others))
        for row in np.flatnonzero(correlation > alike):
            yield Pair(int(a[row]), int(b[row]), min(1.0, float(correlation[row])), mirrored)


def _unit(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (N, 48, 48) of mean 0 and norm 1; those of one single grey are 0."""
    floats = images.astype(np.float32)
    floats -= floats.mean(axis=(1, 2), keepdims=True)
    norm = np.linalg.norm(floats, axis=(1, 2), keepdims=True)
    np.divide(floats, norm, out=floats, where=norm > 0)
    return floats


def _cosines() -> NDArray[np.float32]:
    """The first rows of the orthonormal DCT-II matrix: (frequencies, 48)."""
    place, frequency = np.arange(SIDE), np.arange(_FREQUENCIES)[:, None]
    matrix: NDArray[np.float64] = np.sqrt(2 / SIDE) * np.cos(np.pi * (place + 0.5) * frequency / SIDE)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


_DCT: Final = _cosines()
# Mirrored, a picture's odd horizontal cosines change their sign.
_MIRROR: Final = np.tile((-1.0) ** np.arange(_FREQUENCIES), _FREQUENCIES).astype(np.float32)


def _low_frequencies(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An orthogonal projection of the standardised pictures: (N, 48, 48) to (N, frequencies²)."""
    reduced = _DCT @ _unit(images) @ _DCT.T
    return reduced.reshape(len(images), -1).astype(np.float32, copy=False)
