"""Where a network's weights begin when they do not begin at random."""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mien.errors import ConfigError
from mien.model_file import find_model
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
