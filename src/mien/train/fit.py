"""The training loop, whole and in plain view."""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mien.datasets import Dataset
from mien.errors import ConfigError, DivergedError
from mien.train.augment import augment, draw_views, mix
from mien.train.checkpoint import State, load_checkpoint, run_identity, save_checkpoint
from mien.train.journal import Epoch, Journal
from mien.train.networks import FaceNet, Logits, normalise
from mien.train.processes import first_alone, launch, share_dropout, share_norms, told_once
from mien.train.recipe import Recipe
from mien.train.sharpness import uphill
from mien.train.start import load_start
from mien.train.targets import make_targets, vote_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What changes how a run goes, and not what it makes.

    Attributes:
        compile: let torch.compile make the steps faster; needs a C++ compiler and a minute or two at the start.
        tensorboard: write TensorBoard's files too, into the run's folder.
        watch: called after each epoch with what was measured; may raise to end the run.
    """

    compile: bool = False
    tensorboard: bool = False
    watch: Callable[[Epoch], None] | None = None


def fit(
    training: Dataset,
    validation: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    options: Options | None = None,
    fabric: Fabric | None = None,
) -> FaceNet:
    """Trains a network, or goes on training one whose checkpoint lies in `folder`.

    Writes ``checkpoint.safetensors`` after every epoch and a row of ``history.csv``.

    Args:
        training: what to learn from.
        validation: what the progress is measured on; nothing is learnt from it.
        recipe: how.
        folder: where the checkpoint and the history go; it exists.
        options: what changes how the run goes and not what it makes.
        fabric: the processes that train together; by default this one alone.

    Returns:
        The moving average of the network's weights, in float32 on the CPU, ready to read faces.

    Raises:
        ConfigError: the recipe and the data, or the folder's checkpoint, do not fit together; or there is no
            compiler.
        DivergedError: the loss or a weight is no longer a number.
        MienError: the checkpoint or the history cannot be written.
    """
    options = options or Options()
    fabric = fabric or launch()
    if options.compile and fabric.device.type == "cpu":
        _check_compiler()
    with told_once(fabric):
        if with_fitting_batch(recipe, len(training), fabric) != recipe:
            raise ConfigError(f"batch_size {recipe.batch_size}: must be at most the {len(training)} faces")
    torch.manual_seed(recipe.seed)
    checkpoint = folder / "checkpoint.safetensors"
    # A checkpoint holds all weights: what timm downloaded for the first epoch is not wanted again.
    fresh = not checkpoint.exists()
    network = FaceNet(recipe if fresh else replace(recipe, pretrained=False), training.classes)
    load_start(network, recipe, training.classes)
    if fabric.world_size > 1:
        share_norms(network)
        share_dropout(network, fabric)
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = average_of(network, recipe.ema_decay)
    optimizer = create_optimizer(network, recipe)
    state = State(network, average, optimizer)
    identity = run_identity(recipe, training)
    with told_once(fabric):
        first_epoch = load_checkpoint(checkpoint, state, identity)
    if first_epoch == recipe.epochs:
        return finished(average, recipe, training.classes)
    compiled: nn.Module = torch.compile(network) if options.compile else network  # type: ignore[assignment]
    model, optimizer = fabric.setup(compiled, optimizer)

    images = torch.from_numpy(training.images).to(fabric.device)  # uint8 (N, 48, 48)
    targets = make_targets(training, recipe)
    crowd = torch.from_numpy(targets.crowd).to(fabric.device)  # float32 (N, 10)
    labels = torch.from_numpy(targets.labels).to(fabric.device)  # float32 (N, K)
    truth = torch.from_numpy(training.labels).to(fabric.device)  # int64 (N,)
    steps = len(training) // recipe.batch_size
    share = recipe.batch_size // fabric.world_size
    own = slice(
        fabric.global_rank * share, (fabric.global_rank + 1) * share
    )  # this process's part of a batch

    with first_alone(fabric):
        journal = Journal(
            folder,
            recipe,
            steps=steps,
            first_epoch=first_epoch,
            shown=fabric.is_global_zero,
            tensorboard=options.tensorboard,
        )
    with journal:
        for epoch in range(first_epoch, recipe.epochs):
            started = time.perf_counter()
            # Random numbers depend on the epoch alone, so that a resumed run draws what an unbroken one does.
            seed = recipe.seed * 100_003 + epoch
            random = torch.Generator(fabric.device).manual_seed(seed)
            torch.manual_seed(seed)  # dropout
            size = side_at(epoch, recipe, network.trunk.side)
            refining = epoch >= recipe.epochs - recipe.refine_epochs
            strength = recipe.refined() if refining else recipe
            order = torch.randperm(len(training), generator=random, device=fabric.device)
            total = torch.zeros(2, device=fabric.device)  # of the losses, and of the faces read right
            network.train()
            if recipe.trunk_rate == 0:
                network.trunk.eval()  # its norms stay as they are
            for step in range(steps):
                rate = learning_rate(epoch * steps + step, steps * recipe.epochs, recipe)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["share"]
                views = draw_views(recipe.batch_size, strength, size=size, random=random).part(own)
                rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size][own]
                faces = augment(normalise(images[rows]), views)
                wanted = (crowd[rows], labels[rows])
                if strength.mixup:
                    faces, wanted = mix(faces, views), (mix(wanted[0], views), mix(wanted[1], views))
                faces = faces.contiguous(memory_format=torch.channels_last)
                logits = model(faces)
                loss = loss_of(logits, *wanted, recipe.votes)
                optimizer.zero_grad()
                fabric.backward(loss)
                if refining and recipe.sharpness:
                    with uphill(network, recipe.sharpness):
                        optimizer.zero_grad()
                        fabric.backward(loss_of(model(faces), *wanted, recipe.votes))
                optimizer.step()
                average.update_parameters(network)
                right = (logits.labels.argmax(dim=1) == truth[rows]).float().mean()
                total += torch.stack([loss.detach(), right])
                journal.step(total[0])
            mean_loss, accuracy = (
                torch.as_tensor(fabric.all_reduce(total, reduce_op="mean")).div(steps).tolist()
            )
            with told_once(fabric):
                if not (math.isfinite(mean_loss) and are_finite(network)):
                    whole = f" ({checkpoint} is of epoch {epoch}, and whole)" if epoch else ""
                    raise DivergedError(
                        f"epoch {epoch + 1}: the loss or a weight is no longer a number; train with a lower "
                        f"learning_rate, under another name{whole}"
                    )
            with first_alone(fabric) as first:
                if first:
                    on_labels, on_crowd = validate(average, validation, fabric)
                    seconds = time.perf_counter() - started
                    result = Epoch(epoch + 1, size, rate, mean_loss, accuracy, on_labels, on_crowd, seconds)
                    # First: a row too many is cut off when the run goes on, but a missing one would stay missing.
                    journal.epoch(result)
                    save_checkpoint(checkpoint, state, identity, epoch + 1)
                    if options.watch:
                        options.watch(result)
    return finished(average, recipe, training.classes)


def _check_compiler() -> None:
    """Makes sure that there is what torch.compile calls, which looks for it minutes later."""
    compiler = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"--compile: needs a C++ compiler, and there is no {compiler}; install one, name another in the "
            "environment variable CXX, or leave --compile out"
        )


def finished(average: AveragedModel, recipe: Recipe, classes: tuple[str, ...]) -> FaceNet:
    """The averaged weights as a network of their own, in float32 on the CPU."""
    network = FaceNet(replace(recipe, pretrained=False, weights=""), classes)
    network.load_state_dict({key: value.cpu() for key, value in average.module.state_dict().items()})
    return network.eval()


def average_of(network: FaceNet, decay: float) -> AveragedModel:
    """A moving average of a network's weights and of its norms' statistics.

    It forgets by `decay` a step, and sooner in the beginning: what it remembers is at most about the last fifth of
    the steps, or a short run would end with the weights it began with.
    """

    def update(averages: Any, current: Any, count: Any) -> None:
        if not averages[0].is_floating_point():  # counters, and indices of some of timm's backbones: no means
            for kept, value in zip(averages, current, strict=True):
                kept.copy_(value)
            return
        taken = int(average.n_averaged)  # lies on the CPU, where `count` may not
        get_ema_multi_avg_fn(min(decay, taken / (taken + 5)))(averages, current, count)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return average


def are_finite(network: nn.Module) -> bool:
    """Whether all of a network's weights are numbers."""
    return bool(torch.stack([weight.isfinite().all() for weight in network.parameters()]).all())


