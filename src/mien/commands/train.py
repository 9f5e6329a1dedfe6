"""`mien train`: a data set in, a model out."""

from pathlib import Path

from mien.errors import ConfigError


def train(data: Path, /, *, recipe: str = "base", out: Path = Path("model")) -> None:
    """Trains a model on FER-2013 or on your own faces.

    A run that was stopped goes on where it was when the same command is given again.

    Parameters
    ----------
    data
        FER-2013: the folder with train/ and test/ in it, fer2013.csv (with fer2013new.csv beside it for the
        votes of FER+), or a Parquet file.
    recipe
        The name of a recipe that comes with mien, or the path of a TOML file.
    out
        Folder in which the model's own folder, called as the recipe is, is made.
    """
    try:
        from mien.train.recipe import load_recipe
        from mien.train.run import train as run
    except ImportError as error:
        raise ConfigError(f'training needs {error.name}: pip install "mien[train]"') from error
    folder = run(data, load_recipe(recipe), out)
    print(folder)
