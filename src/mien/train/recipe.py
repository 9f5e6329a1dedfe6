"""A recipe: everything that decides what a training run makes."""

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from pathlib import Path

import tomli_w

from mien.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run makes, besides the data.

    Attributes:
        name: the recipe's name, and the name of the folder it is saved in.
        stem: channels of the two convolutions before the first stage.
        stages: channels of each residual stage; every stage but the first halves the picture.
        blocks: residual blocks in each stage.
        dropout: share of the pooled features dropped before the heads, in [0, 1).
        epochs: passes over the training part.
        sizes: sides in pixels at which the faces are shown, a multiple of 8 each, in equal shares of the epochs
            (progressive learning: Tan & Le 2021, EfficientNetV2). The last should be 48.
        batch_size: faces in a step.
        learning_rate: the highest rate of SGD with Nesterov momentum.
        momentum: of SGD.
        weight_decay: L2 penalty on the weights of convolutions and linear layers, none on biases and norms.
        warmup_steps: steps in which the rate rises from zero; then it falls to zero along a cosine.
        label_smoothing: of the original labels, in [0, 1). The votes are soft already.
        ema_decay: of the moving average of the weights that is kept as the model, a step, in [0, 1).
        flip: mirror half of the faces.
        scale: faces are enlarged by up to this factor or shrunk by as much, at least 1.
        rotate: degrees by which faces are turned at most, either way.
        shift: share of the side by which faces are moved at most, either way.
        brightness: grey levels added at most, as a share of the whole range, either way.
        contrast: contrast is changed by at most this share, either way.
        erase: chance that a rectangle of the face is filled with noise (Zhong et al. 2020).
        refine_epochs: the last epochs, in which nothing is erased and all else is changed half as much (He et al.
            2019, Data Augmentation Revisited: strong augmentation first, the true faces' look last).
        seed: of every random number.
    """

    name: str
    stem: tuple[int, int] = (24, 48)
    stages: tuple[int, ...] = (48, 96, 192, 320)
    blocks: int = 2
    dropout: float = 0.3
    epochs: int = 60
    sizes: tuple[int, ...] = (32, 40, 48)
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 500
    label_smoothing: float = 0.1
    ema_decay: float = 0.999
    flip: bool = True
    scale: float = 1.25
    rotate: float = 20.0
    shift: float = 0.1
    brightness: float = 0.2
    contrast: float = 0.3
    erase: float = 0.5
    refine_epochs: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for field, condition, need in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("blocks", self.blocks >= 1, "at least 1"),
            ("stages", len(self.stages) >= 1, "at least one number of channels"),
            ("sizes", self.sizes and all(s >= 8 and s % 8 == 0 for s in self.sizes), "multiples of 8"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("scale", self.scale >= 1, "at least 1"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)"),
            ("refine_epochs", 0 <= self.refine_epochs <= self.epochs, "between 0 and epochs"),
            ("erase", 0 <= self.erase <= 1, "in [0, 1]"),
        ):
            if not condition:
                raise ConfigError(f"recipe {self.name}: {field} is {getattr(self, field)}, must be {need}")

    def refined(self) -> "Recipe":
        """The recipe as it is in its last epochs."""
        return replace(
            self,
            erase=0.0,
            scale=self.scale**0.5,
            rotate=self.rotate / 2,
            shift=self.shift / 2,
            brightness=self.brightness / 2,
            contrast=self.contrast / 2,
        )

    def save(self, path: Path) -> None:
        """Writes the recipe as TOML."""
        path.write_text(tomli_w.dumps(asdict(self)), encoding="utf-8")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with mien."""
    folder = files("mien") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe that comes with mien, by its name, or one of your own, by the path of its TOML file.

    Raises:
        ConfigError: there is no such recipe, or a field in it is unknown or impossible.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" and path.is_file():
        text = path.read_text(encoding="utf-8")
    elif name_or_path in shipped_recipes():
        text = (files("mien") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"no recipe {name_or_path!r}: name one of {', '.join(shipped_recipes())}, or the path of a .toml file"
        )
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name_or_path}: not valid TOML ({error})") from error
    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(
            f"{name_or_path}: unknown field {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return Recipe(**{"name": path.stem, **values})
    except TypeError as error:
        raise ConfigError(f"{name_or_path}: a field has the wrong type ({error})") from error
