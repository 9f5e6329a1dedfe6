import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mien.datasets import Dataset, read_dataset
from mien.errors import ConfigError, ModelError
from mien.labels import EXPRESSIONS
from mien.train.fit import fit
from mien.train.networks import FaceNet
from mien.train.recipe import Recipe, load_recipe
from mien.train.run import train
from mien.train.start import load_start, load_weights, with_network


def own_faces() -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    return Dataset(images, np.arange(40, dtype=np.int64) % 3, None, ("negative", "neutral", "positive"))


def test_the_trunk_and_fitting_heads_are_taken(tiny_model):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(init=str(tiny_model))
    saved = load_weights(tiny_model / "model.safetensors")
    network = FaceNet(recipe)
    assert load_start(network, recipe, EXPRESSIONS) == []
    assert all(torch.equal(value, saved[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("classes", [("yes", "no"), ("a", "b", "c", "d", "e", "f", "g"), EXPRESSIONS[::-1]])
def test_a_head_of_other_classes_is_new_and_the_trunk_is_not(tiny_model, classes: tuple[str, ...]):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(init=str(tiny_model))
    saved = load_weights(tiny_model / "model.safetensors")
    network = FaceNet(recipe, classes)
    before = network.labels.weight.clone()
    assert load_start(network, recipe, classes) == ["labels.weight", "labels.bias"]
    assert torch.equal(network.labels.weight, before)
    assert torch.equal(network.trunk.stem[0][0].weight, saved["trunk.stem.0.0.weight"])


def test_a_frozen_trunk_stays_as_it_was_and_the_head_learns(tiny_model, tmp_path):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(init=str(tiny_model), trunk_rate=0.0)
    saved = load_weights(tiny_model / "model.safetensors")
    heads = []
    for epochs in (1, 4):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        network = fit(own_faces(), own_faces(), replace(recipe, epochs=epochs), folder)
        for key, value in network.state_dict().items():
            if key.startswith("trunk.") and value.is_floating_point():
                assert torch.allclose(value, saved[key], atol=1e-6), key
        heads.append(network.labels.weight)
    assert not torch.allclose(*heads, atol=1e-3)


def test_another_trunk_is_refused(tiny_model):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(init=str(tiny_model), stages=(16, 24))
    with pytest.raises(ConfigError, match="its trunk is another one"):
        load_start(FaceNet(recipe), recipe, EXPRESSIONS)


def test_the_network_is_that_of_the_model_started_from(tiny_model):
    recipe = with_network(Recipe(name="mine", init=str(tiny_model)))
    assert (recipe.stem, recipe.stages, recipe.blocks) == ((4, 8), (16, 16), 1)
    assert with_network(Recipe(name="mine")) == Recipe(name="mine")


@pytest.mark.parametrize(("side", "looks_at"), [(0, 64), (56, 56)])
def test_faces_are_looked_at_as_by_the_model_started_from_unless_said_otherwise(
    side: int, looks_at: int, tiny_model, tmp_path
):
    shutil.copytree(tiny_model, tmp_path / "close")
    load_recipe(str(tiny_model / "recipe.toml")).changed(side=64).save(tmp_path / "close" / "recipe.toml")
    recipe = with_network(Recipe(name="mine", init=str(tmp_path / "close"), side=side))
    assert FaceNet(recipe).trunk.side == looks_at


def test_a_recipe_that_wants_another_first_runs_it_and_begins_from_it(made_folders, tiny_recipe, tmp_path):
    text = tiny_recipe.read_text().replace("epochs = 3", "epochs = 1").replace('"tiny"', '"second"')
    second = tmp_path / "second.toml"
    second.write_text(f"first = {str(tiny_recipe)!r}\nteacher_weight = 0.5\nlearning_rate = 1e-9\n{text}")
    folder = train(read_dataset(made_folders), load_recipe(str(second)), tmp_path / "model")
    first, then = (
        load_weights(tmp_path / "model" / name / "model.safetensors") for name in ("tiny", "second")
    )
    assert torch.allclose(first["trunk.stem.0.0.weight"], then["trunk.stem.0.0.weight"], atol=1e-3)
    assert load_recipe(str(folder / "recipe.toml")) == load_recipe(str(second))


def test_a_teacher_that_is_named_is_heard_in_the_place_of_what_runs_first(
    made_folders, tiny_recipe, tmp_path
):
    text = tiny_recipe.read_text().replace('"tiny"', '"second"')
    second = tmp_path / "second.toml"
    second.write_text(f"first = {str(tiny_recipe)!r}\nteachers = ['nobody']\nteacher_weight = 0.5\n{text}")
    with pytest.raises(ModelError, match="nobody"):
        train(read_dataset(made_folders), load_recipe(str(second)), tmp_path / "model")
