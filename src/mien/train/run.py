"""One training run, from a data set to a model folder; and those that it wants first."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from mien.console import complain
from mien.datasets import Dataset, data_sha256, split_validation
from mien.errors import ConfigError, DatasetError, MienError
from mien.labels import EXPRESSIONS
from mien.model_file import find_model
from mien.train.checkpoint import is_done, run_identity
from mien.train.finish import answer_truth, finish
from mien.train.fit import Options, fit, with_fitting_batch
from mien.train.networks import FaceNet
from mien.train.processes import Precision, alone_in, first_alone, launch, leave, told_once
from mien.train.recipe import Recipe, load_recipe, stretches
from mien.train.start import going_on, has_learnt, start_of, with_network

LEFT = ("model.onnx", "model.safetensors", "recipe.toml", "history.csv", "history.png")
"""Files that a run leaves, beside its checkpoint and `metrics.json`."""


def train(
    data: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    options: Options | None = None,
    devices: int = 1,
    precision: Precision | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Trains a model on a data set's training split and writes its folder.

    A run that was stopped goes on from its last whole epoch when it is started again. Where there are fewer faces
    than a batch has, batches are as large as they can be.

    Args:
        data: the training split, see `mien.datasets.read_dataset`.
        recipe: how to train; the recipes that it wants first are run before it, each in a folder of its own.
        out: the folder in which the model's own folder, called as the recipe is, is made.
        options: what changes how the run goes and not what it makes.
        devices: GPUs, or processes on the CPU, that train together.
        precision: of the network's arithmetic; None takes the fastest that the device does in hardware.
        changes: other values of fields, for this recipe and those that it wants first, see
            `mien.train.recipe.stretches`.

    Returns:
        The model's folder, with ``model.onnx``, ``model.safetensors``, ``recipe.toml``, ``metrics.json``,
        ``history.csv``, ``history.png`` and ``checkpoint.safetensors``.

    Raises:
        DatasetError: a class has no faces, or no validation face's votes name an expression.
        ConfigError: the folder holds the checkpoint of another recipe, or a batch cannot be shared out.
        ModelError: a recipe starts or learns from a model that is not there.
        MienError: another process trains in the folder, the GPU has too little memory, or see
            `mien.train.fit.fit`.
    """
    check_classes(data)
    chain = stretches(recipe, **(changes or {}))
    _check_models(chain)
    _check_networks(chain)
    fabric = launch(devices, precision)
    training, validation = split_validation(data)
    if not (answer_truth(validation) >= 0).any():
        raise DatasetError(
            f"no face of the validation tenth ({len(validation)} faces) has more than half of its votes for one "
            f"of {', '.join(EXPRESSIONS)}: check the votes, or leave them out"
        )
    fitting = []
    for stretch in chain:
        learnt = training if stretch.hold_out else data
        with told_once(fabric):
            fitting.append((learnt, with_fitting_batch(stretch, len(learnt), fabric)))
        if fabric.is_global_zero and (size := fitting[-1][1].batch_size) < stretch.batch_size:
            complain(f"{stretch.name}: batches of {size}, not {stretch.batch_size}, for {len(learnt)} faces")
    for learnt, stretch in fitting:
        try:
            _run(learnt, validation, stretch, out, options or Options(), fabric)
        except torch.OutOfMemoryError as error:
            raise MienError(
                f"{stretch.name}: the GPU has not enough memory for batches of {stretch.batch_size}; lower "
                "batch_size, or share them out among several"
            ) from error
    leave(fabric)
    return out / chain[-1].name


def _check_models(chain: list[Recipe]) -> None:
    """Looks for every model that a run starts or learns from, but for those that are made before it."""
    for place, run in enumerate(chain):
        made = [earlier.name for earlier in chain[:place]]
        for model in (run.init, *run.teachers):
            if model and model not in made:
                find_model(model)


def _check_networks(chain: list[Recipe]) -> None:
    """Makes sure that each run can go on with the network of the one before it."""
    network = with_network(chain[0])
    for run in chain[1:]:
        network = going_on(run, network)


def check_classes(data: Dataset) -> None:
    """Refuses data that has nothing of a class to learn from.

    Raises:
        DatasetError: a class has no faces.
    """
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if missing := [name for name, count in zip(data.classes, counts, strict=True) if count == 0]:
        raise DatasetError(f"no faces of {', '.join(missing)} to learn from: add some, or remove the class")


def _run(
    training: Dataset, validation: Dataset, recipe: Recipe, out: Path, options: Options, fabric: Fabric
) -> None:
    """One stretch, which finds the model that it starts from in `out`. A done one stays as it is."""
    folder = out / recipe.name
    start = recipe
    before: dict[str, str] = {}
    if recipe.first:
        # Absolute, since "base" alone would be the model that ships.
        before = {run.name: str((out / run.name).absolute()) for run in stretches(recipe)[:-1]}
        init = before[load_recipe(recipe.first).name]
        teachers = recipe.teachers or ((init,) if recipe.teacher_weight else ())
        teachers = tuple(before.get(teacher, teacher) for teacher in teachers)
        start = replace(recipe, first="", init=init, teachers=teachers)
    start = with_network(start)
    made = replace(start, first=recipe.first, init=recipe.init, teachers=recipe.teachers)
    if _is_finished(folder, start, made, training, validation):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, fabric):
        network = fit(training, validation, start, folder, options=options, fabric=fabric)
        with first_alone(fabric) as first:
            if first:
                _finish(network, training, validation, start, made, [*before.values()], folder, fabric)


def _finish(
    network: FaceNet,
    training: Dataset,
    validation: Dataset,
    start: Recipe,
    made: Recipe,
    earlier: list[str],
    folder: Path,
    fabric: Fabric,
) -> None:
    """Writes what the run leaves, fitted with the last network that had not learnt the validation part."""
    held_out = start.hold_out and not has_learnt(start.init, validation)
    before = None
    if not held_out:
        unknowing = (
            model for model in reversed(earlier or [start.init]) if not has_learnt(model, validation)
        )
        if model := next(unknowing, ""):
            # It may look at faces at another size, and is asked as it was trained.
            asked = with_network(replace(start, init=model, side=0))
            before = start_of(asked, training.classes)
    held = {"held_out": held_out, "fitted_on_held_out": held_out or before is not None}
    if not held["fitted_on_held_out"]:
        complain(
            f"{made.name}: has learnt the faces that its temperatures are fitted on, "
            "so its probabilities will be surer than they should be"
        )
    try:
        finish(network, training, validation, made, folder, fabric, held=held, fitted=before or network)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{error.filename}: is gone, though the run that wrote it is done; put it back, "
            f"or delete {folder} to start afresh"
        ) from error
    except OSError as error:
        raise MienError(
            f"{folder}: cannot be written to ({' '.join(str(error).split())}); "
            "free space and start again: all is trained, only files are missing"
        ) from error


def _is_finished(folder: Path, start: Recipe, made: Recipe, training: Dataset, validation: Dataset) -> bool:
    """Whether a folder holds all that this very run would leave in it."""
    try:
        measured = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        same = Recipe.from_dict(measured["recipe"]) == made
        same &= measured["validation"]["sha256"] == data_sha256(validation)
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return False  # not there, or of another version
    checkpoint = folder / "checkpoint.safetensors"
    there = all((folder / name).is_file() for name in LEFT)
    return same and there and is_done(checkpoint, run_identity(start, training), start.epochs)
