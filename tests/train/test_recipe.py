from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.train.recipe import Recipe, load_recipe, shipped_recipes, stretches


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
        ("epochs = 'many'", "epochs is 'many', must be a whole number"),
        ("epochs = 3.5", "epochs is 3.5, must be a whole number"),
        ("epochs = true", "epochs is True, must be a whole number"),
        ("learning_rate = nan", "learning_rate is nan, must be a number"),
        ("flip = 1", "flip is 1, must be true or false"),
        ("teachers = 'base'", "teachers is 'base', must be a list, each of it text"),
        ("stages = [8, 0.5]", r"stages is \(8, 0.5\), must be a list, each of it a whole number"),
        ("optimizer = 'lion'", "optimizer is 'lion', must be sgd or adam"),
        ("name = '../elsewhere'", "name is ../elsewhere, must be a file's name"),
        ("seed = -1", "seed is -1, must be 0 to 4294967295"),
        (f"seed = {2**32}", "seed is 4294967296, must be 0 to"),
        ("model = 'plain'\nsizes = [32]", "sizes is .*, must be none for plain"),
        ("sizes = [50]", "multiples of 8"),
        ("side = 50", "side is 50, must be 0, or a multiple of 8"),
        ("model = 'vgg'\nside = 64", "side is 64, must be 0 for vgg: only seresnet and resnet"),
        (
            "model = 'vgg'\nsizes = [8, 48]\nstages = [8, 8, 8, 8, 8]",
            "stages is .*vgg halves faces of 8 pixels to",
        ),
        ("model = 'densenet'\nstages = [8, 8, 8, 8, 8, 8]", "stages is .*densenet halves faces of 48 pixels"),
        ("erase = 1.5", r"erase is 1.5, must be in \[0, 1\]"),
        ("shrink = 1.5", r"shrink is 1.5, must be in \[0, 1\]"),
        ("vote_smoothing = 1.5", r"vote_smoothing is 1.5, must be in \[0, 1\]"),
        ("sharpness = -0.1", "sharpness is -0.1, must be at least 0"),
        ("epochs = ", "not valid TOML"),
    ],
)
def test_impossible_recipes_are_told(tmp_path: Path, text: str, says: str):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_recipe(str(tmp_path / "bad.toml"))


def test_names_that_no_file_of_text_can_hold_are_told():
    for field in ("name", "init", "first", "weights"):
        with pytest.raises(ConfigError, match=rf"{field} is .*, must be UTF-8"):
            Recipe(**{"name": "mine", "model": "timm/resnet18"} | {field: "mod\udce8le"})
    with pytest.raises(ConfigError, match=r"teachers is .*, must be UTF-8"):
        Recipe(name="mine", teachers=("base", "mod\udce8le"), teacher_weight=0.5)


def test_a_whole_number_is_a_number():
    assert Recipe(name="mine", learning_rate=1).learning_rate == 1
    assert str(Recipe(name="mine", rotate=15)) == str(
        Recipe(name="mine", rotate=15.0)
    )  # to go on with either


def test_a_recipe_stands_for_those_before_it_and_shares_its_changes_with_them():
    chain = stretches(load_recipe("base"), name="mine", epochs=10, batch_size=64, teacher_weight=0.25)
    assert chain[0].first == ""
    assert [recipe.name for recipe in chain] == ["base-first", "base-second", "base-third", "base-48", "mine"]
    assert all((recipe.epochs, recipe.batch_size) == (10, 64) for recipe in chain)
    assert [recipe.teacher_weight for recipe in chain[:-1]] != [0.25] * (len(chain) - 1)
    assert chain[-1].teacher_weight == 0.25


def test_runs_that_belong_together_draw_other_numbers():
    assert [recipe.seed for recipe in stretches(load_recipe("base"), seed=7)] == [7, 8, 9, 10, 11]
    assert [recipe.seed for recipe in stretches(load_recipe("quick"), seed=7)] == [7]
    unchanged = [recipe.seed for recipe in stretches(load_recipe("base"))]
    assert len(set(unchanged)) == len(unchanged)


def test_a_recipe_that_wants_itself_first_is_told(tmp_path: Path):
    for name, first in (("hen", "egg"), ("egg", "hen")):
        (tmp_path / f"{name}.toml").write_text(f"first = {str(tmp_path / first) + '.toml'!r}")
    with pytest.raises(ConfigError, match=r"recipe hen: .*toml wants itself first"):
        stretches(load_recipe(str(tmp_path / "hen.toml")))


def test_a_recipe_of_another_encoding_is_told(tmp_path: Path):
    (tmp_path / "mine.toml").write_bytes("# für uns".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine.toml: not UTF-8, .* \(byte 3\)"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_two_runs_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two of its runs are called base-first; give it another name"):
        stretches(load_recipe("base"), name="base-first")


def test_what_only_the_file_depends_on_is_changed_in_the_last_run_alone():
    *earlier, last = stretches(load_recipe("base"), weight_bits=8, integers=False, hold_out=False)
    assert (last.weight_bits, last.integers, last.hold_out) == (8, False, False)
    for recipe in earlier:
        assert recipe == load_recipe(recipe.name)


def test_an_unknown_recipe_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match="base"):
        load_recipe("nothing")


def test_the_last_epochs_erase_nothing_and_change_half_as_much():
    recipe = Recipe(name="mine", scale=1.21, rotate=20.0, shift=0.1, brightness=0.2, contrast=0.3, shrink=0.4)
    refined = replace(recipe, erase=0.5).refined()
    assert (refined.erase, refined.shrink) == (0, 0.2)
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
