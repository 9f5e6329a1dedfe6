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


def test_a_network_that_a_first_recipe_would_not_know_is_refused(here, made_folders: Path, tmp_path: Path):
    code, _, errors = here(
        "train",
        made_folders,
        "--recipe",
        "base",
        "--blocks",
        "1",
        "--out",
        tmp_path,
        "--preview",
        tmp_path / "a.png",
    )
    assert code == 2
    assert errors == [
        "mien: --blocks: base goes on with the network of its first recipe, base-second; choose another --recipe"
    ]
