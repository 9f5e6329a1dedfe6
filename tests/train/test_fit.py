import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.datasets import Dataset
from mien.errors import ConfigError, DivergedError
from mien.train.augment import augment, draw_views
from mien.train.checkpoint import run_identity
from mien.train.fit import (
    are_finite,
    average_of,
    create_optimizer,
    fit,
    learning_rate,
    loss_of,
    validate,
)
from mien.train.journal import read_history
from mien.train.networks import FaceNet, Logits
from mien.train.processes import launch
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


@pytest.mark.parametrize(
    ("batch_size", "told"), [(8, r"epoch 1: .* another name$"), (64, r"epoch 2: .* of epoch 1")]
)
def test_a_loss_that_is_no_number_is_told_with_the_last_checkpoint(batch_size: int, told: str, tmp_path):
    explosive = replace(SMALL, learning_rate=1e30, epochs=9, batch_size=batch_size)
    with pytest.raises(DivergedError, match=told):
        fit(noise(64), noise(8), explosive, tmp_path)
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert checkpoint.exists() == (batch_size == 64)
    if checkpoint.exists():
        assert all(tensor.isfinite().all() for tensor in load_file(checkpoint).values())


def test_weights_that_are_no_numbers_are_noticed():
    network = FaceNet(SMALL)
    assert are_finite(network)
    network.labels.bias.data[3] = math.inf
    assert not are_finite(network)


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


@pytest.mark.parametrize("changes", [{}, {"mixup": 1.0}, {"refine_epochs": 1, "sharpness": 0.2}], ids=str)
def test_a_step_is_the_one_written_out_here(changes: dict[str, float], tmp_path: Path):
    data = noise(64, np.random.default_rng(1).multinomial(10, [0.1] * 10, 64).astype(np.uint8))
    recipe = replace(SMALL, batch_size=64, dropout=0.0, momentum=0.0, weight_decay=0.0, **changes)
    trained = fit(data, noise(8), recipe, tmp_path, fabric=launch(1, "32-true"))

    torch.manual_seed(recipe.seed)
    network = FaceNet(recipe).train()
    random = torch.Generator().manual_seed(recipe.seed * 100_003)
    rows = torch.randperm(64, generator=random)
    strength = recipe.refined() if recipe.refine_epochs else recipe
    views = draw_views(64, strength, size=16, random=random)
    faces = augment(torch.from_numpy(data.images)[rows][:, None] / 127.5 - 1, views)
    labels = 0.9 * torch.eye(7)[torch.from_numpy(data.labels)][rows] + 0.1 / 7
    crowd = torch.from_numpy(data.votes / 10).float()[rows]
    if recipe.mixup:
        pairs = [
            [own * value[at] + (1 - own) * value[at ^ 1] for at, own in enumerate(views.own)]
            for value in (faces, labels, crowd)
        ]
        faces, labels, crowd = map(torch.stack, pairs)

    def gradients() -> tuple[torch.Tensor, list[torch.Tensor]]:
        logits = network(faces)
        losses = [
            -(target * said.log_softmax(dim=1)).sum(dim=1).mean()
            for target, said in ((labels, logits.labels), (crowd, logits.crowd))
        ]
        return sum(losses), torch.autograd.grad(sum(losses), list(network.parameters()))

    loss, slopes = gradients()
    if recipe.sharpness:
        before = [weight.detach().clone() for weight in network.parameters()]
        length = torch.sqrt(sum(slope.square().sum() for slope in slopes))
        with torch.no_grad():
            for weight, slope in zip(network.parameters(), slopes, strict=True):
                weight += recipe.sharpness * slope / length
        _, slopes = gradients()
        with torch.no_grad():
            for weight, value in zip(network.parameters(), before, strict=True):
                weight.copy_(value)
    with torch.no_grad():
        for weight, slope in zip(network.parameters(), slopes, strict=True):
            weight -= recipe.learning_rate * slope
    assert read_history(tmp_path / "history.csv")[0].loss == pytest.approx(loss.item(), rel=1e-4)
    for (name, weight), found in zip(network.named_parameters(), trained.parameters(), strict=True):
        assert torch.allclose(weight, found, atol=1e-5), name


def test_progress_is_measured_on_labels_and_on_the_answer_that_most_people_gave():
    votes = np.zeros((10, 10), np.uint8)
    votes[:6, 0], votes[6:, 1] = 8, 8  # neutral, happy
    votes[:, 9] = 2
    data = replace(noise(10), labels=np.array([3, 3, 3, 3, 4, 4, 4, 4, 4, 4]), votes=votes)
    network = FaceNet(SMALL)
    for head, word in ((network.labels, 3), (network.crowd, 0)):  # happy; neutral
        head.weight.data.zero_()
        head.bias.data.copy_(torch.eye(len(head.bias))[word])
    assert validate(network, data, launch(1)) == (0.4, 0.6)
    silent = FaceNet(replace(SMALL, votes=0.0))
    silent.labels.load_state_dict(network.labels.state_dict())
    assert validate(silent, data, launch(1)) == pytest.approx((0.4, math.nan), nan_ok=True)


