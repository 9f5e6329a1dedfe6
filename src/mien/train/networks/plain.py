"""The original author's network, as it was: four convolutions, no norm, a wide linear layer."""

from torch import Tensor, nn

from mien.train.networks.parts import Dropout, Trunk
from mien.train.recipe import Recipe


class Plain(Trunk):
    """Conv 32, conv 64, pool, dropout, conv 128, pool, conv 128, pool, dropout, dense 1024; valid padding, ReLU.

    The last dropout and the dense layer of seven are the recipe's dropout and the head on the labels. Weights
    begin as Keras begins them (Glorot & Bengio 2010, uniform; biases zero).
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), Dropout(0.25)),
            *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 128, 3), nn.ReLU(), nn.MaxPool2d(2), Dropout(0.25)),
            *(nn.Flatten(), nn.Linear(128 * 4 * 4, 1024), nn.ReLU()),
        )
        self.features = 1024
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, faces: Tensor) -> Tensor:
        return self.layers((faces + 1) / 2)  # the author's pixels are between 0 and 1
