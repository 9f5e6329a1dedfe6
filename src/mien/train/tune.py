"""A search for a better recipe, by Optuna. Needs ``mien[train,tune]``.

Every trial trains the recipe with other values of some fields, and counts by its `score`. Which fields, and how
far, is the table `SPACE`; a TOML file may take its place, see `read_space`.
"""

import contextlib
import json
import re
import shutil
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError, TrialPruned
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from mien.datasets import Dataset, split_validation
from mien.errors import ConfigError, MienError
from mien.train.checkpoint import run_identity
from mien.train.fit import Options, fit, validate
from mien.train.journal import Epoch
from mien.train.processes import launch
from mien.train.recipe import Recipe
from mien.train.start import with_network


@dataclass(frozen=True, slots=True)
class Range:
    """Any number from `low` to `high`; with `log`, equally likely in each octave."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    values: tuple[float | str, ...]


Space = Mapping[str, Range | Choice]

REFINE_SHARE = "refine_share"
"""Stands for `refine_epochs` in a space: a share of the epochs fits trials that are shorter than the recipe."""

SPACE: Space = {
    "learning_rate": Range(0.02, 0.3, log=True),
    "weight_decay": Range(5e-5, 2e-3, log=True),
    "dropout": Range(0.0, 0.5),
    "label_smoothing": Range(0.0, 0.2),
    "ema_decay": Choice((0.99, 0.995, 0.998, 0.999)),
    "votes": Range(0.5, 4.0, log=True),
    "scale": Range(1.0, 1.4),
    "rotate": Range(0.0, 30.0),
    "shift": Range(0.0, 0.15),
    "erase": Range(0.0, 0.75),
    "mixup": Range(0.0, 1.0),
    REFINE_SHARE: Range(0.0, 0.6),
}
"""Where is looked, unless a file says otherwise: around what was found to work on FER-2013."""

FIXED = ("name", "first", "epochs", "hold_out", "seed", "refine_epochs")
"""Fields that no search may touch: with them trials could not be compared, or `REFINE_SHARE` stands for them."""

DONE = (TrialState.COMPLETE, TrialState.PRUNED)

HEARTBEAT, GRACE = 15, 90
"""Seconds between the signs of life of a trial, and without one after which it counts as killed."""


def score(epoch: Epoch) -> float:
    """What is searched for: the mean of the validation part's accuracies on the labels and on the crowd's answer.

    That on the labels alone where no votes are learnt.
    """
    if epoch.validation_crowd != epoch.validation_crowd:  # NaN
        return epoch.validation_labels
    return (epoch.validation_labels + epoch.validation_crowd) / 2


def read_space(path: Path) -> Space:
    """Reads a space that takes the place of `SPACE`.

    A TOML file with a line for each field, ``dropout = { low = 0.0, high = 0.5 }``, with ``log = true`` if wanted,
    or ``batch_size = { values = [64, 128] }``.

    Raises:
        ConfigError: it cannot be read, or a line in it says something else.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--space {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"--space {path}: not valid TOML ({error})") from error
    return {name: _dimension(f"--space {path}, {name}", entry) for name, entry in table.items()}


def _dimension(where: str, entry: Any) -> Range | Choice:
    match entry:
        case {"values": [_, *_] as values, **rest} if not rest:
            return Choice(tuple(values))
        case {"low": int() | float() as low, "high": int() | float() as high, **rest} if not set(rest) - {
            "log"
        }:
            log = rest.get("log", False)
            if low < high and isinstance(log, bool) and (low > 0 or not log):
                return Range(low, high, log)
    raise ConfigError(
        f"{where}: is {entry}; write {{ low = 0.1, high = 0.5 }} with low below high, and with log = true if low "
        "is above 0; or { values = [0.1, 0.5] }"
    )


def space_for(data: Dataset) -> Space:
    """`SPACE`, without the weight of the votes where there are none."""
    return {name: where for name, where in SPACE.items() if name != "votes" or data.votes is not None}


