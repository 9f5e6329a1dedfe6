from pathlib import Path

import pytest

from mien.commands.train import _suited
from mien.train.recipe import Recipe, load_recipe


@pytest.mark.parametrize(("folders", "told"), [("made_folders", True), ("made_own_folders", False)])
def test_that_votes_are_missing_is_said_of_the_seven_expressions_alone(
    folders: str, told: bool, here, tiny_recipe: Path, tmp_path: Path, request: pytest.FixtureRequest
):
    data = request.getfixturevalue(folders)
    code, out, errors = here("train", data, "--recipe", tiny_recipe, "--epochs", "1", "--out", tmp_path)
    assert code == 0
    assert out.endswith("tiny\n")
    assert any("no votes of FER+" in line for line in errors) == told


@pytest.mark.parametrize(
    ("asked", "recipe"),
    [
        ({}, "base"),
        ({"epochs": 3}, "base"),
        ({"init": "base"}, "transfer"),
        ({"model": "timm/resnet18", "pretrained": True}, "transfer"),
        ({"model": "timm/resnet18", "weights": "resnet18.safetensors"}, "transfer"),
        ({"model": "timm/resnet18"}, "resnet"),
        ({"model": "vgg"}, "vgg"),
        ({"model": "mobile"}, "resnet"),
    ],
)
def test_the_recipe_suits_what_is_asked_for(asked: dict[str, object], recipe: str):
    assert _suited(asked) == recipe
    assert isinstance(load_recipe(recipe).changed(**asked), Recipe)


def test_a_network_beside_that_of_a_model_to_start_from_is_refused(here, made_folders: Path, tmp_path: Path):
    code, _, errors = here("train", made_folders, "--init", "base", "--blocks", "1", "--out", tmp_path)
    assert code == 2
    assert errors == ["mien: --blocks: the network is that of --init base; leave one of the two out"]


@pytest.mark.parametrize(
    ("model", "option"), [("plain", "--stages"), ("vgg", "--stem"), ("timm/resnet18", "--blocks")]
)
def test_what_a_network_does_not_heed_is_refused(
    here, made_folders: Path, model: str, option: str, tmp_path: Path
):
    code, _, errors = here("train", made_folders, "--model", model, option, "8", "--out", tmp_path)
    assert code == 2
    assert errors == [f"mien: {option}: {model} does not heed it; leave it out, or choose another --model"]


def test_what_is_changed_is_changed_in_the_runs_before_too(here, made_folders, tiny_recipe, tmp_path: Path):
    second = tmp_path / "second.toml"
    second.write_text(
        f"first = {str(tiny_recipe)!r}\nteacher_weight = 0.5\nbatch_size = 16\nema_decay = 0.8\n"
    )
    command = ["train", made_folders, "--recipe", second, "--out", tmp_path / "model", "--name", "last"]
    small = ["--epochs", "1", "--stem", "4", "--stages", "8", "--blocks", "1", "--no-sizes"]
    code, out, errors = here(*command, *small)
    assert (code, out) == (0, f"{tmp_path / 'model' / 'last'}\n")
    assert "mien: last is made in 2 runs: tiny (1 epochs), last (1 epochs)" in errors
    for name in ("tiny", "last"):
        made = load_recipe(str(tmp_path / "model" / name / "recipe.toml"))
        assert (made.stem, made.stages, made.blocks, made.epochs, made.sizes) == ((4,), (8,), 1, 1, ())
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*.*")}
    assert here(*command, *small)[:2] == (0, out)  # all is done, and stays as it is
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*.*")} == written


def test_a_list_can_be_emptied(here, made_folders: Path, tiny_recipe: Path, tiny_model: Path, tmp_path: Path):
    pupil = tmp_path / "pupil.toml"
    pupil.write_text(tiny_recipe.read_text() + f"teachers = [{str(tiny_model)!r}]\nteacher_weight = 0.5\n")
    command = [
        "train",
        made_folders,
        "--recipe",
        pupil,
        "--preview",
        tmp_path / "sheet.png",
        "--teacher-weight",
        "0",
    ]
    code, _, errors = here(*command)
    assert code == 2
    assert "teachers is" in errors[-1]
    assert here(*command, "--no-teachers")[0] == 0


def test_batches_are_no_larger_than_the_data(here, made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    code, _, errors = here(
        "train",
        made_folders,
        "--recipe",
        tiny_recipe,
        "--epochs",
        "1",
        "--batch-size",
        "4096",
        "--out",
        tmp_path,
    )
    assert code == 0
    made = load_recipe(str(tmp_path / "tiny" / "recipe.toml"))
    assert 100 < made.batch_size < 140
    assert f"mien: tiny: batches of {made.batch_size}, not 4096, for {made.batch_size} faces" in errors
