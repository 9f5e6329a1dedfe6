"""Any backbone of timm (Wightman 2019): transfer learning as people do it."""

import logging
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.errors import ConfigError
from mien.train.networks.parts import Trunk
from mien.train.recipe import Recipe


class TimmTrunk(Trunk):
    """A backbone of timm, its faces scaled and normalised as its own configuration says."""

    mean: Tensor
    std: Tensor
    backbone: Any  # what it has besides a Module, timm leaves untyped

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # a torchvision of another PyTorch raises the latter
            raise ConfigError(f'{recipe.model} needs timm: pip install "mien[timm]" ({error})') from error
        name = recipe.model.removeprefix("timm/")
        if not timm.is_model(name):
            similar = get_close_matches(name, timm.list_models(), n=5)
            raise ConfigError(f"timm knows no {name!r}; similar: {', '.join(similar) or 'none'}")
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what is wrong is said below, once
        try:
            self.backbone = timm.create_model(name, pretrained=recipe.pretrained, num_classes=0)
        except Exception as error:  # offline, moved, refused: the hub's errors share no base class
            raise ConfigError(
                f"{recipe.model}: cannot get its pretrained weights ({' '.join(str(error).split())}); "
                "download them elsewhere and name the safetensors file as weights"
            ) from error
        if recipe.weights:
            self._load(Path(recipe.weights))
        config = self.backbone.pretrained_cfg
        _, self.side, _ = config["input_size"]
        # Some backbones, as MobileNetV3, widen their pooled features once more before the classifier.
        self.features = self.backbone.head_hidden_size
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, -1, 1, 1), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        if faces.shape[-1] != self.side:
            faces = F.interpolate(faces, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.backbone(((faces + 1) / 2 - self.mean) / self.std)  # grey becomes three channels

    def _load(self, path: Path) -> None:
        """Weights of the same backbone from a safetensors file; its classifier, if it has one, is left out."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            weights = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"{path}: not a readable safetensors file ({error})") from error
        own = self.backbone.state_dict()
        fitting = {
            key: value for key, value in weights.items() if key in own and value.shape == own[key].shape
        }
        # Files that are older than norms' counts of batches lack them; PyTorch then counts anew.
        needed = {key for key in own if not key.endswith(".num_batches_tracked")}
        if missing := sorted(needed - fitting.keys()):
            raise ConfigError(
                f"{path}: is no {self.backbone.pretrained_cfg['architecture']}: "
                f"{len(missing)} of {len(needed)} tensors are missing or of another shape, as {missing[0]}"
            )
        self.backbone.load_state_dict(fitting)
