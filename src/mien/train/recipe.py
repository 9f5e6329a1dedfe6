"""A recipe: everything that decides what a training run makes. Needs no PyTorch, so that the CLI can show it."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mien.errors import ConfigError

Optimizer = Literal["sgd", "adam"]
Schedule = Literal["cosine", "exponential"]
NETWORKS = ("seresnet", "resnet", "vgg", "densenet", "mobile", "plain")
"""The networks of `mien.train.networks`; besides them any backbone of timm, as ``timm/NAME``."""

EXPORT_FIELDS = ("weight_bits", "integers", "mirror")
"""Fields that change the written file and nothing of the weights."""

OWN_FIELDS = ("name", "first", "init", "teachers", "teacher_weight", "hold_out", *EXPORT_FIELDS)
"""Fields that a recipe does not share with those that it runs first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run makes, besides the data.

    Attributes:
        name: the recipe's name, and the name of the folder it is saved in.
        model: the network: seresnet, resnet, vgg, densenet, mobile, plain; or timm/NAME for a backbone of timm.
        stem: channels of the convolutions before the first stage.
        stages: channels of each stage (densenet: its growth rate); every stage but the first halves the picture
            (mobile: but the first two).
        blocks: blocks in each stage (vgg: convolutions).
        side: in pixels at which the network looks at the faces, a multiple of 8 (seresnet and resnet only): those
            of 48 are enlarged in it; it looks at faces of other `sizes` as they are. 0: that of the model which
            the run starts from, or else 48.
        dropout: share of the pooled features dropped before the heads, in [0, 1).
        pretrained: start a timm backbone from the weights that timm downloads.
        weights: start a timm backbone from this safetensors file instead.
        first: name of a recipe that is run first; this run starts from its model, and learns from it where
            teacher_weight is above 0 and no other teachers are named.
        init: start from this model: a name, or a folder mien train made. The network is that model's, whatever
            model, stem, stages and blocks say; a head whose classes differ is new.
        trunk_rate: learning rate of the trunk as a share of that of the heads; 0 freezes the trunk.
        votes: weight of the votes' loss beside that of the labels; 0: no votes are learnt, and the crowd's reading
            repeats the labels'.
        teachers: models whose readings are learnt beside the data's (Hinton et al. 2015): names or folders, or
            recipes that are run before this one.
        teacher_weight: weight of the teachers' mean in the targets, in [0, 1]; the rest are votes and labels.
        hold_out: keep the validation tenth out of training; without, results on it mean nothing, and what is
            fitted on it (temperatures, the answer's weights, trust in small faces) is fitted with the readings of
            the model that the run starts from, or of the last before it that had not learnt them either, if that
            has both heads already, whatever its own `side` and `shrink` were; else with those of the model itself,
            which are too sure of these faces.
        epochs: passes over the training part.
        sizes: sides in pixels at which the faces are shown, a multiple of 8 each, in equal shares of the epochs
            (progressive learning: Tan & Le 2021, EfficientNetV2); none: the network's own, `side` or timm's.
        batch_size: faces in a step, over all processes together.
        optimizer: sgd (with Nesterov momentum) or adam.
        learning_rate: the highest rate.
        momentum: of SGD.
        weight_decay: L2 penalty on the weights of convolutions and linear layers, none on biases and norms.
        schedule: cosine, to zero (Loshchilov & Hutter 2017); or exponential, 0.96 times every 10,000 steps.
        warmup_steps: steps in which the rate rises from zero, at most a tenth of all; cosine only.
        label_smoothing: of the original labels, in [0, 1). The votes are soft already.
        vote_smoothing: share of each label's target that is what the face's votes make likely, by the labels that
            other faces with such votes have, in [0, 1]: labels that people would not have given count less.
            Without effect where nobody voted.
        ema_decay: of the moving average of the weights that is kept as the model, a step, in [0, 1); less in the
            beginning, so that the average never reaches back over more than about a fifth of the steps so far.
        flip: mirror half of the faces.
        scale: faces are enlarged by up to this factor or shrunk by as much, at least 1.
        rotate: degrees by which faces are turned at most, either way.
        shift: share of the side by which faces are moved at most, either way.
        brightness: grey levels added at most, as a share of the whole range, either way.
        contrast: contrast is changed by at most this share, either way.
        shrink: chance that a face is shown as if photographed with 20 to 44 pixels and enlarged again.
        erase: chance that a rectangle of the face is filled with noise (Zhong et al. 2020).
        mixup: chance that a face is mixed with another, of which it keeps a share drawn evenly from 0.5 to 1, and
            is called what both are called in that proportion (Zhang et al. 2018, with alpha 1).
        refine_epochs: the last epochs, in which nothing is erased or mixed and all else is changed half as much
            (He et al. 2019, Data Augmentation Revisited: strong augmentation first, the true faces' look last).
        sharpness: radius within which the loss is to be low in the last, refined epochs: how far the weights go up
            the gradient before the gradient is taken (Foret et al. 2021, SAM; late epochs suffice: Zhou et al.
            2025). Hinders learning labels by heart; doubles the time of these epochs. 0, or where no epochs are
            refined: not at all.
        weight_bits: bits of a weight in the ONNX file: 16 (float) or 8 (integers with a scale a channel).
        integers: the ONNX file computes in 8-bit integers, with ranges measured on faces of the training part: a
            third of the time, half of the file; `weight_bits` is for what stays in floats.
        mirror: the ONNX file reads each face and its mirror image, and means what the network says of both: twice
            the time. What `history.csv` has is of one view.
        seed: of every random number. Given on the command line it is that of the first run, where the recipe runs
            others first, and each later one has one more.
    """

    name: str
    model: str = "seresnet"
    stem: tuple[int, ...] = (24, 48)
    stages: tuple[int, ...] = (48, 96, 192, 320)
    blocks: int = 2
    side: int = 0
    dropout: float = 0.3
    pretrained: bool = False
    weights: str = ""
    first: str = ""
    init: str = ""
    trunk_rate: float = 1.0
    votes: float = 1.0
    teachers: tuple[str, ...] = ()
    teacher_weight: float = 0.0
    hold_out: bool = True
    epochs: int = 60
    sizes: tuple[int, ...] = ()
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = "cosine"
    warmup_steps: int = 500
    label_smoothing: float = 0.1
    vote_smoothing: float = 0.0
    ema_decay: float = 0.999
    flip: bool = True
    scale: float = 1.25
    rotate: float = 20.0
    shift: float = 0.1
    brightness: float = 0.2
    contrast: float = 0.3
    shrink: float = 0.0
    erase: float = 0.5
    mixup: float = 0.0
    refine_epochs: int = 0
    sharpness: float = 0.0
    weight_bits: int = 16
    integers: bool = False
    mirror: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(Recipe).items():
            value = getattr(self, field)
            if not _is_a(value, kind):
                raise ConfigError(f"recipe {self.name}: {field} is {value!r}, must be {_in_words(kind)}")
            if kind is float:  # 15 and 15.0 are one recipe
                object.__setattr__(self, field, float(value))
        for field, condition, need in (
            ("name", Path(self.name).name == self.name not in ("", ".."), "a file's name, without folders"),
            (
                "model",
                self.model in NETWORKS or self.model.removeprefix("timm/") not in ("", self.model),
                f"one of {', '.join(NETWORKS)}, or timm/NAME",
            ),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("blocks", self.blocks >= 1, "at least 1"),
            ("side", self.side == 0 or (self.side >= 8 and self.side % 8 == 0), "0, or a multiple of 8"),
            (
                "side",
                self.side == 0 or self.model in ("seresnet", "resnet"),
                f"0 for {self.model}: only seresnet and resnet enlarge faces",
            ),
            ("stem", len(self.stem) >= 1 and min(self.stem) >= 1, "at least one number of channels"),
            ("stages", len(self.stages) >= 1 and min(self.stages) >= 1, "at least one number of channels"),
            ("sizes", all(s >= 8 and s % 8 == 0 for s in self.sizes), "multiples of 8"),
            ("sizes", self.model != "plain" or not self.sizes, "none for plain, which knows 48 pixels alone"),
            (
                "stages",
                min(self.sizes, default=48) >> self._halvings() >= 1,
                f"fewer: {self.model} halves faces of {min(self.sizes, default=48)} pixels to nothing",
            ),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("warmup_steps", self.warmup_steps >= 0, "at least 0"),
            ("rotate", self.rotate >= 0, "at least 0"),
            ("shift", self.shift >= 0, "at least 0"),
            ("brightness", self.brightness >= 0, "at least 0"),
            ("contrast", 0 <= self.contrast <= 1, "in [0, 1]"),
            ("seed", 0 <= self.seed < 2**32, "0 to 4294967295"),
            ("trunk_rate", self.trunk_rate >= 0, "at least 0"),
            ("votes", self.votes >= 0, "at least 0"),
            ("teacher_weight", 0 <= self.teacher_weight <= 1, "in [0, 1]"),
            (
                "teacher_weight",
                self.teacher_weight == 0 or bool(self.teachers or self.first),
                "0, or teachers named",
            ),
            ("teachers", self.teacher_weight > 0 or not self.teachers, "none, or teacher_weight above 0"),
            ("init", not (self.init and self.first), "empty where first is not"),
            ("scale", self.scale >= 1, "at least 1"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("vote_smoothing", 0 <= self.vote_smoothing <= 1, "in [0, 1]"),
            ("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)"),
            ("refine_epochs", 0 <= self.refine_epochs <= self.epochs, "between 0 and epochs"),
            ("sharpness", self.sharpness >= 0, "at least 0"),
            ("shrink", 0 <= self.shrink <= 1, "in [0, 1]"),
            ("erase", 0 <= self.erase <= 1, "in [0, 1]"),
            ("mixup", 0 <= self.mixup <= 1, "in [0, 1]"),
            ("weight_bits", self.weight_bits in (8, 16), "8 or 16"),
            (
                "weights",
                not self.weights or (self.model.startswith("timm/") and not self.pretrained),
                "given for a timm backbone only, and not beside pretrained; see init",
            ),
            ("pretrained", not self.pretrained or self.model.startswith("timm/"), "for timm backbones only"),
            *(
                (field, _is_utf_8(getattr(self, field)), "UTF-8")
                for field in ("name", "weights", "first", "init", "teachers")
            ),
        ):
            if not condition:
                raise ConfigError(f"recipe {self.name}: {field} is {getattr(self, field)}, must be {need}")

    def _halvings(self) -> int:
        """How often the network halves a face and drops what is over, so that too small a face is gone."""
        return {"vgg": len(self.stages) - 1, "densenet": len(self.stages)}.get(self.model, 0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The recipe of fields as TOML and JSON have them, with lists for tuples.

        Raises:
            ConfigError: a value is impossible.
        """
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**given)

    @property
    def looks(self) -> str:
        """What the ONNX file looks at, in words."""
        return f"one network, {'each face and its mirror image' if self.mirror else 'one view of each face'}"

    def refined(self) -> "Recipe":
        """The recipe as it is in its last epochs."""
        return replace(
            self,
            erase=0.0,
            mixup=0.0,
            scale=self.scale**0.5,
            rotate=self.rotate / 2,
            shift=self.shift / 2,
            brightness=self.brightness / 2,
            contrast=self.contrast / 2,
            shrink=self.shrink / 2,
        )

    def changed(self, **changes: Any) -> "Recipe":
        """The recipe with other values of some fields; those that are None stay.

        Of other `epochs` the same share is refined, unless `refine_epochs` is given too.

        Raises:
            ConfigError: a value is impossible.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        if given.get("epochs", 0) > 0:
            share = self.refine_epochs / self.epochs
            given.setdefault("refine_epochs", round(share * given["epochs"]))
        return replace(self, **given)

    def save(self, path: Path) -> None:
        """Writes the recipe as TOML."""
        import tomli_w

        path.write_text(tomli_w.dumps(asdict(self)), encoding="utf-8")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with mien."""
    folder = files("mien") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def stretches(recipe: Recipe, **changes: Any) -> list[Recipe]:
    """The recipes that one stands for: those that it wants first, then itself; all with the same changes.

    Changes of `OWN_FIELDS` are its own. A changed seed is that of the first run, and each later one's is one more:
    with one seed for all they would draw the same numbers, epoch by epoch.

    Raises:
        ConfigError: a value is impossible, a recipe wants itself first, or two of them have one name.
    """
    chain = [recipe.changed(**changes)]
    shared = {key: value for key, value in changes.items() if key not in OWN_FIELDS}
    while first := chain[0].first:
        if first in [later.first for later in chain[1:]]:
            raise ConfigError(f"recipe {recipe.name}: {first} wants itself first")
        chain.insert(0, load_recipe(first).changed(**shared))
    if changes.get("seed") is not None:
        chain = [replace(run, seed=changes["seed"] + place) for place, run in enumerate(chain)]
    names = [run.name for run in chain]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(
            f"recipe {recipe.name}: two of its runs are called {twice[0]}; give it another name"
        )
    return chain


def unheeded(model: str) -> tuple[str, ...]:
    """Fields that say nothing to a network, which has its own layers: of those that describe networks."""
    if model.startswith("timm/") or model == "plain":
        return ("stem", "stages", "blocks")
    return ("stem",) if model == "vgg" else ()


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe that comes with mien, by its name, or one of your own, by the path of its TOML file.

    Raises:
        ConfigError: there is no such recipe, or a field in it is unknown or impossible.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" and path.is_file():
        text = _read(path)
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
    return Recipe.from_dict({"name": path.stem, **values})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8, as TOML is (byte {error.start}); save it again as UTF-8"
        ) from error


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a field's type; whole numbers are numbers too, and truth values are not."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_a(entry, get_args(kind)[0]) for entry in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is kind


def _is_utf_8(value: str | tuple[str, ...]) -> bool:
    """Whether a recipe's file can hold it; names of files may hold bytes that are no text."""
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list, each of it {_in_words(get_args(kind)[0])}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
