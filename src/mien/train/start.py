"""Where a network's weights begin when they do not begin at random."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mien.classify import Classifier
from mien.datasets import Dataset
from mien.errors import ConfigError
from mien.model_file import find_model
from mien.train.checkpoint import write_tensors
from mien.train.networks import FaceNet
from mien.train.recipe import Recipe, load_recipe


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
    return going_on(recipe, load_recipe(str(path)))


def going_on(recipe: Recipe, start: Recipe) -> Recipe:
    """The recipe with the network of the one whose model it goes on with.

    Raises:
        ConfigError: that network cannot do what the recipe asks.
    """
    return replace(
        recipe,
        model=start.model,
        stem=start.stem,
        stages=start.stages,
        blocks=start.blocks,
        side=recipe.side or start.side,
    )


def load_start(network: FaceNet, recipe: Recipe, classes: tuple[str, ...]) -> list[str]:
    """Loads the weights of the model that the recipe starts from, if it names one.

    The trunk is taken whole; a head that reads other classes, or has another shape, stays new.

    Returns:
        Names of the tensors that stay new.

    Raises:
        ConfigError: that model has no weights to train on from, or another trunk.
    """
    own = network.state_dict()
    if not recipe.init:
        return list(own)
    # As many classes of other names would fit by their shape, and each would be read as another.
    other = Classifier(recipe.init).classes != classes
    path = find_model(recipe.init).with_name("model.safetensors")
    saved = load_weights(path)
    fitting = {
        key: value
        for key, value in saved.items()
        if key in own and own[key].shape == value.shape and not (other and key.startswith("labels."))
    }
    if missing := [key for key in own if key.startswith("trunk.") and key not in fitting]:
        raise ConfigError(
            f"init {recipe.init}: its trunk is another one ({len(missing)} tensors differ, as {missing[0]}); "
            f"its weights and {path.with_name('recipe.toml')} do not belong together"
        )
    network.load_state_dict(fitting, strict=False)
    return [key for key in own if key not in fitting]


def start_of(recipe: Recipe, classes: tuple[str, ...]) -> FaceNet | None:
    """The network as it is before the first step; None where it, or one of its heads, begins at random.

    Raises:
        ConfigError: see `load_start`.
    """
    network = FaceNet(replace(recipe, pretrained=False, weights=""), classes)
    new = load_start(network, recipe, classes)
    return None if new else network.eval()


def has_learnt(model: str, faces: Dataset) -> bool:
    """Whether a model learnt from faces that are held out now, as far as the file beside it says.

    Args:
        model: a name or a folder; empty: none, which has learnt nothing.
        faces: the validation part.
    """
    if not model:
        return False
    try:
        text = find_model(model).with_name("metrics.json").read_text(encoding="utf-8")
        said = json.loads(text)["validation"]
        if said["held_out"] is not False:
            return False
        # Of a version that did not say by what they are known, it may be these.
        return "known_by" not in said or not set(said["known_by"]).isdisjoint(_digests(faces))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def known_by(faces: Dataset) -> list[str]:
    """What a part of a data set is known by later on, though some faces may be gone and others have come.

    Returns:
        The least 64 of its faces' digests: a sample that is the same whoever draws it (Broder 1997, min-wise
        hashing), so that two parts which have one face in a few in common have digests in common.
    """
    return sorted(_digests(faces))[:64]


def _digests(faces: Dataset) -> set[str]:
    return {hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16] for image in faces.images}


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


def save_weights(network: FaceNet, path: Path) -> None:
    """Saves a network's weights in 16 bits; what was there stays until they are whole."""
    weights = {
        key: tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in network.state_dict().items()
    }
    write_tensors(path, weights)