def test_accuracy_is_that_on_the_datas_labels_whatever_else_is_learnt(tmp_path):
    data = replace(
        noise(64), labels=np.where(np.arange(64) < 40, 0, 1), votes=np.eye(10, dtype=np.uint8)[[3] * 64]
    )
    # Everybody said the same of all: so the likeliest label is learnt, which is wrong for 24.
    fit(data, noise(8), replace(SMALL, epochs=12, vote_smoothing=1.0, label_smoothing=0.0), tmp_path)
    assert read_history(tmp_path / "history.csv")[-1].accuracy == pytest.approx(40 / 64)


def test_a_run_that_is_done_is_not_read_for_again(tmp_path):
    first = fit(noise(64), noise(8), SMALL, tmp_path)
    before = (tmp_path / "checkpoint.safetensors").stat()
    again = fit(noise(64), noise(8), SMALL, tmp_path)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    assert (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    "changes",
    [{"integers": True}, {"mirror": True}, {"weight_bits": 8}, {"batch_size": 16}, {"dropout": 0.1}],
)
def test_a_run_goes_on_where_only_the_file_that_it_writes_will_differ(changes: dict[str, object], tmp_path):
    data = noise(64)
    same = run_identity(SMALL, data) == run_identity(replace(SMALL, **changes), data)
    assert same == (changes.keys() <= {"integers", "mirror", "weight_bits"})


def test_models_to_learn_from_are_known_by_what_they_hold(tiny_model: Path, tmp_path: Path):
    shutil.copytree(tiny_model, tmp_path / "moved")
    data = noise(64)

    def identity(model: Path) -> str:
        return run_identity(replace(SMALL, init=str(model), teachers=(str(model),), teacher_weight=0.5), data)

    before = identity(tiny_model)
    assert identity(tmp_path / "moved") == before
    for name in ("model.onnx", "model.safetensors"):
        whole = (tmp_path / "moved" / name).read_bytes()
        (tmp_path / "moved" / name).write_bytes(whole[:-1] + b"x")
        assert identity(tmp_path / "moved") != before
        (tmp_path / "moved" / name).write_bytes(whole)


def test_an_average_soon_forgets_the_beginning_and_later_as_slowly_as_asked():
    network = FaceNet(SMALL)
    average = average_of(network, 0.999)
    for step in range(100):
        network.labels.bias.data.fill_(float(step > 0))
        average.update_parameters(network)
    assert average.module.labels.bias.min() > 0.999
    average.n_averaged.fill_(1_000_000)
    network.labels.bias.data.fill_(11.0)
    average.update_parameters(network)
    assert average.module.labels.bias.tolist() == pytest.approx([1.01] * 7, abs=1e-3)


def test_whole_numbers_have_no_average():
    network = FaceNet(SMALL)
    network.register_buffer("places", torch.arange(64))
    average = average_of(network, 0.999)
    for _ in range(5):
        network.places += 1
        average.update_parameters(network)
    assert torch.equal(average.module.places, network.places)


def test_matrices_alone_decay_and_the_trunk_has_its_share_of_the_rate():
    network = FaceNet(SMALL)
    groups = create_optimizer(network, replace(SMALL, trunk_rate=0.25, weight_decay=0.01)).param_groups
    found = {
        id(weight): (group["share"], group["weight_decay"]) for group in groups for weight in group["params"]
    }
    for name, weight in network.named_parameters():
        assert found[id(weight)] == (0.25 if name.startswith("trunk.") else 1.0, 0.01 * (weight.ndim > 1)), (
            name
        )


def test_a_trunk_at_a_small_rate_moves_little(tmp_path):
    moved = []
    for rate in (1.0, 0.01):
        folder = tmp_path / str(rate)
        folder.mkdir()
        torch.manual_seed(SMALL.seed)
        start = FaceNet(SMALL).trunk.stem[0][0].weight.detach()
        recipe = replace(SMALL, trunk_rate=rate, batch_size=64, weight_decay=0.0)
        network = fit(noise(64), noise(8), recipe, folder)
        moved.append((network.trunk.stem[0][0].weight.detach() - start).norm().item())
    assert moved[1] == pytest.approx(0.01 * moved[0], rel=0.01)


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
