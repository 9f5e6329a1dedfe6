import numpy as np
import pytest

from mien.evaluate.calibration import calibration, risk_coverage, undo_temperature


def said(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], axis=1)


def test_who_is_as_often_right_as_they_say_is_calibrated():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 20_000)
    labels = (random.random(20_000) > confidence).astype(int)
    honest = calibration(said(confidence), labels)
    boastful = calibration(said(np.minimum(confidence + 0.2, 1)), labels)
    assert honest["expected_calibration_error"] < 0.015
    assert boastful["expected_calibration_error"] > 0.1
    low, high = honest["by_chance_95"]
    assert low < honest["expected_calibration_error"] < high < 0.015
    assert boastful["expected_calibration_error"] > boastful["by_chance_95"][1]
    assert boastful["brier"] > honest["brier"]
    assert boastful["log_loss"] > honest["log_loss"]


def test_bins_have_equal_mass_and_the_error_is_their_mean_gap():
    random = np.random.default_rng(1)
    found = calibration(random.dirichlet(np.ones(7), 150), random.integers(0, 7, 150))
    assert [row["n"] for row in found["bins"]] == [10] * 15
    gaps = [abs(row["said"] - row["true"]) for row in found["bins"]]
    assert found["expected_calibration_error"] == pytest.approx(np.mean(gaps))


@pytest.mark.parametrize("n", [60, 600, 6000])
def test_what_chance_shows_is_what_calibrated_answers_show(n: int):
    random = np.random.default_rng(n)
    found = []
    for _ in range(100):
        confidence = random.uniform(0.5, 1, n)
        labels = (random.random(n) > confidence).astype(int)
        honest = calibration(said(confidence), labels)
        low, high = honest["by_chance_95"]
        found.append(low <= honest["expected_calibration_error"] <= high)
    assert 0.87 <= np.mean(found) <= 1


@pytest.mark.parametrize("n", [1, 2, 14, 15, 16, 31])
def test_few_faces_have_few_bins(n: int):
    found = calibration(np.full((n, 2), [0.7, 0.3]), np.zeros(n, dtype=np.int64))
    assert sum(row["n"] for row in found["bins"]) == n
    assert min(row["n"] for row in found["bins"]) >= 1
    assert found["expected_calibration_error"] == pytest.approx(0.3)


def test_scores_by_hand():
    found = calibration(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0]))
    assert found["brier"] == pytest.approx(((0.04 + 0.04) + (0.36 + 0.36)) / 2)
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)


@pytest.mark.parametrize("temperature", [0.58, 1.0, 2.5])
def test_undoing_a_temperature_gives_back_what_was_there(temperature: float):
    before = np.random.default_rng(2).dirichlet(np.ones(7), 100)
    scaled = before ** (1 / temperature)
    after = scaled / scaled.sum(axis=1, keepdims=True)
    assert undo_temperature(after, temperature) == pytest.approx(before, abs=1e-6)


def test_the_least_certain_are_left_out_first():
    confidence = np.linspace(0.5, 1, 100)
    labels = (confidence < 0.6).astype(int)  # wrong exactly where least sure
    found = risk_coverage(said(confidence), labels)
    wrong = int(labels.sum())
    left_out = found["least_certain_left_out"]
    assert left_out["0%"] == {"n": 100, "accuracy": 1 - wrong / 100}
    assert left_out["10%"]["accuracy"] == pytest.approx(1 - (wrong - 10) / 90)
    assert left_out["20%"]["accuracy"] == 1.0
    assert [right for _, right in found["curve"]] == sorted((r for _, r in found["curve"]), reverse=True)
