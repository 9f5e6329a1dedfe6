"""Checkpoints: the state of a run in one safetensors file, written atomically, holding no pickle.

All of it but the factor by which losses are scaled in float16, which finds itself again within some steps.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mien.datasets import Dataset
from mien.errors import ConfigError, MienError
from mien.files import replacing
from mien.model_file import find_model
from mien.train.recipe import EXPORT_FIELDS, Recipe


@dataclass(frozen=True, slots=True)
class State:
    """What a run changes as it goes on. Random numbers need no place here: they are drawn anew each epoch."""

    model: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer


def run_identity(recipe: Recipe, training: Dataset) -> str:
    """What must be alike for a run to go on: the faces and labels it learns from, and what of the recipe it heeds.

    Not what only the written file depends on; and models by what they hold, wherever they lie.
    """
    data = crc32(training.labels.tobytes(), crc32(training.images.tobytes()))
    if training.votes is not None:
        data = crc32(training.votes.tobytes(), data)
    unheeded = ("first", *EXPORT_FIELDS)  # what is first is in init by now
    settings = {name: value for name, value in asdict(recipe).items() if name not in unheeded}
    settings["teachers"] = [_digest(find_model(teacher)) for teacher in recipe.teachers]
    if recipe.init:
        settings["init"] = _digest(find_model(recipe.init).with_name("model.safetensors"))
    if recipe.weights:
        settings["weights"] = _digest(Path(recipe.weights))
    return json.dumps({"data": data, "classes": training.classes, **settings}, sort_keys=True)


def is_done(path: Path, identity: str, epochs: int) -> bool:
    """Whether a checkpoint is of this run, and of its last epoch."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    return metadata.get("run") == identity and metadata.get("epochs_done") == str(epochs)


def save_checkpoint(path: Path, state: State, identity: str, epochs_done: int) -> None:
    """Writes the state so that a crash at any moment leaves either the old file or the new one.

    Raises:
        MienError: the file cannot be written, as on a full disk; the old one is whole.
    """
    try:
        write_tensors(path, _flatten(state), {"run": identity, "epochs_done": str(epochs_done)})
    except OSError as error:
        raise MienError(
            f"{path}: cannot be written ({error.strerror or error}); "
            f"free space and start again: the run goes on after epoch {epochs_done - 1}"
        ) from error


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file beside the one that is there, and puts it in its place when it is whole.

    Raises:
        OSError: it cannot be written; the old one is whole.
    """
    with replacing(path) as part, part.open("wb") as file:
        file.write(save(tensors, metadata))
        file.flush()
        os.fsync(file.fileno())  # else a power cut could leave the new name with nothing behind it


def load_checkpoint(path: Path, state: State, identity: str) -> int:
    """Puts a saved state back in place, and says how many epochs it has behind it; 0 where there is none.

    Raises:
        ConfigError: the checkpoint is of another run (see `run_identity`), or damaged.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: not a whole checkpoint ({error}); delete it to start afresh") from error
    if metadata.get("run") != identity:
        raise ConfigError(
            f"{path}: of a run with another recipe, other data or another version of mien; delete it, or choose "
            "another folder"
        )
    _restore(state, saved)
    return int(metadata["epochs_done"])


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def _flatten(state: State) -> dict[str, Tensor]:
    tensors = {
        **{f"model.{name}": tensor for name, tensor in state.model.state_dict().items()},
        **{f"average.{name}": tensor for name, tensor in state.average.state_dict().items()},
        **{
            f"optimizer.{index}.{name}": tensor
            for index, slots in state.optimizer.state_dict()["state"].items()
            for name, tensor in slots.items()
        },
    }
    flat: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        # Some of timm's backbones have one tensor under several names, which safetensors refuses.
        flat[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return flat


def _restore(state: State, saved: dict[str, Tensor]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor for name, tensor in saved.items() if name.startswith(prefix)
        }

    state.model.load_state_dict(part("model."))
    state.average.load_state_dict(part("average."))
    optimizer: dict[str, Any] = state.optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in part("optimizer.").items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = tensor
    optimizer["state"] = slots
    state.optimizer.load_state_dict(optimizer)
