"""DenseNet-BC (Huang et al. 2017) for small faces."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.train.networks.parts import Trunk, conv_norm
from mien.train.recipe import Recipe


class DenseNet(Trunk):
    """A strided stem, then stages of layers that each see all before them; stages are halved in both senses."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        channels = recipe.stem[-1]
        self.stem = nn.Sequential(conv_norm(1, channels, stride=2), nn.ReLU())
        layers: list[nn.Module] = []
        for stage, growth in enumerate(recipe.stages):
            if stage > 0:
                layers.append(_Transition(channels, channels // 2))
                channels //= 2
            for _ in range(recipe.blocks):
                layers.append(_Layer(channels, growth))
                channels += growth
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.features = channels

    def forward(self, faces: Tensor) -> Tensor:
        return F.relu(self.norm(self.layers(self.stem(faces)))).mean(dim=(2, 3))


class _Layer(nn.Module):
    """Norm, ReLU, 1×1 convolution to four times the growth, norm, ReLU, 3×3 convolution (the BC layer)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.narrow = conv_norm(inputs, 4 * growth, 1)
        self.conv = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv(F.relu(self.narrow(F.relu(self.norm(x)))))
        return torch.cat([x, new], dim=1)


class _Transition(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)
