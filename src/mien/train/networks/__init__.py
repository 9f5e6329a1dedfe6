"""The networks: one trunk of several kinds, and linear heads on it."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.train.networks.densenet import DenseNet
from mien.train.networks.mobile import Mobile
from mien.train.networks.parts import Dropout, Mirrored, Trunk
from mien.train.networks.plain import Plain
from mien.train.networks.residual import ResNet
from mien.train.networks.vgg import VGG
from mien.train.recipe import NETWORKS, Recipe

__all__ = ["FaceNet", "Logits", "as_exported", "create_trunk", "normalise"]


class Logits(NamedTuple):
    """What the two heads say of a batch of N faces, before any softmax."""

    crowd: Tensor  # (N, 10), in the order of mien.labels.CROWD; (N, 0) of a network that learns no votes
    labels: Tensor  # (N, K), in the order of the data's classes


class FaceNet(nn.Module):
    """A trunk that turns faces into features, and two heads that read them.

    One head imitates FER+'s ten annotators, the other the data's labels.
    """

    def __init__(self, recipe: Recipe, classes: tuple[str, ...] = EXPRESSIONS) -> None:
        """Builds the network with random weights, or those of timm where the recipe says so.

        Args:
            recipe: says which trunk.
            classes: what the labels stand for. Only of the seven expressions are there votes.
        """
        super().__init__()
        self.trunk = create_trunk(recipe)
        self.dropout = Dropout(recipe.dropout)
        features = self.trunk.features
        votes = recipe.votes > 0 and classes == EXPRESSIONS
        self.crowd = nn.Linear(features, len(CROWD)) if votes else None
        self.labels = nn.Linear(features, len(classes))

    def forward(self, faces: Tensor) -> Logits:
        """Reads faces.

        Args:
            faces: float (N, 1, S, S), grey, from -1 black to 1 white, S a multiple of 8 (48 as shipped).
        """
        features = self.dropout(self.trunk(faces))  # (N, C)
        labels = self.labels(features)
        crowd = labels.new_empty(len(labels), 0) if self.crowd is None else self.crowd(features)
        return Logits(crowd, labels)


def as_exported(network: FaceNet, recipe: Recipe) -> FaceNet:
    """The network as the ONNX file has it: where the recipe says so, it looks at each face's mirror image too."""
    if not recipe.mirror:
        return network
    twice = copy.deepcopy(network)
    twice.trunk = Mirrored(twice.trunk)
    return twice


def create_trunk(recipe: Recipe) -> Trunk:
    """The trunk that a recipe names, with fresh weights.

    Raises:
        ConfigError: timm is not installed, knows no such backbone, or its weights cannot be had.
    """
    if recipe.model.startswith("timm/"):
        from mien.train.networks.timm import TimmTrunk

        return TimmTrunk(recipe)
    match recipe.model:
        case "seresnet" | "resnet":
            return ResNet(recipe)
        case "vgg":
            return VGG(recipe)
        case "densenet":
            return DenseNet(recipe)
        case "mobile":
            return Mobile(recipe)
        case "plain":
            return Plain(recipe)
    raise ConfigError(f"no network {recipe.model!r}: one of {', '.join(NETWORKS)}, or timm/NAME")


def normalise(images: Tensor) -> Tensor:
    """Turns grey levels of 0 to 255, (N, H, W), into what the networks read, float (N, 1, H, W) in [-1, 1]."""
    return images[:, None].to(torch.float32) / 127.5 - 1.0
