"""Residual networks (He et al. 2016) for small faces, with or without squeeze-and-excitation (Hu et al. 2018)."""

import torch.nn.functional as F
from torch import Tensor, nn

from mien.datasets import SIDE
from mien.train.networks.parts import Trunk, conv_norm, squeeze_excite
from mien.train.recipe import Recipe


class ResNet(Trunk):
    """A stem of two convolutions that halves the picture, then stages of residual blocks.

    Faces of 48 pixels are enlarged first where it looks at them larger, so that the stages have more places.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        first, second = recipe.stem[0], recipe.stem[-1]
        self.stem = nn.Sequential(
            conv_norm(1, first), nn.ReLU(), conv_norm(first, second, stride=2), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        channels = second
        for stage, width in enumerate(recipe.stages):
            for block in range(recipe.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(_Block(channels, width, stride=stride, gated=recipe.model == "seresnet"))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.features = channels
        self.side = recipe.side or SIDE

    def forward(self, faces: Tensor) -> Tensor:
        if faces.shape[-1] == SIDE != self.side:
            faces = F.interpolate(faces, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.blocks(self.stem(faces)).mean(dim=(2, 3))


class _Block(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, gated: bool) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, outputs, stride=stride)
        self.conv2 = conv_norm(outputs, outputs)
        self.gate = squeeze_excite(outputs) if gated else None
        shortcut: list[nn.Module] = []
        if stride > 1:
            # Averaging before the 1×1 convolution loses no pixel (ResNet-D, He et al. 2019).
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if inputs != outputs:
            shortcut.append(conv_norm(inputs, outputs, 1))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        if self.gate is not None:
            out = out * self.gate(out.mean(dim=(2, 3), keepdim=True))
        return F.relu(out + self.shortcut(x))
