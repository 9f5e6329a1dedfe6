"""Finds copies among faces: exact ones by their bytes, near and mirrored ones by correlation.

Written here and not taken from cleanvision (Apache 2.0; brings matplotlib and pandas) or imagehash (BSD; brings
SciPy): their perceptual hashes keep 64 signs of a picture, which is coarse for faces of 48×48 that all look
alike, and mean another "near" than `mien.datasets.has_twin`, by which training keeps its validation part apart.
Here near means just what it means there, and none is missed: see `near_pairs`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.datasets import SIDE

ALIKE: Final = 0.95
"""Pixels of near copies correlate above this, as in `mien.datasets.split_validation`."""

_FREQUENCIES: Final = 11  # of 48 in each direction; more means fewer false alarms and longer products
_BLOCK: Final = 2048  # pictures compared with as many others at once: some 16 MiB
_MANY: Final = 32_768  # pairs of a block: with more, the product of all its pictures takes less time


class Pairs(NamedTuple):
    """Pairs of pictures that are nearly the same, side by side.

    Attributes:
        first: int64 (P,), index of one of each.
        second: int64 (P,), index of the other, larger than that of the first.
        correlation: float32 (P,), of their pixels, in (`alike`, 1].
        mirrored: whether one of each pair is seen in a mirror.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: NDArray[np.float32]
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
) -> Iterator[Pairs]:
    """All pairs of pictures whose pixels correlate above `alike`, as they are or with one of them mirrored.

    Two pictures of unit norm that correlate above r are nearer than √(2 − 2r), and no nearer after any
    orthogonal projection. So all are compared by 120 low frequencies of their cosine transform first (among
    which a mirror is a change of signs), and the few that are near enough by all 2,304 pixels. A picture of one
    single grey correlates with nothing.

    Args:
        images: uint8 (N, 48, 48), no two of them the same: take one of each of `exact_groups`.
        alike: correlation above which two are near copies, in [-1, 1).
        say: is told in a few words how far the work is.

    Yields:
        Pairs, some of them at a time: of a film, each picture may be like all others, and all pairs together
        would fill the memory. A mirrored one only if the two are not alike without a mirror.
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
    starts = range(0, len(images), _BLOCK)
    for start in starts:
        say(f"comparing pictures: {start:,} of {len(images):,}")
        for other in range(start, len(images), _BLOCK):
            plain = np.zeros((_BLOCK, _BLOCK), np.bool_)  # the pairs of this block that need no mirror
            for mirrored in (False, True):
                near = left[start : start + _BLOCK] @ right[mirrored][other : other + _BLOCK].T > least
                near &= ~plain[: near.shape[0], : near.shape[1]]
                first, second = np.nonzero(near)
                first, second = first + start, second + other
                first, second = first[first < second], second[first < second]
                correlation = _correlations(images, first, second, mirrored)
                found = correlation > alike
                first, second = first[found], second[found]
                plain[first - start, second - other] = True
                if len(first):
                    yield Pairs(first, second, np.minimum(correlation[found], 1), mirrored)


class Likest:
    """What is left of pairs when they are gone by: of each picture the likest others, and who is joined to whom.

    Attributes:
        other: int64 (splits, N), of each picture the likest in each split; N where there is none.
        correlation: float32 (splits, N), how much the two correlate.
        mirrored: bool (splits, N), whether one of them is seen in a mirror.
        root: int64 (N,), the first of all pictures that a picture is joined to, directly or through others.
    """

    def __init__(self, there: NDArray[np.bool_]) -> None:
        """Knows of no pair.

        Args:
            there: bool (splits, N), in which splits a picture lies.
        """
        self._there = there
        self.other = np.full(there.shape, there.shape[1])
        self.correlation = np.full(there.shape, -np.inf, np.float32)
        self.mirrored = np.zeros(there.shape, np.bool_)
        self.root = np.arange(there.shape[1])

    def add(self, pairs: Pairs) -> None:
        """Takes pairs into account; no pair may come twice."""
        first, second, correlation, mirrored = pairs
        join(self.root, first, second)
        for one, other in ((first, second), (second, first)):
            for split, there in enumerate(self._there):
                here = there[other]
                self._take(split, Pairs(one[here], other[here], correlation[here], mirrored))

    def _take(self, split: int, pairs: Pairs) -> None:
        """For the first of each pair, the second if that is likelier than all before; of equals the foremost."""
        correlation, other = self.correlation[split], self.other[split]
        correlation_before, other_before = correlation.copy(), other.copy()
        np.maximum.at(correlation, pairs.first, pairs.correlation)
        other[correlation > correlation_before] = len(other)
        likest = pairs.correlation == correlation[pairs.first]
        np.minimum.at(other, pairs.first[likest], pairs.second[likest])
        self.mirrored[split, other != other_before] = pairs.mirrored


def join(root: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
    """Joins each of `first` to the one beside it in `second`, with all that either is joined to already.

    Args:
        root: (N,), of each index the least that it is joined to, at first itself; is changed.
        first: (P,), indices.
        second: (P,), indices.
    """
    while len(first):
        a, b = root[first], root[second]
        apart = a != b
        first, second, a, b = first[apart], second[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root[:] = root[root]


def _correlations(
    images: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64], mirrored: bool
) -> NDArray[np.float32]:
    """How much the pictures of each pair correlate by all their pixels: (P,)."""
    others = images[:, :, ::-1] if mirrored else images
    if len(first) > _MANY:
        rows, columns = (slice(index.min(), index.max() + 1) for index in (first, second))
        a, b = (_unit(part).reshape(len(part), -1) for part in (images[rows], others[columns]))
        correlation: NDArray[np.float32] = (a @ b.T)[first - rows.start, second - columns.start]
        return correlation
    correlation = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK):
        some = slice(start, start + _BLOCK)
        a, b = _unit(images[first[some]]), _unit(others[second[some]])
        correlation[some] = np.einsum("nij,nij->n", a, b)
    return correlation


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
