"""What every benchmark shares: where results go, what they were measured with, how sure a share is."""

import hashlib
import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from typing import Any

from mien.model_file import find_model
from mien.runtime import processor

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, result: dict[str, Any], *, script: str = "") -> None:
    """Writes a result with what is needed to repeat it, and prints it. The script is called `name` unless said."""
    record = {
        "command": shlex.join(["python", f"benchmarks/{script or name}.py", *_shown_arguments()]),
        **_machine(),
        **result,
    }
    text = json.dumps(record, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text)


def model_sha256(model: str) -> str:
    """What ties a result to the model that it was measured on."""
    return hashlib.sha256(find_model(model).read_bytes()).hexdigest()


def share(right: int, n: int) -> dict[str, float | int | list[float]]:
    """A share with its n and 95 % interval (Wilson 1927)."""
    z = 1.96
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"value": round(p, 4), "n": n, "interval_95": [round(middle - half, 4), round(middle + half, 4)]}


def _shown_arguments() -> list[str]:
    """The arguments without the folders of whoever ran it."""
    return [Path(argument).name if os.sep in argument else argument for argument in sys.argv[1:]]


def _machine() -> dict[str, Any]:
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores visible, {platform.system()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("mien", "numpy", "pillow", "onnxruntime")},
    }