def check_space(space: Space, recipe: Recipe) -> None:
    """Makes sure that every value in a space makes a possible recipe.

    Raises:
        ConfigError: a field is unknown or fixed, or an end of its range or one of its values is impossible.
    """
    known = {field.name for field in fields(Recipe)} - set(FIXED) | {REFINE_SHARE}
    if unknown := sorted(set(space) - known):
        raise ConfigError(
            f"space: {', '.join(unknown)} cannot be searched; what can: {', '.join(sorted(known))}"
        )
    if not space:
        raise ConfigError("space: names no field to search")
    for name, dimension in space.items():
        usual = 0.5 if name == REFINE_SHARE else getattr(recipe, name)
        ends = dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
        for value in ends:
            kinds = (int, float) if type(usual) is float else (type(usual),)
            if type(value) not in kinds:
                raise ConfigError(f"space: {name} is {value!r}, must be like {usual!r}")
            with_values(recipe, {name: value})
            if name == "votes" and value == 0:
                raise ConfigError(
                    "space: votes is 0, must be above 0: without the crowd's reading, scores differ"
                )


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with the values of a trial.

    Raises:
        ConfigError: a value is impossible.
    """
    changes = dict(values)
    if REFINE_SHARE in changes:
        changes["refine_epochs"] = round(changes.pop(REFINE_SHARE) * recipe.epochs)
    return recipe.changed(**changes)


def shortened(recipe: Recipe, epochs: int | None) -> Recipe:
    """The recipe with so many epochs, of which it refines the same share; as it is where None."""
    if epochs is None:
        return recipe
    return replace(recipe, epochs=epochs, refine_epochs=round(recipe.refine_epochs * epochs / recipe.epochs))


def own_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """What the recipe itself has for each field of a space."""
    share = recipe.refine_epochs / recipe.epochs
    return {name: share if name == REFINE_SHARE else getattr(recipe, name) for name in space}


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
) -> optuna.Study:
    """Runs trials until a study has so many, those of earlier and of other processes counted.

    The first is the recipe itself. A trial that is behind the median of the others after a quarter of the epochs
    is stopped (Optuna's MedianPruner), and counts. A trial whose process was killed is run again, and goes on from
    its last epoch: databases only, a journal file does not notice.

    Args:
        data: the training split; its validation tenth is what trials are compared on.
        recipe: what is varied.
        space: how.
        trials: how many the study shall have.
        storage: a database's URL, or the path of a journal file that ends in .log; several processes may share it.
        name: of the study.
        folder: where trials under way keep their checkpoints; removed when they end.
        say: is told a line about each trial.

    Raises:
        ConfigError: the storage cannot be opened, the space and the recipe do not fit together, or the study is of
            another recipe, space or data.
        MienError: the storage fails later on, or see `mien.train.fit.fit`.
    """
    check_space(space, recipe)
    if recipe.first:
        raise ConfigError(
            f"recipe {recipe.name}: runs {recipe.first} first; tune that, or give this the init of its model "
            "and no first"
        )
    recipe = with_network(recipe)
    training, validation = split_validation(data)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings(), _storage_errors(storage):
        warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats
        store = open_storage(storage)
        identity = json.dumps(
            {
                "space": {key: asdict(dimension) for key, dimension in space.items()},
                "run": run_identity(recipe, training),
            }
        )
        study = _open_study(store, recipe, space, name, identity)

        def objective(trial: Trial) -> float:
            # A trial that is run again keeps its folder, and so goes on from its checkpoint.
            place = folder / trial.user_attrs.get("folder", str(trial.number))
            if "folder" not in trial.user_attrs:
                shutil.rmtree(place, ignore_errors=True)  # of another study of this name
            trial.set_user_attr("folder", place.name)
            try:
                value = _run(trial, training, validation, with_values(recipe, suggest(trial, space)), place)
            except KeyboardInterrupt:
                _retry(study, study.get_trials(deepcopy=False)[trial.number])
                raise
            except TrialPruned:
                shutil.rmtree(place, ignore_errors=True)
                raise
            shutil.rmtree(place, ignore_errors=True)
            return value

        def tell(study: optuna.Study, trial: FrozenTrial) -> None:
            say(f"{describe(trial, recipe.epochs)}; {_count(study, DONE)} of {trials} trials done")

        beats, waiting = isinstance(store, RDBStorage), False
        while (left := trials - _count(study, DONE)) > 0:
            optuna.storages.fail_stale_trials(study)
            if not beats or left > _count_under_way(study):
                study.optimize(objective, n_trials=1, callbacks=[tell])
                continue
            if not waiting:
                say("waiting for the last trials of other processes, to run them again if they were killed")
                waiting = True
            time.sleep(2)
    with contextlib.suppress(OSError):
        folder.rmdir()  # others may still be in it
    return study


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """The values that a trial is to try."""
    values: dict[str, Any] = {}
    for name, dimension in space.items():
        match dimension:
            case Choice(options):
                values[name] = trial.suggest_categorical(name, options)
            case Range(int() as low, int() as high, log) if _is_whole(name):
                values[name] = trial.suggest_int(name, low, high, log=log)
            case Range(low, high, log):
                values[name] = trial.suggest_float(name, low, high, log=log)
    return values


def _is_whole(name: str) -> bool:
    return any(field.name == name and field.type is int for field in fields(Recipe))


def _run(trial: Trial, training: Dataset, validation: Dataset, recipe: Recipe, folder: Path) -> float:
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
        network = fit(training, validation, recipe, folder, options=Options(watch=watch))
    except MienError as error:
        if isinstance(error, ConfigError) or error.__cause__ is not None:
            raise  # of the data, the recipe or the disk, and the next trial would fail alike
        trial.set_user_attr("why", "the loss was no number")
        raise TrialPruned from error
    if last is None:  # killed after its last epoch
        labels, crowd = validate(network, validation, launch())
        last = Epoch(recipe.epochs, 0, 0.0, 0.0, 0.0, labels, crowd, 0.0)
    return score(last)


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


def open_storage(where: str) -> BaseStorage:
    """The storage of studies at a database's URL, or in a journal file; made where there is none.

    Raises:
        ConfigError: it is neither.
    """
    if "://" not in where:
        if not where.endswith(".log"):
            raise ConfigError(
                f"--storage {where}: neither a database's URL, as sqlite:///tune.db, nor a file ending in .log"
            )
        return JournalStorage(JournalFileBackend(where))
    # SQLite lets one process write at a time; the others wait so many seconds.
    options = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {}
    for attempt in range(10):
        try:
            return RDBStorage(
                where,
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_retry,
            )
        except (SQLAlchemyError, ImportError, RuntimeError) as error:
            # Two processes may make the tables at the same time.
            if attempt == 9 or not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise ConfigError(
                    f"--storage {_hidden(where)}: cannot be opened ({_first_line(error)})"
                ) from error
            time.sleep(0.5)
    raise AssertionError("the last attempt returns or raises")


def _retry(study: optuna.Study, trial: FrozenTrial) -> None:
    RetryHeartbeatStaleTrialCallback()(study, trial)


def _open_study(store: BaseStorage, recipe: Recipe, space: Space, name: str, identity: str) -> optuna.Study:
    settings: dict[str, Any] = {
        "sampler": optuna.samplers.TPESampler(),
        # Five trials to compare with, and a quarter of the epochs, before any is stopped.
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, recipe.epochs // 4)),
    }
    try:
        study = optuna.create_study(storage=store, study_name=name, direction="maximize", **settings)
    except DuplicatedStudyError:
        study = optuna.load_study(storage=store, study_name=name, **settings)
    else:
        study.set_user_attr("identity", identity)
        own = own_values(recipe, space)
        study.enqueue_trial({key: value for key, value in own.items() if _inside(value, space[key])})
    if study.user_attrs.get("identity", identity) != identity:
        raise ConfigError(
            f"study {name}: its trials are of another recipe, number of epochs, space or data; "
            "choose another --study"
        )
    return study


def _inside(value: Any, dimension: Range | Choice) -> bool:
    match dimension:
        case Range(low, high, _):
            return bool(low <= value <= high)
        case Choice(values):
            return value in values


def _count(study: optuna.Study, states: tuple[TrialState, ...]) -> int:
    return len(study.get_trials(deepcopy=False, states=states))


def _count_under_way(study: optuna.Study) -> int:
    """How many trials run, and have begun to tell so: one killed before that would be waited for for ever."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum("folder" in trial.user_attrs for trial in running)


@contextlib.contextmanager
def _storage_errors(where: str) -> Iterator[None]:
    """Tells in one line what a database says that fails."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise MienError(
            f"--storage {_hidden(where)}: {_first_line(error)}; the same command goes on when it works again"
        ) from error


def _hidden(url: str) -> str:
    """A database's URL without its password."""
    return re.sub(r"(?<=:)[^:@/]+(?=@)", "***", url)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
