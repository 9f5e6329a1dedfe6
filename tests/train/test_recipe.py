from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.train.recipe import Recipe, load_recipe, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_and_are_called_as_their_file(name: str):
    assert load_recipe(name).name == name


def test_a_recipe_reads_back_as_it_was_saved(tmp_path: Path):
    recipe = Recipe(name="mine", stages=(8, 16), sizes=(16, 48), flip=False, learning_rate=0.03)
    recipe.save(tmp_path / "mine.toml")
    assert load_recipe(str(tmp_path / "mine.toml")) == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epoch = 3", "unknown field epoch"),
        ("epochs = 0", "epochs is 0, must be at least 1"),
        ("epochs = 'many'", "wrong type"),
        ("sizes = [50]", "multiples of 8"),
        ("erase = 1.5", r"erase is 1.5, must be in \[0, 1\]"),
        ("epochs = ", "not valid TOML"),
    ],
)
def test_impossible_recipes_are_told(tmp_path: Path, text: str, says: str):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_recipe(str(tmp_path / "bad.toml"))


def test_an_unknown_recipe_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match="base"):
        load_recipe("nothing")
