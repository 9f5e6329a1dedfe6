import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.audit.duplicates import components, exact_groups, near_pairs
from mien.datasets import has_twin
from support import drawn_face


def faces(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([drawn_face(label % 7, random) for label in range(count)])


def test_exact_groups_are_by_pixels():
    one, two, three = faces(3)
    assert exact_groups(np.stack([one, two, one, three, two, one])) == [[0, 2, 5], [1, 4]]
    assert exact_groups(np.empty((0, 48, 48), np.uint8)) == []


def correlations(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    count = len(images)
    flat = np.concatenate([images, others]).reshape(2 * count, -1).astype(np.float64)
    return np.corrcoef(flat)[:count, count:]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), alike=st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_the_pairs_are_those_that_all_pixels_tell(seed: int, alike: float):
    random = np.random.default_rng(seed)
    originals = faces(6, seed)
    # Copies under noise from none to much, some mirrored, so that their correlations lie on both sides.
    copies = np.concatenate([originals, originals[:, :, ::-1]])[random.permutation(12)].astype(float)
    copies += random.normal(size=copies.shape) * random.uniform(0, 60, (12, 1, 1))
    images = np.concatenate([originals, copies.clip(0, 255).astype(np.uint8)])
    found = near_pairs(images, alike=alike)

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
    for pair in found:
        exact = (mirrored if pair.mirrored else plain)[pair.first, pair.second]
        assert pair.correlation == pytest.approx(exact, abs=1e-4)


def test_near_means_what_it_means_when_validation_is_parted():
    images = faces(40)
    random = np.random.default_rng(1)
    others = (images + random.normal(size=images.shape) * np.linspace(0, 40, 40)[:, None, None]).clip(0, 255)
    others = others.astype(np.uint8)
    pairs = near_pairs(np.concatenate([images, others]))
    twins = {pair.first for pair in pairs if not pair.mirrored and pair.first < 40 <= pair.second}
    assert twins == set(np.flatnonzero(has_twin(images, others)).tolist())
    assert 0 < len(twins) < 40


def test_blocks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch):
    images = np.concatenate([faces(9), faces(9) // 2 + 30]).astype(np.uint8)
    whole = near_pairs(images)
    monkeypatch.setattr("mien.audit.duplicates._BLOCK", 4)
    assert near_pairs(images) == whole
    assert len(whole) == 9


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures_make_no_pair(count: int):
    assert near_pairs(faces(2)[:count]) == []


def test_a_picture_of_one_grey_is_like_none():
    grey = np.full((2, 48, 48), 7, np.uint8)
    grey[1] = 9
    assert near_pairs(grey) == []


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        ([], []),
        ([(3, 5)], [[3, 5]]),
        ([(3, 5), (1, 2), (5, 9)], [[1, 2], [3, 5, 9]]),
        ([(1, 2), (3, 4), (2, 3)], [[1, 2, 3, 4]]),
    ],
)
def test_components(pairs: list[tuple[int, int]], groups: list[list[int]]):
    assert components(pairs) == groups
