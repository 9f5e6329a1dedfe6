"""Runs the notebooks on the real data and saves them with what they printed, but without any face of FER-2013.

    python tools/run_notebooks.py fer2013-dev.parquet

``train.ipynb`` trains the recipe ``quick`` into ``model/quick``, which must not hold another run; ``test.ipynb``
reads it. The outputs of cells that are tagged ``faces`` are dropped, and names of this machine's folders are cut
out of the rest. Needs ``mien[dev]``.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ("train", "test")
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What colours and moves text in terminals."""

FACES = "faces"
"""The tag of cells whose outputs show faces of the data."""


def main(data: str) -> None:
    """Runs both in the order in which they belong, and overwrites them."""
    for name in NOTEBOOKS:
        path = ROOT / "notebooks" / f"{name}.ipynb"
        notebook = execute(path, Path(data).absolute(), path.parent)
        nbformat.write(cleaned(notebook, {str(Path(data).absolute()): Path(data).name}), path)
        print(path.relative_to(ROOT))


def execute(path: Path, data: Path, folder: Path) -> nbformat.NotebookNode:
    """Runs a notebook.

    Args:
        path: the notebook.
        data: FER-2013, in any shape that mien reads.
        folder: where it runs: ``../model`` and ``../examples`` are looked for from there.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"MIEN_FER2013": str(data)})
    return notebook


def cleaned(notebook: nbformat.NotebookNode, names: dict[str, str]) -> nbformat.NotebookNode:
    """A notebook without faces, without times, and without the folders of whoever ran it.

    Args:
        notebook: is changed.
        names: what stands in the place of which path.
    """
    # The longest first: a folder's name may begin another's.
    paths = {**names, str(ROOT): "mien", sys.prefix: "python", str(Path.home()): "~"}
    replacements = sorted(paths.items(), key=lambda item: -len(item[0]))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = [] if FACES in cell.metadata.get("tags", []) else _settled(cell.outputs)
        cell.outputs = [nbformat.from_dict(_without_paths(output, replacements)) for output in kept]
    notebook.metadata["language_info"] = {"name": "python"}  # without the version
    return notebook


def _settled(outputs: list[Any]) -> list[Any]:
    """Outputs whose texts are as a terminal shows them in the end: bars that have moved on are gone."""
    settled: list[Any] = []
    for output in outputs:
        if output["output_type"] != "stream":
            settled.append(output)
        elif settled and settled[-1].get("name") == output["name"]:
            settled[-1]["text"] += output["text"]
        else:
            settled.append(output)
    for output in settled:
        if output["output_type"] == "stream":
            lines = output["text"].split("\n")
            output["text"] = "\n".join(_CODES.sub("", line.rsplit("\r", 1)[-1]) for line in lines)
    return settled


def _without_paths(part: Any, replacements: list[tuple[str, str]]) -> Any:
    """An output, its texts changed wherever they stand in it."""
    if isinstance(part, dict):
        return {key: _without_paths(value, replacements) for key, value in part.items()}
    if isinstance(part, list):
        return [_without_paths(value, replacements) for value in part]
    if isinstance(part, str):
        for path, name in replacements:
            part = part.replace(path, name)
    return part


if __name__ == "__main__":
    main(*sys.argv[1:])
