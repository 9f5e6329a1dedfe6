"""Where a network's weights begin when they do not begin at random."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mien.errors import ConfigError
from mien.model_file import find_model
from mien.train.networks import FaceNet
from mien.train.recipe import Recipe


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
            f"model, stem, stages and blocks must be those of {path.with_name('recipe.toml')}"
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
