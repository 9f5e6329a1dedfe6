"""The network: a residual trunk with squeeze-and-excitation, and two linear heads."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from mien.labels import CROWD, EXPRESSIONS
from mien.train.recipe import Recipe


class Logits(NamedTuple):
    """What the two heads say of a batch of N faces, before any softmax."""

    crowd: Tensor  # (N, 10), in the order of mien.labels.CROWD
    fer2013: Tensor  # (N, 7), in the order of mien.labels.EXPRESSIONS


class FaceNet(nn.Module):
    """Residual network (He et al. 2016) with squeeze-and-excitation (Hu et al. 2018) for small grey faces.

    The trunk is shared; one head imitates FER+'s ten annotators, the other FER-2013's original labels.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        first, second = recipe.stem
        self.stem = nn.Sequential(_conv(1, first, 3), nn.ReLU(), _conv(first, second, 3, stride=2), nn.ReLU())
        blocks: list[nn.Module] = []
        channels = second
        for stage, width in enumerate(recipe.stages):
            for block in range(recipe.blocks):
                blocks.append(_Block(channels, width, stride=2 if stage > 0 and block == 0 else 1))
                channels = width
        self.trunk = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(recipe.dropout)
        self.crowd = nn.Linear(channels, len(CROWD))
        self.fer2013 = nn.Linear(channels, len(EXPRESSIONS))

    def forward(self, faces: Tensor) -> Logits:
        """Reads faces.

        Args:
            faces: float (N, 1, S, S), grey, from -1 black to 1 white, S a multiple of 8 (48 as shipped).
        """
        features = self.trunk(self.stem(faces)).mean(dim=(2, 3))  # (N, C)
        features = self.dropout(features)
        return Logits(self.crowd(features), self.fer2013(features))


class _Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, gated by squeeze-and-excitation."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride=stride)
        self.conv2 = _conv(outputs, outputs, 3)
        self.gate = nn.Sequential(
            nn.Conv2d(outputs, outputs // 8, 1), nn.ReLU(), nn.Conv2d(outputs // 8, outputs, 1), nn.Sigmoid()
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            # Averaging before the 1×1 convolution loses no pixel (ResNet-D, He et al. 2019).
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if inputs != outputs:
            shortcut.append(_conv(inputs, outputs, 1))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        out = out * self.gate(out.mean(dim=(2, 3), keepdim=True))
        return F.relu(out + self.shortcut(x))


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def normalise(images: Tensor) -> Tensor:
    """Turns grey levels of 0 to 255, (N, H, W), into what the network reads, float (N, 1, H, W) in [-1, 1]."""
    return images[:, None].float() / 127.5 - 1.0
