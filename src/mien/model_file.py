"""Model files: an ONNX network sealed by a hash of itself, found by name or by path.

A sealed file is an ONNX file with one more entry at the end of its metadata: the SHA-256 of all bytes before.
Protocol buffers that are joined end to end read as one message, so any ONNX runtime loads it as it is.
"""

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Final

from mien.errors import ModelError

_KEY: Final = b"mien.sha256"
# ModelProto.metadata_props is field 14, of StringStringEntryProto{key: 1, value: 2}, all length-delimited.
_ENTRY: Final = b"\x0a" + bytes([len(_KEY)]) + _KEY + b"\x12\x40"
_SEAL: Final = b"\x72" + bytes([len(_ENTRY) + 64]) + _ENTRY


def seal(network: bytes) -> bytes:
    """Appends the network's SHA-256 to its metadata."""
    return network + _SEAL + hashlib.sha256(network).hexdigest().encode()


def read_sealed(path: str | os.PathLike[str]) -> bytes:
    """Reads a sealed ONNX file.

    Raises:
        ModelError: the file cannot be read, has no seal, or was changed after it was sealed.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error.strerror})") from error
    network, mark, digest = content[: -len(_SEAL) - 64], content[-len(_SEAL) - 64 : -64], content[-64:]
    if mark != _SEAL:
        raise ModelError(
            f"{path}: not a whole model file of mien; make one with mien train, or copy it again"
        )
    if hashlib.sha256(network).hexdigest().encode() != digest:
        raise ModelError(f"{path}: damaged, its SHA-256 is not the one it states; copy it again")
    return content


def shipped_models() -> list[str]:
    """Names of the expression models that come with mien."""
    folder = files("mien") / "model"
    return sorted(entry.name for entry in folder.iterdir() if (entry / "model.onnx").is_file())


def find_model(model: str | os.PathLike[str]) -> Path:
    """The ONNX file of a model that comes with mien, of a folder that `mien train` made, or of a path.

    Raises:
        ModelError: there is none.
    """
    if model in shipped_models():  # a name; a Path is one even if it is called so
        return Path(str(files("mien") / "model" / str(model) / "model.onnx"))
    # os.path, not Path, asks what lies there: Path raises where a folder may not be entered or a name is too long.
    path = Path(model, "model.onnx") if os.path.isdir(model) else Path(model)  # noqa: PTH112
    if not os.path.isfile(path):  # noqa: PTH113
        raise ModelError(
            f"no model {str(model)!r}: name one of {', '.join(shipped_models()) or 'none shipped'}, "
            "a folder that holds model.onnx, or an .onnx file"
        )
    return path
