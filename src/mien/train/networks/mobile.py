"""Inverted residuals (Sandler et al. 2018, MobileNetV2) for small boards and small downloads."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.train.networks.parts import Trunk, conv_norm
from mien.train.recipe import Recipe

EXPANSION = 3
"""How much wider a block is inside than outside: the original's 6 costs twice the weights."""


class Mobile(Trunk):
    """A strided stem, then stages of inverted residual blocks; the first two keep the stem's 24×24 places."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        channels = recipe.stem[-1]
        self.stem = nn.Sequential(conv_norm(1, channels, stride=2), nn.ReLU())
        blocks: list[nn.Module] = []
        for stage, width in enumerate(recipe.stages):
            for block in range(recipe.blocks):
                blocks.append(_Block(channels, width, stride=2 if stage > 1 and block == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.features = channels

    def forward(self, faces: Tensor) -> Tensor:
        return F.relu(self.blocks(self.stem(faces))).mean(dim=(2, 3))


class _Block(nn.Module):
    """1×1 to many channels, 3×3 in each of them, 1×1 back to few, and a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        inner = inputs * EXPANSION
        self.widen = conv_norm(inputs, inner, 1)
        self.filter = conv_norm(inner, inner, stride=stride, groups=inner)
        self.narrow = conv_norm(inner, outputs, 1)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.widen(x))
        if out.device.type == "cpu":
            # The gradient of depthwise filters takes three times as long in bfloat16 as in float32 there.
            with torch.autocast("cpu", enabled=False):
                out = self.filter(out.float())
        else:
            out = self.filter(out)
        out = self.narrow(F.relu(out))
        return x + out if self.has_shortcut else out
