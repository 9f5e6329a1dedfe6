from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.audit.duplicates import Likest, exact_groups, join, near_pairs
from mien.datasets import has_twin
from support import drawn_face


def faces(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([drawn_face(label % 7, random) for label in range(count)])


class Pair(NamedTuple):
    first: int
    second: int
    correlation: float
    mirrored: bool


def all_pairs(images: np.ndarray, **options: float) -> list[Pair]:
    """What comes some at a time, in one list."""
    return sorted(
        Pair(*pair, mirrored)
        for *arrays, mirrored in near_pairs(images, **options)
        for pair in zip(*(array.tolist() for array in arrays), strict=True)
    )


def test_exact_groups_are_by_pixels():
    one, two, three = faces(3)
    assert exact_groups(np.stack([one, two, one, three, two, one])) == [[0, 2, 5], [1, 4]]
    assert exact_groups(np.empty((0, 48, 48), np.uint8)) == []


def correlations(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    count = len(images)
    flat = np.concatenate([images, others]).reshape(2 * count, -1).astype(np.float64)
    return np.corrcoef(flat)[:count, count:]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    alike=st.sampled_from([0.5, 0.8, 0.95, 0.99]),
    many=st.sampled_from([0, 32_768]),
)
def test_the_pairs_are_those_that_all_pixels_tell(seed: int, alike: float, many: int):
    random = np.random.default_rng(seed)
    originals = faces(6, seed)
    # Copies under noise from none to much, some mirrored, so that their correlations lie on both sides.
    copies = np.concatenate([originals, originals[:, :, ::-1]])[random.permutation(12)].astype(float)
    copies += random.normal(size=copies.shape) * random.uniform(0, 60, (12, 1, 1))
    images = np.concatenate([originals, copies.clip(0, 255).astype(np.uint8)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.audit.duplicates._MANY", many)  # one by one, or all of a block with all
        found = all_pairs(images, alike=alike)

    plain, mirrored = correlations(images, images), correlations(images, images[:, :, ::-1])
    sure = 1e-5  # single precision may see what lies so near the threshold on either side
    wanted = {
        (a, b): bool(plain[a, b] <= alike)
        for a in range(len(images))
        for b in range(a + 1, len(images))
        if max(plain[a, b], mirrored[a, b]) > alike
        and min(abs(plain[a, b] - alike), abs(mirrored[a, b] - alike)) > sure
    }
    assert {(pair.first, pair.second): pair.mirrored for pair in found} == wanted
    assert len(found) == len(wanted)
    for pair in found:
        exact = (mirrored if pair.mirrored else plain)[pair.first, pair.second]
        assert pair.correlation == pytest.approx(exact, abs=1e-4)


def test_near_means_what_it_means_when_validation_is_parted():
    images = faces(40)
    random = np.random.default_rng(1)
    others = (images + random.normal(size=images.shape) * np.linspace(0, 40, 40)[:, None, None]).clip(0, 255)
    others = others.astype(np.uint8)
    pairs = all_pairs(np.concatenate([images, others]))
    twins = {pair.first for pair in pairs if not pair.mirrored and pair.first < 40 <= pair.second}
    assert twins == set(np.flatnonzero(has_twin(images, others)).tolist())
    assert 0 < len(twins) < 40


def test_blocks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch):
    images = np.concatenate([faces(9), faces(9) // 2 + 30]).astype(np.uint8)
    whole = all_pairs(images)
    monkeypatch.setattr("mien.audit.duplicates._BLOCK", 4)
    assert all_pairs(images) == whole
    assert len(whole) == 9


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures_make_no_pair(count: int):
    assert all_pairs(faces(2)[:count]) == []


def test_a_picture_of_one_grey_is_like_none():
    grey = np.full((2, 48, 48), 7, np.uint8)
    grey[1] = 9
    assert all_pairs(grey) == []


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        ([], []),
        ([(3, 5)], [[3, 5]]),
        ([(3, 5), (1, 2), (5, 9)], [[1, 2], [3, 5, 9]]),
        ([(1, 2), (3, 4), (2, 3)], [[1, 2, 3, 4]]),
        ([(0, 9), (8, 9), (7, 8), (6, 7), (1, 2), (2, 6)], [[0, 1, 2, 6, 7, 8, 9]]),
        ([(4, 9), (5, 8), (6, 7), (3, 8), (3, 9)], [[3, 4, 5, 8, 9], [6, 7]]),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_what_pairs_join(pairs: list[tuple[int, int]], groups: list[list[int]], at_once: int):
    root = np.arange(10)
    for start in range(0, len(pairs), at_once):
        join(root, *np.array(pairs[start : start + at_once]).T)
    joined = [np.flatnonzero(root == index).tolist() for index in range(10)]
    assert [group for group in joined if len(group) > 1] == groups


@pytest.mark.parametrize("block", [5, 64])
def test_the_likest_of_each_split_is_known_without_the_pairs(block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mien.audit.duplicates._BLOCK", block)
    random = np.random.default_rng(3)
    images = np.concatenate([faces(4), faces(4)[:, :, ::-1]])[random.integers(0, 8, 40)].astype(float)
    images += random.normal(size=images.shape) * random.uniform(0, 30, (40, 1, 1))
    images = images.clip(0, 255).astype(np.uint8)
    images[39] = 255 - images[0]  # like none
    there = random.random((3, 40)) < 0.5
    there[0, ~there.any(axis=0)] = True
    likest = Likest(there)
    for pairs in near_pairs(images, alike=0.8):
        likest.add(pairs)

    pairs = all_pairs(images, alike=0.8)
    assert {pair.mirrored for pair in pairs} == {True, False}
    for split in range(3):
        for index in range(40):
            # Of equals the foremost.
            others = [
                (-pair.correlation, other, pair.mirrored)
                for pair in pairs
                for one, other in (pair[:2], pair[1::-1])
                if one == index and there[split, other]
            ]
            known = (-likest.correlation[split, index], likest.other[split, index])
            if others:
                assert (*known, likest.mirrored[split, index]) == min(others)
            else:
                assert known == (np.inf, 40)
    assert likest.root[39] == 39


def test_of_pairs_that_are_equally_alike_the_foremost_is_the_likest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mien.audit.duplicates._BLOCK", 2)
    face = faces(1)[0].clip(20, 235)
    # Other grey levels are the same to a correlation, up to rounding.
    likest = Likest(np.ones((1, 7), np.bool_))
    for pairs in near_pairs(np.stack([face + np.uint8(step) for step in range(7)])):
        likest.add(pairs._replace(correlation=np.ones_like(pairs.correlation)))
    assert likest.other.tolist() == [[1, 0, 0, 0, 0, 0, 0]]
    assert likest.root.tolist() == [0] * 7
