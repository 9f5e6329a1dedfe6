"""What the trunks have in common."""

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
