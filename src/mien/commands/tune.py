"""`mien tune`: many short trainings in, a better recipe out."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mien.commands.train import read_training
from mien.console import show
from mien.datasets import check_apart
from mien.errors import ConfigError
from mien.train.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    import optuna

    from mien.train.tune.space import Space


def tune(
    data: Path,
    /,
    *,
    trials: int,
    recipe: str = "base-first",
    epochs: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    space: Path | None = None,
    out: Path = Path("tune"),
    exclude: Path | None = None,
    find_faces: bool = False,
    compile: bool = False,
) -> int:
    """Searches for a better recipe.

    The same command given again goes on where it was; given in several terminals, or on several machines with one
    database, the trials are shared.

    Parameters
    ----------
    data
        What to learn from, as for mien train. Trials are compared on its validation tenth.
    trials
        How many trials the study shall have in all.
    recipe
        The recipe to vary: the name of one that comes with mien, or the path of a TOML file.
    epochs
        Epochs of a trial; by default the recipe's. The recipe that is found has the recipe's own again.
    storage
        Where the trials are kept: a database's URL, or the path of a journal file that ends in .log. By default
        an SQLite database in the out folder.
    study
        Name of the study, and of the recipe that is found; by default the recipe's with -tuned behind it.
    space
        A TOML file that says which fields to vary and how far, instead of the table in docs/tune.md.
    out
        Folder for the recipe that is found and the report.
    exclude
        A CSV file of mien audit: the faces it suggests to remove are left out.
    find_faces
        The pictures of your own folders are photographs: learn from the surest face in each.
    compile
        Make the steps faster by torch.compile: needs a C++ compiler and a minute or two at the start.
    """
    try:
        from mien.train.run import check_classes
        from mien.train.tune import space as spaces
        from mien.train.tune.report import save_best, write_report
        from mien.train.tune.study import tune as search
    except ImportError as error:
        raise ConfigError(f'tuning needs {error.name}: pip install "mien[train,tune]"') from error
    if trials < 1:
        raise ConfigError(f"--trials {trials}: choose 1 or more")
    chosen = load_recipe(recipe)
    short = chosen.changed(epochs=epochs)
    name = study or f"{chosen.name}-tuned"
    if Path(name).name != name:
        raise ConfigError(f"--study {name}: must do as the name of a file")
    given = spaces.read_space(space) if space is not None else None
    spaces.check_space(spaces.SPACE if given is None else given, short)
    faces = read_training(data, exclude=exclude, find_faces=find_faces)
    check_classes(faces)
    where = spaces.space_for(faces) if given is None else given
    check_apart(out, data)
    if storage is None and any(letter in str(out / name) for letter in "{}?%"):
        raise ConfigError(
            f"--out {out}, --study {name}: the address of a SQLite file cannot hold {{ }} ? or %; "
            "choose another, or name a --storage"
        )
    out.mkdir(parents=True, exist_ok=True)
    found = search(
        faces,
        short,
        where,
        trials=trials,
        storage=storage or f"sqlite:///{out / name}.db",
        name=name,
        folder=out / f"{name}-trials",
        compile=compile,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    toml = out / f"{name}.toml"
    best = save_best(found, chosen, short.epochs, toml)
    write_report(found, toml.read_text(encoding="utf-8"), short.epochs, out / f"{name}.html")
    _print_table(found, where, chosen, best)
    again = ["mien", "train", str(data), "--recipe", str(toml)]
    again += ["--exclude", str(exclude)] if exclude is not None else []
    again += ["--find-faces"] if find_faces else []
    print(f"The recipe: {shlex.join(again)}")
    print(f"The report: {out / name}.html")
    return 1 if faces.skipped else 0


def _print_table(found: "optuna.Study", space: "Space", recipe: Recipe, best: Recipe) -> None:
    from rich.table import Table

    from mien.train.tune.report import shown, summary_of
    from mien.train.tune.space import Choice, own_values

    table = Table("field", "searched", recipe.name, best.name, box=None, header_style="bold")
    before, after = own_values(recipe, space), own_values(best, space)
    for name, dimension in space.items():
        if isinstance(dimension, Choice):
            searched = " ".join(shown(value) for value in dimension.values)
        else:
            searched = f"{dimension.low:g} – {dimension.high:g}" + (" log" if dimension.log else "")
        table.add_row(name, searched, shown(before[name]), shown(after[name]))
    print(summary_of(found))
    show(table)
