"""`mien train`: a data set in, a model out."""

import os
from dataclasses import asdict, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mien.console import complain, tell_path
from mien.errors import ConfigError
from mien.labels import EXPRESSIONS
from mien.train.recipe import Recipe, load_recipe, shipped_recipes, stretches, unheeded

# Every field of a recipe, none of them set: what a person gives on the command line to change it.
_Changes = make_dataclass(
    "_Changes",
    [(f.name, f.type | None, field(default=None)) for f in fields(Recipe)],  # type: ignore[operator]
    kw_only=True,
    namespace={"__doc__": Recipe.__doc__, "__module__": __name__},
)
if TYPE_CHECKING:
    from mien.datasets import Dataset

    Changes = Any
else:
    Changes = Annotated[
        _Changes | None,
        Parameter(name="*", group="Fields of the recipe", negative_iterable="no-", consume_multiple=True),
    ]


def train(
    data: Path,
    /,
    *,
    recipe: str | None = None,
    out: Path = Path("model"),
    preview: Path | None = None,
    exclude: Path | None = None,
    find_faces: bool = False,
    devices: int = 1,
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] | None = None,
    compile: bool = False,
    tensorboard: bool = False,
    changes: Changes = None,
) -> int:
    """Trains a model on FER-2013 or on your own faces.

    A run that was stopped goes on where it was when the same command is given again.

    Parameters
    ----------
    data
        FER-2013: the folder with train/ and test/ in it, fer2013.csv (with fer2013new.csv beside it for the
        votes of FER+), or a Parquet file. Or your own faces: a folder with a folder for each class.
    recipe
        The name of a recipe that comes with mien, or the path of a TOML file. By default base; transfer where
        --init, --pretrained or --weights names what to start from; where --model is given, the one called so, or
        else resnet.
    out
        Folder in which the model's own folder, called as the recipe is, is made.
    preview
        Draw a sheet of faces as the recipe shows them into this file, and do not train.
    exclude
        A CSV file of mien audit: the faces it suggests to remove are left out.
    find_faces
        The pictures of your own folders are photographs: learn from the surest face in each.
    devices
        GPUs, or processes on the CPU, that train together.
    precision
        Of the network's arithmetic; by default the fastest that the device does in hardware.
    compile
        Make the steps faster by torch.compile: needs a C++ compiler and a minute or two at the start.
    tensorboard
        Write TensorBoard's files too, into the model's folder.
    """
    try:
        from mien.train.fit import Options
        from mien.train.preview import save_preview
        from mien.train.run import train as run
    except ImportError as error:
        raise ConfigError(f'training needs {error.name}: pip install "mien[train]"') from error
    changed = asdict(changes) if changes is not None else {}
    asked = load_recipe(recipe or _suited(changed))
    *earlier, chosen = stretches(asked, **changed)
    own = [name for name in ("model", "stem", "stages", "blocks") if changed.get(name) is not None]
    if chosen.init and own:
        raise ConfigError(
            f"--{own[0]}: the network is that of --init {chosen.init}; leave one of the two out"
        )
    network = (*earlier, chosen)[0].model  # that of the first run, which those after it go on with
    if deaf := [name for name in unheeded(network) if changed.get(name) is not None]:
        raise ConfigError(f"--{deaf[0]}: {network} does not heed it; leave it out, or choose another --model")
    # Of several processes one tells, or each line would come as often as there are processes.
    telling = int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))) == 0
    faces = read_training(data, exclude=exclude, find_faces=find_faces, telling=telling)
    if preview is not None:
        save_preview(faces, chosen, preview)
        tell_path(preview)
        return 0
    from mien.datasets import check_apart

    check_apart(out / chosen.name, data)
    if telling and faces.votes is None and chosen.votes > 0 and faces.classes == EXPRESSIONS:
        complain(f"{data}: has no votes of FER+; the crowd is learnt from one label a face")
    if telling and earlier:
        runs = ", ".join(f"{stretch.name} ({stretch.epochs} epochs)" for stretch in (*earlier, chosen))
        complain(f"{chosen.name} is made in {len(earlier) + 1} runs: {runs}")
    options = Options(compile=compile, tensorboard=tensorboard)
    folder = run(faces, asked, out, options=options, devices=devices, precision=precision, changes=changed)
    if telling:
        tell_path(folder)
    return 1 if faces.skipped and telling else 0


def read_training(data: Path, *, exclude: Path | None, find_faces: bool, telling: bool = True) -> "Dataset":
    """The faces to learn from; tells how many are left out, and why."""
    from mien.datasets import read_dataset

    faces = read_dataset(data, "train", find_faces=find_faces)
    if faces.skipped and telling:
        complain(f"{len(faces.skipped)} pictures skipped; the first: {faces.skipped[0]}")
    if exclude is not None:
        from mien.audit.rows import exclude_rows

        before = len(faces)
        faces = exclude_rows(faces, exclude, "train")
        if telling:
            complain(f"{exclude}: {before - len(faces)} of {before} faces left out")
    return faces


def _suited(changed: dict[str, Any]) -> str:
    """The recipe that suits what was asked for."""
    if changed.get("init") or changed.get("pretrained") or changed.get("weights"):
        return "transfer"
    model = changed.get("model")
    if model is None:
        return "base"
    return model if model in shipped_recipes() else "resnet"
