"""A search by Optuna: every trial trains the recipe with other values, and counts by its `score`."""

import contextlib
import json
import math
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.exceptions import (
    DuplicatedStudyError,
    ExperimentalWarning,
    TrialPruned,
    UpdateFinishedTrialError,
)
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from mien.datasets import SIDE, Dataset, split_validation
from mien.errors import ConfigError, DivergedError, MienError
from mien.train.checkpoint import run_identity
from mien.train.fit import Options, fit, side_at, validate, with_fitting_batch
from mien.train.journal import Epoch
from mien.train.processes import launch
from mien.train.recipe import Recipe
from mien.train.start import has_learnt, with_network
from mien.train.tune.space import Space, check_space, inside, own_values, suggest, with_values
from mien.train.tune.storage import DATABASE_ERRORS, open_storage, retry, storage_errors

DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def score(epoch: Epoch) -> float:
    """What is searched for: the mean of the validation part's accuracies on the labels and on the crowd's answer.

    That on the labels alone where no votes are learnt.
    """
    if math.isnan(epoch.validation_crowd):
        return epoch.validation_labels
    return (epoch.validation_labels + epoch.validation_crowd) / 2


def tune(
    data: Dataset,
    recipe: Recipe,
    space: Space,
    *,
    trials: int,
    storage: str,
    name: str,
    folder: Path,
    say: Callable[[str], None],
    compile: bool = False,
) -> optuna.Study:
    """Runs trials until a study has so many, those of earlier and of other processes counted.

    The first is the recipe itself. A trial that is behind the median of the others, from the epoch `judged_from`
    on, is stopped (Optuna's MedianPruner), and counts. A trial whose process was killed is run again, and goes on
    from its last epoch: databases only, a journal file does not notice.

    Args:
        data: the training split; its validation tenth is what trials are compared on.
        recipe: what is varied.
        space: how.
        trials: how many the study shall have.
        storage: a database's URL, or the path of a journal file that ends in .log; several processes may share it.
        name: of the study.
        folder: where trials under way keep their checkpoints; removed when they end.
        say: is told a line about each trial.
        compile: see `mien.train.fit.Options`.

    Raises:
        ConfigError: the storage cannot be opened, the space and the recipe do not fit together, or the study is of
            another recipe, space or data.
        MienError: the storage fails later on, or see `mien.train.fit.fit`.
    """
    if recipe.first:
        raise ConfigError(
            f"recipe {recipe.name}: runs {recipe.first} first; tune that, or give this no first, and its model "
            "as init (and as teachers, where teacher_weight is above 0)"
        )
    recipe = with_network(recipe)
    check_space(space, recipe)
    training, validation = split_validation(data)
    if has_learnt(recipe.init, validation):
        say(
            f"{recipe.init}: has learnt the faces that trials are compared on, so scores count what it remembers"
        )
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings(), storage_errors(storage):
        warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats
        # A trial that is run again and finds no checkpoint tells its first epochs once more.
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        store = open_storage(storage)
        identity = json.dumps(
            {
                "space": {key: asdict(dimension) for key, dimension in space.items()},
                "run": run_identity(recipe, training),
            }
        )
        study = _open_study(store, recipe, space, name, identity)

        lost: BaseException | None = None  # what ended a trial whose end Optuna cannot tell

        def objective(trial: Trial) -> float:
            nonlocal lost
            # A trial that is run again takes the folder of the broken one, and so goes on from its checkpoint.
            place, broken = folder / str(trial.number), trial.user_attrs.get("folder")
            shutil.rmtree(place, ignore_errors=True)  # of another study of this name
            if broken is not None and (folder / broken).is_dir():
                (folder / broken).replace(place)
            trial.set_user_attr("folder", place.name)
            try:
                tried = with_values(recipe, suggest(trial, space))
                tried = with_fitting_batch(tried, len(training), launch())
                value = _run(trial, training, validation, tried, place, compile)
            except (TrialPruned, ConfigError):
                shutil.rmtree(place, ignore_errors=True)
                raise
            except (KeyboardInterrupt, MienError) as trouble:
                itself = study.get_trials(deepcopy=False)[trial.number]
                if itself.state == TrialState.FAIL:
                    lost = trouble
                else:  # such as a full disk: the trial goes on when there is room
                    retry(study, itself)
                raise
            except DATABASE_ERRORS as trouble:
                lost = trouble
                with contextlib.suppress(*DATABASE_ERRORS):  # it may work again already
                    retry(study, study.get_trials(deepcopy=False)[trial.number])
                raise
            except UpdateFinishedTrialError as trouble:  # it stood still so long that it counted as killed
                lost = trouble
                raise
            shutil.rmtree(place, ignore_errors=True)
            return value

        def tell(study: optuna.Study, trial: FrozenTrial) -> None:
            say(f"{describe(trial, recipe.epochs)}; {_count(study, DONE)} of {trials} trials done")

        beats, waiting = isinstance(store, RDBStorage), False
        while (left := trials - _count(study, DONE)) > 0:
            optuna.storages.fail_stale_trials(study)
            if not beats or left > _count_under_way(study):
                try:
                    study.optimize(objective, n_trials=1, callbacks=[tell], gc_after_trial=True)
                except Exception as ended:
                    if isinstance(lost, DATABASE_ERRORS):  # Optuna's own is of not being able to tell the end
                        raise lost from None
                    # Optuna's own ValueError: it will not tell the end of an ended trial.
                    if lost is None or not isinstance(ended, ValueError):
                        raise
                    if isinstance(lost, KeyboardInterrupt):
                        raise lost from None
                    lost = None
                    say("a trial that had stood still was taken over by another process")
                continue
            if not waiting:
                say("waiting for the last trials of other processes, to run them again if they were killed")
                waiting = True
            time.sleep(2)
    with contextlib.suppress(OSError):
        folder.rmdir()  # others may still be in it
    return study


