"""What the trunks have in common."""

import torch
from torch import Tensor, nn


class Trunk(nn.Module):
    """Turns faces into features.

    Attributes:
        features: how many numbers describe a face.
        side: in pixels of the faces it is made for.
    """

    features: int
    side: int = 48

    def forward(self, faces: Tensor) -> Tensor:
        """Describes faces.

        Args:
            faces: float (N, 1, S, S), from -1 black to 1 white.

        Returns:
            float (N, features).
        """
        raise NotImplementedError


class Mirrored(Trunk):
    """Another trunk that looks twice: the mean of its features of a face and of the face's mirror image.

    The heads are linear, so they say the mean of what they would say of both.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.features, self.side = trunk.features, trunk.side

    def forward(self, faces: Tensor) -> Tensor:
        both = self.trunk(torch.cat([faces, faces.flip(3)]))  # (2 N, features)
        return both.reshape(2, -1, self.features).mean(dim=0)


class Dropout(nn.Module):
    """Dropout that several processes draw as one does: each for the whole batch, of which it takes its own part.

    Attributes:
        processes: how many there are, each with as many faces.
        rank: which of them this is.
    """

    def __init__(self, p: float) -> None:
        """Drops values.

        Args:
            p: share of the values, in [0, 1).
        """
        super().__init__()
        self.p = p
        self.processes, self.rank = 1, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        drawn = torch.rand(self.processes * len(x), *x.shape[1:], device=x.device)
        kept = drawn[self.rank * len(x) : (self.rank + 1) * len(x)] >= self.p
        return x * kept / (1 - self.p)


def conv_norm(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution and its batch norm, which the export folds into one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def squeeze_excite(channels: int, reduction: int = 8) -> nn.Sequential:
    """The gate of squeeze-and-excitation (Hu et al. 2018): pooled features (N, C, 1, 1) to weights of channels."""
    hidden = max(4, channels // reduction)
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
    )
