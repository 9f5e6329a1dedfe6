import numpy as np
import pytest
from scipy import ndimage

from mien.classify import Classifier
from mien.evaluate import robustness as module
from mien.evaluate.answers import read_faces
from mien.evaluate.robustness import CORRUPTIONS, PROBES, Corruption, passes, robustness
from mien.evaluate.truths import People, truths_of
from mien.labels import EXPRESSIONS


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Soft blotches: nothing in them repeats itself, so the more they are moved, the more they differ."""
    blotches = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(8, 48, 48)), (0, 5, 5))
    return (128 + 60 * blotches / blotches.std()).clip(0, 255).astype(np.uint8)


def change(corruption: Corruption, faces: np.ndarray, strength: float) -> np.ndarray:
    return corruption.spoil(faces, strength, np.random.default_rng(0))


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.key)
def test_harm_grows_with_strength_and_is_repeatable(corruption: Corruption, faces: np.ndarray):
    before = faces.copy()
    harms = []
    for strength in corruption.strengths:
        spoilt = change(corruption, faces, strength)
        assert spoilt.dtype == np.uint8
        assert spoilt.shape == faces.shape
        assert np.array_equal(spoilt, change(corruption, faces, strength))
        harms.append(np.abs(spoilt.astype(float) - faces).mean())
    assert harms[0] > 0
    assert harms[-1] == max(harms)
    assert np.array_equal(faces, before)


def of(key: str) -> Corruption:
    return next(corruption for corruption in CORRUPTIONS if corruption.key == key)


def test_frames_do_what_they_are_called():
    y, x = np.mgrid[:48, :48]
    disc = (255 * (np.hypot(y - 23.5, x - 23.5) < 12)).astype(np.uint8)[None]
    size = (disc > 127).sum()
    assert (change(of("tighter"), disc, 0.15) > 127).sum() / size == pytest.approx(1 / 0.85**2, rel=0.05)
    assert (change(of("wider"), disc, 0.15) > 127).sum() / size == pytest.approx(1 / 1.15**2, rel=0.05)
    moved = change(of("shift"), disc, 0.08)[0].astype(float)
    centre = np.array([(moved * y).sum(), (moved * x).sum()]) / moved.sum()
    assert np.hypot(*(centre - 23.5)) == pytest.approx(0.08 * 48, abs=0.1)


def test_turning_turns():
    bar = np.zeros((20, 48, 48), np.uint8)
    bar[:, 22:26, 4:44] = 255
    turned = change(of("rotation"), bar, 15)
    y, x = np.mgrid[:48, :48] - 23.5
    degrees = []
    for face in turned.astype(float):
        moments = (face * x * x).sum() - (face * y * y).sum(), 2 * (face * x * y).sum()
        degrees.append(np.rad2deg(np.arctan2(moments[1], moments[0]) / 2))
    assert np.abs(degrees) == pytest.approx(15, abs=0.5)
    assert len(set(np.sign(degrees))) == 2  # both ways


def test_bars_lie_over_eyes_and_mouth(faces: np.ndarray):
    for key, inside, outside in (("eyes", 19, 36), ("mouth", 36, 19)):
        spoilt = change(of(key), faces, of(key).strengths[0])
        assert (np.ptp(spoilt[:, inside], axis=1) == 0).all()
        assert np.array_equal(spoilt[:, outside], faces[:, outside])


def test_every_probe_is_a_strength_of_a_corruption():
    assert all(strength in of(key).strengths for key, strength in PROBES.values())


def test_the_whole_record(faces: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CURVE_FACES", 3)
    classifier = Classifier("base", threads=1)
    readings = read_faces(classifier, faces)
    answer = readings["probabilities"].shares.argmax(axis=1)
    # The truth is what the model says of the clean faces, so that all that is lost is lost to the harm.
    truths = truths_of(People(EXPRESSIONS, answer, None), {"probabilities": readings["probabilities"]})
    done: list[int] = []
    found = robustness(classifier, faces, truths, readings, done.append)
    assert sum(done) == passes(8) == 3 * 60 + 8 * 5
    assert found["faces_of_the_curves"] == 3
    assert found["clean"] == {"labels": 1.0}
    means = [np.mean(curve["accuracy"]["labels"]) for curve in found["curves"].values()]
    assert found["kept"]["labels"] == pytest.approx(np.mean(means))
    assert set(found["probes"]) == set(PROBES)
    probe = found["probes"]["turn_15"]["labels"]
    assert probe["lost"] == pytest.approx(1 - probe["accuracy"])
    turned = read_faces(classifier, change(of("rotation"), faces, 15))["probabilities"].shares.argmax(axis=1)
    assert probe["accuracy"] == pytest.approx((turned == answer).mean())