def _run(
    trial: Trial, training: Dataset, validation: Dataset, recipe: Recipe, folder: Path, compile: bool
) -> float:
    """Trains one trial, as far as it is worth it, and returns its score."""
    folder.mkdir(parents=True, exist_ok=True)
    last: Epoch | None = None

    def watch(epoch: Epoch) -> None:
        nonlocal last
        last = epoch
        trial.report(score(epoch), epoch.epoch)
        if epoch.epoch < recipe.epochs and trial.should_prune():
            raise TrialPruned

    try:
        network = fit(training, validation, recipe, folder, options=Options(compile=compile, watch=watch))
    except DivergedError as error:
        trial.set_user_attr("why", "the loss was no number")
        raise TrialPruned from error
    except torch.OutOfMemoryError as error:
        trial.set_user_attr("why", "the GPU has not enough memory for it")
        raise TrialPruned from error
    if last is None:  # killed after its last epoch
        fabric = launch()
        labels, crowd = validate(network.to(fabric.device), validation, fabric)
        last = Epoch(recipe.epochs, 0, 0.0, 0.0, 0.0, labels, crowd, 0.0)
    return score(last)


def judged_from(recipe: Recipe) -> int:
    """The epoch, counted from 1, after which a trial may first be stopped.

    A quarter of them must have passed, and two in which the faces have their last size: scores are of that size,
    and a network that has seen smaller faces alone says little about it.
    """
    sizes = [side_at(epoch, recipe, SIDE) for epoch in range(recipe.epochs)]
    others = [epoch for epoch, size in enumerate(sizes, start=1) if size != sizes[-1]]
    return max(recipe.epochs // 4, others[-1] + 2 if others else 1)


def describe(trial: FrozenTrial, epochs: int) -> str:
    """What became of a trial, in a line."""
    said = f"trial {trial.number}: "
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return said + f"score {trial.value:.4f}"
    if "why" in trial.user_attrs:
        return said + f"dropped, {trial.user_attrs['why']}"
    if trial.last_step is not None:
        value = trial.intermediate_values[trial.last_step]
        return said + f"stopped after {trial.last_step} of {epochs} epochs at {value:.4f}"
    return said + trial.state.name.lower()


def _open_study(store: BaseStorage, recipe: Recipe, space: Space, name: str, identity: str) -> optuna.Study:
    settings: dict[str, Any] = {
        "sampler": optuna.samplers.TPESampler(),
        # Five trials to compare with before any is stopped.
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=judged_from(recipe)),
    }
    try:
        study = optuna.create_study(storage=store, study_name=name, direction="maximize", **settings)
    except DuplicatedStudyError:
        study = optuna.load_study(storage=store, study_name=name, **settings)
    else:
        study.set_user_attr("identity", identity)
        own = own_values(recipe, space)
        study.enqueue_trial({key: value for key, value in own.items() if inside(value, space[key])})
    if study.user_attrs.get("identity", identity) != identity:
        raise ConfigError(
            f"study {name}: its trials are of another recipe, number of epochs, space or data; "
            "choose another --study"
        )
    return study


def _count(study: optuna.Study, states: tuple[TrialState, ...]) -> int:
    return len(study.get_trials(deepcopy=False, states=states))


def _count_under_way(study: optuna.Study) -> int:
    """How many trials run, and have begun to tell so: one killed before that would be waited for for ever."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum("folder" in trial.user_attrs for trial in running)
