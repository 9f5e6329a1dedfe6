"""What everything runs on: ONNX Runtime, told to keep to itself; versions; the processor."""

import os
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType


def onnx_runtime() -> ModuleType:
    """The module onnxruntime, imported when it is first needed: it takes most of a second.

    From 1.32 on it holds a client that reports its use to Microsoft, and that begins with a file in the folder for
    temporary ones. Nothing is to leave this computer, so it is switched off, unless whoever runs us has set
    ORT_DISABLE_TELEMETRY.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")


def version_of(package: str) -> str:
    """The version of an installed package, or what its module says if another brings it (onnxruntime-gpu)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return str(import_module(package.replace("-", "_")).__version__)


def processor() -> str:
    """What its maker calls the processor, where the system tells, as Linux does; else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
