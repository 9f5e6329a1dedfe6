"""Lets torchvision, which timm imports, be imported beside a PyTorch that it was not built for."""

import sys

import torch

try:
    import torchvision  # noqa: F401
except ImportError:
    pass
except (
    RuntimeError
):  # PyPI's wheels want CUDA's libraries; beside a PyTorch without them they lack these operators
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")  # timm's backbones call neither
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
