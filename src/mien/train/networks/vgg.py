"""VGG with batch norm (Simonyan & Zisserman 2015) for small faces."""

from torch import Tensor, nn

from mien.train.networks.parts import Trunk, conv_norm
from mien.train.recipe import Recipe


class VGG(Trunk):
    """Stages of 3×3 convolutions with max-pooling between them.

    Mean pooling stands in the place of the original's two wide linear layers, as in every later network: they
    would hold nine tenths of the weights.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for stage, width in enumerate(recipe.stages):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(recipe.blocks):
                layers += [conv_norm(channels, width), nn.ReLU()]
                channels = width
        self.layers = nn.Sequential(*layers)
        self.features = channels

    def forward(self, faces: Tensor) -> Tensor:
        return self.layers(faces).mean(dim=(2, 3))
