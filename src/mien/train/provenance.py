"""Where a model comes from: versions, commit and machine, for its `metrics.json`."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mien
from mien.runtime import processor, version_of
from mien.train.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def versions(recipe: Recipe) -> dict[str, str]:
    """The versions of what a run's result depends on."""
    packages = ["torch", "lightning-fabric", "numpy", "onnx", "onnxruntime"]
    if recipe.model.startswith("timm/"):
        packages.append("timm")
    return {
        "mien": mien.__version__,
        "python": platform.python_version(),
        **{package: version_of(package) for package in packages},
    }


def commit(source: Path = Path(__file__)) -> str | None:
    """The commit of the source that ran, marked where it was changed since.

    Args:
        source: a file of it.

    Returns:
        None where the file is in no repository: an installed package may lie in a folder of somebody else's.
    """
    git = ["git", "-C", str(source.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", source.name], capture_output=True, check=True)
        described = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(fabric: "Fabric") -> str:
    """What a run was trained on."""
    import torch

    if fabric.device.type == "cuda":
        return f"{fabric.world_size} × {torch.cuda.get_device_name(fabric.device)}"
    shared = f"{torch.get_num_threads()} threads × {fabric.world_size} processes"
    return f"{processor()}, {shared}, {sys.platform}"