def with_fitting_batch(recipe: Recipe, faces: int, fabric: Fabric) -> Recipe:
    """The recipe with batches that are no larger than there are faces.

    Raises:
        ConfigError: the batch cannot be shared out: each process has as many faces, and pairs of them to mix.
    """
    multiple = fabric.world_size * (2 if recipe.mixup else 1)
    if recipe.batch_size % multiple or faces < multiple:
        raise ConfigError(
            f"recipe {recipe.name}: batch_size {recipe.batch_size}: must be a multiple of {multiple}, for "
            f"{fabric.world_size} processes{' that mix pairs of faces' if recipe.mixup else ''}; "
            f"there are {faces} faces"
        )
    return replace(recipe, batch_size=min(recipe.batch_size, faces // multiple * multiple))


def loss_of(logits: Logits, crowd: Tensor, labels: Tensor, votes: float) -> Tensor:
    """Cross-entropy with the labels' shares (N, K), and `votes` times that with the votes' shares (N, 10)."""
    loss = F.cross_entropy(logits.labels.float(), labels)
    return loss + votes * F.cross_entropy(logits.crowd.float(), crowd) if logits.crowd.shape[1] else loss


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """The rate at a step of so many, by the recipe's schedule."""
    if recipe.schedule == "exponential":
        return float(recipe.learning_rate * 0.96 ** (step / 10_000))
    warmup = min(recipe.warmup_steps, steps // 10)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def side_at(epoch: int, recipe: Recipe, native: int) -> int:
    """Side in pixels at which the faces are shown in an epoch, counted from 0."""
    return recipe.sizes[epoch * len(recipe.sizes) // recipe.epochs] if recipe.sizes else native


def create_optimizer(network: FaceNet, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser, with a group for each share of the rate and of the decay.

    Decay is for matrices and kernels only: on biases and norms it hinders (He et al. 2019, section 3.1).
    """
    groups = []
    for share, prefix in ((recipe.trunk_rate, True), (1.0, False)):
        parameters = [p for name, p in network.named_parameters() if name.startswith("trunk.") == prefix]
        if share == 0:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        for decay, chosen in (
            (recipe.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "share": share})
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, eps=1e-7)  # Keras' eps; PyTorch's is 1e-8
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


@torch.inference_mode()
def predict_logits(model: nn.Module, data: Dataset, device: torch.device) -> Logits:
    """Both heads' logits for every face of a data set, float32 on the CPU."""
    model.eval()
    batches: list[Logits] = []
    for start in range(0, len(data), 256):
        faces = normalise(torch.from_numpy(data.images[start : start + 256]).to(device))
        batches.append(model(faces.contiguous(memory_format=torch.channels_last)))
    return Logits(
        torch.cat([batch.crowd for batch in batches]).float().cpu(),
        torch.cat([batch.labels for batch in batches]).float().cpu(),
    )


def validate(average: nn.Module, validation: Dataset, fabric: Fabric) -> tuple[float, float]:
    """Accuracy on the labels, and on the answer that most people gave (NaN where no votes are learnt)."""
    with fabric.autocast():
        logits = predict_logits(average, validation, fabric.device)
    labels = logits.labels.argmax(dim=1).numpy() == validation.labels
    if logits.crowd.shape[1] == 0:
        return float(labels.mean()), math.nan
    crowd = logits.crowd.argmax(dim=1).numpy() == np.asarray(vote_shares(validation)).argmax(axis=1)
    return float(labels.mean()), float(crowd.mean())
