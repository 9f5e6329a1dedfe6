"""What a search varies: fields of a recipe, and how far. Needs no Optuna."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.datasets import Dataset
from mien.errors import ConfigError
from mien.train.recipe import EXPORT_FIELDS, Recipe, unheeded

if TYPE_CHECKING:
    from optuna.trial import Trial


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

COARSE = {
    "batch_size": "{ values = [64, 128] }: not every number can be shared out",
    "side": "{ values = [48, 64] }: not every number is a multiple of 8",
}
"""Whole numbers of which few are possible, so that they cannot be searched as a range; what to write instead."""

FIXED = ("name", "init", "epochs", "hold_out", "seed", "refine_epochs", "first", *EXPORT_FIELDS)
"""Fields that no search may touch: with them trials could not be compared, they only change the file that is
exported, or `REFINE_SHARE` stands for them."""


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
    own = ("model", "stem", "stages", "blocks") if recipe.init else unheeded(recipe.model)
    if fixed := [name for name in own if name in space]:
        why = f"that of init {recipe.init}" if recipe.init else f"{recipe.model}, which does not heed it"
        raise ConfigError(f"space: {fixed[0]} cannot be searched: the network is {why}")
    mixes = "mixup" in space or recipe.mixup > 0
    if mixes and "batch_size" not in space and recipe.batch_size % 2:
        raise ConfigError(
            f"recipe {recipe.name}: batch_size {recipe.batch_size}: must be even, mixup mixes pairs"
        )
    for name, dimension in space.items():
        usual = 0.5 if name == REFINE_SHARE else getattr(recipe, name)
        ends = dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
        for value in ends:
            kinds = (int, float) if type(usual) is float else (type(usual),)
            if type(value) not in kinds:
                raise ConfigError(f"space: {name} is {value!r}, must be like {usual!r}")
            with_values(recipe, {name: value})
            if name == "side" and recipe.init and value == 0:
                raise ConfigError(
                    f"space: side is 0, which is that of init {recipe.init}; write {recipe.side or 48}"
                )
            if name == "batch_size" and mixes and value % 2:
                raise ConfigError(f"space: batch_size is {value}, must be even: mixup mixes pairs of faces")
            if name == "votes" and value == 0:
                raise ConfigError(
                    "space: votes is 0, must be above 0: without the crowd's reading, scores differ"
                )
        if name in COARSE and isinstance(dimension, Range):
            raise ConfigError(f"space: {name} is a range; write {COARSE[name]}")
    # Of these, not every value goes with every other one.
    together = {
        name: choice.values
        for name in ("model", "side", "pretrained", "weights")
        if isinstance(choice := space.get(name), Choice)
    }
    for values in product(*together.values()):
        with_values(recipe, dict(zip(together, values, strict=True)))


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with the values of a trial.

    Raises:
        ConfigError: a value is impossible.
    """
    changes = dict(values)
    if REFINE_SHARE in changes:
        changes["refine_epochs"] = round(changes.pop(REFINE_SHARE) * recipe.epochs)
    return recipe.changed(**changes)


def own_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """What the recipe itself has for each field of a space."""
    share = recipe.refine_epochs / recipe.epochs
    return {name: share if name == REFINE_SHARE else getattr(recipe, name) for name in space}


def suggest(trial: "Trial", space: Space) -> dict[str, Any]:
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


def inside(value: Any, dimension: Range | Choice) -> bool:
    """Whether a search may come upon a value."""
    match dimension:
        case Range(low, high, _):
            return bool(low <= value <= high)
        case Choice(values):
            return value in values
