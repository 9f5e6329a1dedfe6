"""What a person sees of a run: a bar while it goes on, a history to read, and its curves in the end."""

import csv
import math
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mien.errors import ConfigError, MienError
from mien.files import replacing
from mien.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Epoch:
    """What was measured in an epoch: the columns of ``history.csv``.

    Attributes:
        epoch: its number, from 1.
        size: side in pixels at which the faces were shown.
        learning_rate: at its last step.
        loss: mean over its steps.
        accuracy: on the data's labels of the training faces, as they were shown; of two mixed faces, that of the
            one which is seen more.
        validation_labels: accuracy on the labels of the validation part, by the averaged weights.
        validation_crowd: the same on the answer that most people gave; NaN where no votes are learnt.
        seconds: that it took, validation included, its checkpoint not.
    """

    epoch: int
    size: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_labels: float
    validation_crowd: float
    seconds: float


HISTORY = tuple(field.name for field in fields(Epoch))


class Journal:
    """Keeps a bar and a line an epoch on standard error, ``history.csv``, and TensorBoard's files where wanted."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        *,
        steps: int,
        first_epoch: int = 0,
        shown: bool = True,
        tensorboard: bool = False,
    ) -> None:
        """Begins, or goes on with, a run's journal.

        Args:
            folder: where the files go.
            recipe: of the run.
            steps: in an epoch.
            first_epoch: epochs that the run has behind it; what the history says of later ones is dropped.
            shown: whether this process is the one that tells; the others keep silent.
            tensorboard: whether to write TensorBoard's files too.

        Raises:
            ConfigError: TensorBoard is wanted and not installed.
        """
        self._history = folder / "history.csv"
        self._images, self._batch = steps * recipe.batch_size, recipe.batch_size
        self._epochs = recipe.epochs
        self._shown = shown
        self._board = _tensorboard(folder, first_epoch) if tensorboard and shown else None
        self._name = recipe.name
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),  # as wide as the rest leaves
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[labels]}"),
            TextColumn("{task.fields[rate]}"),
            expand=True,
            # In a notebook: lines of text, which need no ipywidgets.
            console=Console(stderr=True, force_jupyter=False),
            disable=not shown,
        )
        total, done = steps * recipe.epochs, steps * first_epoch
        self._bar = self._progress.add_task(
            recipe.name,
            total=total,
            completed=done,
            epoch=first_epoch + 1,
            epochs=recipe.epochs,
            loss="",
            labels="",
            rate="",
        )
        self._steps, self._began, self._told = 0, 0.0, 0.0  # of the epoch that goes on
        if shown:
            _keep_rows(self._history, first_epoch)

    def __enter__(self) -> Self:
        self._progress.start()
        self._begin_epoch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._board is not None:
            self._board.close()

    def step(self, losses: Tensor) -> None:
        """Moves the bar on by a step, and says once a second how the epoch goes.

        Args:
            losses: sum of the epoch's losses so far, float32 (); of this process's part of each batch.
        """
        self._steps += 1
        self._progress.advance(self._bar)
        now = time.perf_counter()
        if self._shown and now - self._told >= 1:
            self._told = now
            loss = float(losses) / self._steps  # waits for the device, which is why it is asked seldom
            rate = self._steps * self._batch / (now - self._began)
            self._progress.update(self._bar, loss=f"loss {loss:.3f}", rate=f"{rate:.0f} images/s")

    def _begin_epoch(self) -> None:
        self._steps = 0
        self._began = self._told = time.perf_counter()

    def epoch(self, result: Epoch) -> None:
        """Records an epoch.

        Raises:
            MienError: the history cannot be written, as on a full disk.
        """
        try:
            _record(self._history, result)
        except OSError as error:
            raise MienError(
                f"{self._history}: cannot be written ({error.strerror}); "
                f"free space and start again: the run goes on after epoch {result.epoch - 1}"
            ) from error
        note = f"loss {result.loss:.3f} · validation {result.validation_labels:.1%} labels"
        if not math.isnan(result.validation_crowd):
            note += f", {result.validation_crowd:.1%} crowd"
        rate = f"{self._images / result.seconds:.0f} images/s"
        self._progress.update(
            self._bar,
            epoch=min(result.epoch + 1, self._epochs),
            loss=f"loss {result.loss:.3f}",
            labels=f"{result.validation_labels:.1%} labels",
            rate=rate,
        )
        self._progress.console.print(
            f"{self._name}: epoch {result.epoch}/{self._epochs} · {result.size} px · {note} · {rate}",
            soft_wrap=True,
            highlight=False,
        )
        if self._board is not None:
            for name, value in zip(HISTORY[2:], astuple(result)[2:], strict=True):
                self._board.add_scalar(name, value, result.epoch)
        self._begin_epoch()


def read_history(path: Path) -> list[Epoch]:
    """The epochs of a ``history.csv``."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Epoch(int(row["epoch"]), int(row["size"]), *(float(row[name]) for name in HISTORY[2:]))
            for row in csv.DictReader(file)
        ]


def draw_curves(history: list[Epoch], path: Path, title: str) -> None:
    """Draws a run's loss and accuracies over its epochs.

    Args:
        history: the epochs.
        path: where the picture goes; its ending says the format.
        title: written above it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = [row.epoch for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row.loss for row in history], color="#444444")
    left.set(title="training loss", xlabel="epoch")
    curves = (
        ("training faces as shown, labels", "#999999", [row.accuracy for row in history]),
        ("validation, labels", "#1f77b4", [row.validation_labels for row in history]),
        ("validation, crowd", "#d95f02", [row.validation_crowd for row in history]),
    )
    for label, colour, values in curves:
        if not all(math.isnan(value) for value in values):
            right.plot(epochs, values, color=colour, label=label)
    right.set(title="accuracy", xlabel="epoch")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.legend(frameon=False, fontsize="small")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path, dpi=110)


def _tensorboard(folder: Path, first_epoch: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard: pip install tensorboard") from error
    # What a broken run wrote of later epochs is not to stand beside what comes now.
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch + 1)


def _keep_rows(path: Path, epochs: int) -> None:
    """Cuts a history off after so many epochs: what came later is not in the checkpoint, or of another run."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = lines[: epochs + 1] if epochs else []
    if kept != lines:
        with replacing(path) as part:
            part.write_text("".join(kept), encoding="utf-8")


def _record(path: Path, result: Epoch) -> None:
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(HISTORY)
        writer.writerow([f"{value:.6g}" for value in astuple(result)])
