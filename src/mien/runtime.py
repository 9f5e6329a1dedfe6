"""ONNX Runtime, told to keep to itself."""

import os
from importlib import import_module
from types import ModuleType


def onnx_runtime() -> ModuleType:
    """The module onnxruntime, imported when it is first needed: it takes most of a second.

    From 1.32 on it holds a client that reports its use to Microsoft, and that begins with a file in the folder for
    temporary ones. Nothing is to leave this computer, so it is switched off, unless whoever runs us has set
    ORT_DISABLE_TELEMETRY.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")
