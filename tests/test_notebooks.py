"""The notebooks run, and show nobody that they may not show."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.labels import EXPRESSIONS

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "tools" / "run_notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_face_of_the_data_is_in_a_notebook(path: Path):
    cells = code_cells(path)
    assert any("faces" in cell.metadata.get("tags", []) for cell in cells)
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if "faces" in tags:
            assert cell.outputs == [], cell.source
        pictures = [key for output in cell.outputs for key in output.get("data", {}) if "image" in key]
        # A picture may stand only where somebody has said that it shows no face of FER-2013.
        assert not pictures or "picture" in tags, cell.source
        # A cell that draws the data's images, and is not tagged, would slip through.
        assert "faces" in tags or not re.search(r"\.images|save_preview\(", cell.source), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_tells_nothing_of_the_machine_it_ran_on(path: Path):
    for cell in code_cells(path):
        told = json.dumps(list(cell.outputs))
        assert not re.search(r"/(home|root|tmp|Users|work|opt)/", told), told[:500]
        assert "execution" not in cell.metadata
        assert all(output.output_type != "error" for output in cell.outputs)


def test_cleaning_drops_faces_and_folders_and_keeps_the_rest(runner: ModuleType):
    picture = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    text = nbformat.v4.new_output("stream", text=f"read /data/fer.parquet in {ROOT}/src, {Path.home()}/x")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("a", outputs=[picture], metadata={"tags": ["faces"]}),
            nbformat.v4.new_code_cell("b", outputs=[picture, text], metadata={"execution": {"begun": "now"}}),
        ]
    )
    first, second = runner.cleaned(notebook, {"/data/fer.parquet": "fer.parquet"}).cells
    assert first.outputs == []
    assert second.outputs[0] == picture
    assert second.outputs[1].text == "read fer.parquet in mien/src, ~/x"
    assert second.metadata == {}
    nbformat.validate(notebook)


@pytest.mark.fer2013
def test_the_notebooks_run_on_a_small_part_of_the_data(
    fer2013: Path, examples: Path, runner: ModuleType, tmp_path: Path
):
    small = tmp_path / "small.parquet"
    write_part(fer2013, small, {"Training": 40, "PublicTest": 10})
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "examples").symlink_to(examples)
    printed = {}
    for name in runner.NOTEBOOKS:
        notebook = runner.execute(ROOT / "notebooks" / f"{name}.ipynb", small, folder)
        tagged = [cell for cell in notebook.cells if "faces" in cell.metadata.get("tags", [])]
        assert all(any("data" in output for output in cell.outputs) for cell in tagged)  # faces are drawn
        cells = runner.cleaned(notebook, {}).cells
        printed[name] = "".join(
            output.get("text", "") for cell in cells if cell.cell_type == "code" for output in cell.outputs
        )
    assert (tmp_path / "model" / "quick" / "model.onnx").is_file()
    assert re.search(r"probabilities +right in [\d.]+% of", printed["train"])
    assert re.search(r"original labels, 7 classes +[\d.]+% of 70; mean recall", printed["test"])
    assert re.search(r"astronaut\.jpg +\w+ +\d+%", printed["test"])


def write_part(data: Path, part: Path, faces: dict[str, int]) -> None:
    """Writes so many faces of each expression of some of the splits."""
    table = pq.read_table(data)
    usages, words = table["usage"].to_pylist(), table["emotion"].to_pylist()
    rows = [
        row
        for usage, count in faces.items()
        for word in EXPRESSIONS
        for row in [i for i, pair in enumerate(zip(usages, words, strict=True)) if pair == (usage, word)][
            :count
        ]
    ]
    pq.write_table(table.take(pa.array(rows)), part)
