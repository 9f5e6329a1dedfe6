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
        ("vote_smoothing = 1.5", r"vote_smoothing is 1.5, must be in \[0, 1\]"),
        ("sharpness = -0.1", "sharpness is -0.1, must be at least 0"),
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


def test_the_last_epochs_erase_nothing_and_change_half_as_much():
    recipe = Recipe(name="mine", scale=1.21, rotate=20.0, shift=0.1, brightness=0.2, contrast=0.3, erase=0.5)
    refined = recipe.refined()
    assert refined.erase == 0
    assert refined.scale == pytest.approx(1.1)
    assert (refined.rotate, refined.shift, refined.brightness, refined.contrast) == (10.0, 0.05, 0.1, 0.15)
    assert refined.flip
    assert refined.learning_rate == recipe.learning_rate


def test_of_other_epochs_the_same_share_is_refined():
    recipe = Recipe(name="mine", epochs=20, refine_epochs=6)
    assert recipe.changed(epochs=10).refine_epochs == 3
    assert recipe.changed(epochs=10, refine_epochs=1).refine_epochs == 1
    assert recipe.changed(dropout=0.1).refine_epochs == 6
    with pytest.raises(ConfigError, match="epochs is 0"):
        recipe.changed(epochs=0)
