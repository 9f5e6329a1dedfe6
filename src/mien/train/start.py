"""Where a network's weights begin when they do not begin at random."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mien.datasets import Dataset
from mien.errors import ConfigError
from mien.model_file import find_model
from mien.train.networks import FaceNet, normalise
from mien.train.recipe import Recipe, load_recipe

NORM_FACES = 4096
"""Faces on which the norms of mean weights measure their statistics."""


def with_network(recipe: Recipe) -> Recipe:
    """The recipe with the network of the model that it starts from, if it names one.

    Raises:
        ConfigError: that model has no recipe beside it.
        ModelError: there is no such model.
    """
    if not recipe.init:
        return recipe
    path = find_model(recipe.init).with_name("recipe.toml")
    if not path.is_file():
        raise ConfigError(
            f"init {recipe.init}: has no recipe.toml beside it; name a folder that mien train made"
        )
    start = load_recipe(str(path))
    return replace(recipe, model=start.model, stem=start.stem, stages=start.stages, blocks=start.blocks)


def load_start(network: FaceNet, recipe: Recipe) -> None:
    """Loads the weights of the model that the recipe starts from, if it names one.

    The trunk is taken whole; a head whose shape differs stays new.

    Raises:
        ConfigError: that model has no weights to train on from, or another trunk.
    """
    if not recipe.init:
        return
    path = find_model(recipe.init).with_name("model.safetensors")
    saved = load_weights(path)
    own = network.state_dict()
    fitting = {key: value for key, value in saved.items() if key in own and own[key].shape == value.shape}
    if missing := [key for key in own if key.startswith("trunk.") and key not in fitting]:
        raise ConfigError(
            f"init {recipe.init}: its trunk is another one ({len(missing)} tensors differ, as {missing[0]}); "
            f"its weights and {path.with_name('recipe.toml')} do not belong together"
        )
    network.load_state_dict(fitting, strict=False)


def blended(network: FaceNet, recipe: Recipe, training: Dataset) -> FaceNet:
    """The mean of a trained network's weights and of those it started from, by the recipe's `start_share`.

    Norms of mean weights see other values than either network's: their statistics are measured anew, on
    `NORM_FACES` faces of the training part.

    Args:
        network: on the CPU; it is changed.
        recipe: of the run.
        training: what was learnt from.
    """
    if not recipe.start_share:
        return network
    start = copy.deepcopy(network)
    load_start(start, recipe)
    with torch.no_grad():
        for own, other in zip(network.parameters(), start.parameters(), strict=True):
            own.lerp_(other, recipe.start_share)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    rows = np.random.default_rng(recipe.seed).permutation(len(training))[:NORM_FACES]
    network.train()
    with torch.no_grad():
        for batch in torch.from_numpy(training.images[rows]).split(256):
            network.trunk(normalise(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def load_weights(path: Path) -> dict[str, Tensor]:
    """The weights that `mien train` saved, as float32.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    try:
        saved = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"{path}: not a readable safetensors file ({' '.join(str(error).split())})"
        ) from error
    return {key: value.float() if value.is_floating_point() else value for key, value in saved.items()}
