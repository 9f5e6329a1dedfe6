"""What the tools that write pages read: results of benchmarks and evaluations, and how they are put in words."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from mien.model_file import find_model
from mien.train.recipe import load_recipe

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def evaluation(model: str) -> dict[str, Any]:
    """What `mien evaluate` found of a model that ships."""
    path = find_model(model).with_name("evaluation.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def looks(model: str) -> str:
    """What a model looks at, by the recipe that it was made with."""
    return load_recipe(str(find_model(model).with_name("recipe.toml"))).looks


def result(name: str) -> dict[str, Any]:
    """What a benchmark found."""
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def source(found: dict[str, Any]) -> str:
    """The command that found something; and that it ran with an earlier model, if it did."""
    now = hashlib.sha256(find_model("base").read_bytes()).hexdigest()
    return f"`{found['command']}`{'' if found['model_sha256'] == now else ', with an earlier `base`'}"


def claims() -> dict[str, Any]:
    """What others say."""
    return tomllib.loads((ROOT / "benchmarks" / "claims.toml").read_text(encoding="utf-8"))


def file_size(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB"
