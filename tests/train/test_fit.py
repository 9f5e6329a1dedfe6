from dataclasses import replace

import numpy as np
import pytest
import torch

from mien.datasets import Dataset
from mien.errors import ConfigError, MienError
from mien.train.fit import fit, learning_rate, loss_of
from mien.train.networks import Logits
from mien.train.recipe import Recipe

SMALL = Recipe(name="small", stem=(4, 8), stages=(8,), blocks=1, epochs=1, sizes=(16,), batch_size=8)


def noise(count: int, votes: np.ndarray | None = None) -> Dataset:
    random = np.random.default_rng(0)
    return Dataset(
        random.integers(0, 256, (count, 48, 48), dtype=np.uint8), np.arange(count, dtype=np.int64) % 7, votes
    )


def test_the_loss_is_least_when_the_heads_say_what_people_said():
    shares = torch.tensor([[0.7, 0.3, 0, 0, 0, 0, 0, 0, 0, 0]])
    labels = torch.tensor([[0.0, 1, 0, 0, 0, 0, 0]])
    right = Logits(shares.clamp(min=1e-6).log(), torch.tensor([[0.0, 9, 0, 0, 0, 0, 0]]))
    wrong = Logits(shares.flip(1).clamp(min=1e-6).log(), torch.tensor([[9.0, 0, 0, 0, 0, 0, 0]]))
    entropy = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    assert float(loss_of(right, shares, labels, 1.0)) == pytest.approx(entropy, abs=0.01)
    assert loss_of(wrong, shares, labels, 1.0) > loss_of(right, shares, labels, 1.0) + 5
    assert float(loss_of(right, shares, labels, 0.0)) == pytest.approx(0, abs=0.01)


def test_a_loss_that_is_no_number_is_told_and_keeps_the_last_checkpoint(tmp_path):
    explosive = replace(SMALL, learning_rate=1e30, epochs=9)
    with pytest.raises(MienError, match="lower learning_rate"):
        fit(noise(64), noise(8), explosive, tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"), [({"batch_size": 65}, "at most the 64 faces"), ({"mixup": 1.0}, "pairs")]
)
def test_a_batch_that_does_not_fit_is_refused(changes: dict[str, float], told: str, tmp_path):
    with pytest.raises(ConfigError, match=told):
        fit(noise(64), noise(8), replace(SMALL, **{"batch_size": 7} | changes), tmp_path)


def test_a_history_without_its_checkpoint_is_begun_afresh(tmp_path):
    for _ in range(2):
        fit(noise(64), noise(8), SMALL, tmp_path)
        (tmp_path / "checkpoint.safetensors").unlink()
        history = (tmp_path / "history.csv").read_text().splitlines()
        assert len(history) == 2
        assert history[0].startswith("epoch,")
        assert history[1].startswith("1,")


def test_mixed_faces_teach_something_else(tmp_path):
    weights = []
    for mixup in (0.0, 1.0):
        folder = tmp_path / str(mixup)
        folder.mkdir()
        weights.append(fit(noise(64), noise(8), replace(SMALL, mixup=mixup), folder).labels.weight)
    assert not torch.equal(*weights)


def test_refined_epochs_learn_from_other_views(tmp_path):
    fields = {name: getattr(SMALL, name) for name in SMALL.__slots__}
    weights = []
    for epochs in (0, 1):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        network = fit(noise(64), noise(8), Recipe(**fields | {"refine_epochs": epochs}), folder)
        weights.append(network.labels.weight)
    assert not torch.equal(*weights)


@pytest.mark.parametrize(("refine_epochs", "same"), [(0, True), (1, False)])
def test_only_refined_epochs_look_for_flat_ground(refine_epochs: int, same: bool, tmp_path):
    weights = []
    for sharpness in (0.0, 0.1):
        folder = tmp_path / str(sharpness)
        folder.mkdir()
        recipe = replace(SMALL, sharpness=sharpness, refine_epochs=refine_epochs)
        weights.append(fit(noise(64), noise(8), recipe, folder).labels.weight)
    assert torch.equal(*weights) == same


def test_the_rate_rises_then_falls_to_nothing():
    recipe = Recipe(name="rate", learning_rate=0.1, warmup_steps=10)
    rates = [learning_rate(step, 200, recipe) for step in range(200)]
    assert rates[9] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_the_exponential_rate_falls_by_a_twenty_fifth_in_ten_thousand_steps():
    recipe = Recipe(name="rate", learning_rate=1e-4, schedule="exponential")
    assert learning_rate(0, 50_000, recipe) == pytest.approx(1e-4)
    assert learning_rate(20_000, 50_000, recipe) == pytest.approx(1e-4 * 0.96**2)
