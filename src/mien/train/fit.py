"""The training loop, whole and in plain view."""

import csv
import math
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mien.datasets import Dataset
from mien.errors import MienError
from mien.labels import CROWD
from mien.train.augment import augment
from mien.train.checkpoint import State, load_checkpoint, run_identity, save_checkpoint
from mien.train.network import FaceNet, Logits, normalise
from mien.train.recipe import Recipe

HISTORY = ("epoch", "size", "learning_rate", "loss", "validation_fer2013", "validation_crowd", "seconds")


def fit(training: Dataset, validation: Dataset, recipe: Recipe, folder: Path) -> FaceNet:
    """Trains a network, or goes on training one whose checkpoint lies in `folder`.

    Writes ``checkpoint.safetensors`` after every epoch and a row of ``history.csv``.

    Args:
        training: what to learn from.
        validation: what the progress is measured on; nothing is learnt from it.
        recipe: how.
        folder: where the checkpoint and the history go; it exists.

    Returns:
        The moving average of the network's weights, in float32 on the CPU, ready to read faces.

    Raises:
        MienError: the loss is no longer a number.
    """
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision())
    torch.manual_seed(recipe.seed)
    network = FaceNet(recipe).to(fabric.device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # typed as tensors' only
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
    optimizer = torch.optim.SGD(
        _parameter_groups(network, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    state = State(network, average, optimizer)
    checkpoint = folder / "checkpoint.safetensors"
    identity = run_identity(recipe, training)
    first_epoch = load_checkpoint(checkpoint, state, identity)
    _keep_rows(folder / "history.csv", first_epoch)
    model, optimizer = fabric.setup(network, optimizer)

    images = torch.from_numpy(training.images).to(fabric.device)  # uint8 (N, 48, 48)
    labels = torch.from_numpy(training.labels).to(fabric.device)  # int64 (N,)
    shares = torch.from_numpy(vote_shares(training)).to(fabric.device)  # float32 (N, 10)
    steps = max(1, len(training) // recipe.batch_size)

    with _progress() as progress:
        bar = progress.add_task("", total=steps * recipe.epochs, completed=steps * first_epoch, note="")
        for epoch in range(first_epoch, recipe.epochs):
            started = time.perf_counter()
            # Random numbers depend on the epoch alone, so that a resumed run draws what an unbroken one does.
            random = torch.Generator(fabric.device).manual_seed(recipe.seed * 100_003 + epoch)
            torch.manual_seed(recipe.seed * 100_003 + epoch)
            size = recipe.sizes[epoch * len(recipe.sizes) // recipe.epochs]
            strength = recipe.refined() if epoch >= recipe.epochs - recipe.refine_epochs else recipe
            order = torch.randperm(len(training), generator=random, device=fabric.device)
            model.train()
            total = torch.zeros((), device=fabric.device)
            for step in range(steps):
                rate = learning_rate(epoch * steps + step, steps * recipe.epochs, recipe)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
                faces = augment(normalise(images[rows]), strength, size=size, random=random)
                logits = model(faces.contiguous(memory_format=torch.channels_last))
                loss = loss_of(logits, shares[rows], labels[rows], recipe.label_smoothing)
                optimizer.zero_grad()
                fabric.backward(loss)
                optimizer.step()
                average.update_parameters(network)
                total += loss.detach()
                progress.update(bar, advance=1)
            mean_loss = float(total / steps)
            if not math.isfinite(mean_loss):
                raise MienError(
                    f"epoch {epoch + 1}: the loss is {mean_loss}; lower learning_rate and start again "
                    f"(the checkpoint of epoch {epoch} is whole)"
                )
            accuracy = _validate(average, validation, fabric)
            save_checkpoint(checkpoint, state, identity, epoch + 1)
            seconds = time.perf_counter() - started
            _record(folder / "history.csv", (epoch + 1, size, rate, mean_loss, *accuracy, seconds))
            note = f"loss {mean_loss:.3f} · validation {accuracy[0]:.1%} labels, {accuracy[1]:.1%} crowd"
            progress.update(bar, note=note)
            if not progress.console.is_terminal:
                rate_of_images = steps * recipe.batch_size / seconds
                progress.console.print(
                    f"epoch {epoch + 1}/{recipe.epochs} · {size} px · {note} · {rate_of_images:.0f} images/s"
                )
    return _plain_copy(average, recipe)


def loss_of(logits: Logits, shares: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Sum of the two heads' cross-entropies: one with the votes' shares, one with the smoothed labels."""
    return F.cross_entropy(logits.crowd.float(), shares) + F.cross_entropy(
        logits.fer2013.float(), labels, label_smoothing=smoothing
    )


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """A linear rise, then a cosine to zero (Loshchilov & Hutter 2017)."""
    warmup = min(recipe.warmup_steps, steps // 10)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def vote_shares(data: Dataset) -> NDArray[np.float32]:
    """What share of people gave each of the ten answers: float32 (N, 10), each row sums to one.

    Where nobody voted, the face's label stands for the only person asked.
    """
    shares = np.eye(len(CROWD), dtype=np.float32)[data.labels]
    if data.votes is not None:
        total = data.votes.sum(axis=1, keepdims=True, dtype=np.float32)
        np.divide(data.votes, total, out=shares, where=total > 0)
    return shares


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
        torch.cat([batch.fer2013 for batch in batches]).float().cpu(),
    )


def _validate(average: AveragedModel, validation: Dataset, fabric: Fabric) -> tuple[float, float]:
    """Accuracy on the original labels, and on the answer that most people gave."""
    with fabric.autocast():
        logits = predict_logits(average, validation, fabric.device)
    fer2013 = logits.fer2013.argmax(dim=1).numpy() == validation.labels
    crowd = logits.crowd.argmax(dim=1).numpy() == vote_shares(validation).argmax(axis=1)
    return float(fer2013.mean()), float(crowd.mean())


def _precision() -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    if torch.backends.mps.is_available():
        return "32-true"
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        return "16-mixed"
    return "bf16-mixed"


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only: on biases and norms it hinders (He et al. 2019, section 3.1)."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _plain_copy(average: AveragedModel, recipe: Recipe) -> FaceNet:
    network = FaceNet(recipe)
    network.load_state_dict(average.module.state_dict())
    return network.eval()


def _progress() -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


def _keep_rows(path: Path, epochs: int) -> None:
    """Cuts a history off after so many epochs: what came later is not in the checkpoint, or of another run."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[: epochs + 1]
        path.write_text("".join(lines if epochs else []), encoding="utf-8")


def _record(path: Path, values: tuple[float, ...]) -> None:
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(HISTORY)
        writer.writerow([f"{value:.6g}" for value in values])
