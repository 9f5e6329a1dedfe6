import json
import shutil
from pathlib import Path

import pytest

from mien.commands.compare import compare
from mien.datasets import read_dataset
from mien.errors import ConfigError
from mien.evaluate.answers import answers_of_model, write_predictions
from mien.labels import EXPRESSIONS
from mien.model_file import find_model


@pytest.fixture
def peers(tmp_path: Path) -> list[str]:
    for name, word in (("glad", "happy"), ("even", "neutral")):
        rows = "".join(f"{row},{word}\n" for row in range(42))
        (tmp_path / f"{name}.csv").write_text("row,answer\n" + rows)
    return [str(tmp_path / "glad.csv"), str(tmp_path / "even.csv")]


def test_photographs_are_compared_by_their_faces(examples: Path, tmp_path: Path):
    for word in EXPRESSIONS:
        (tmp_path / "data" / "test" / word).mkdir(parents=True)
        shutil.copy(examples / "grace_hopper.jpg", tmp_path / "data" / "test" / word)
    compared = []
    for find_faces in (True, False):
        out = tmp_path / f"{find_faces}.json"
        compare("base", "nano", data=tmp_path / "data", find_faces=find_faces, out=out, threads=1)
        first = next(iter(json.loads(out.read_text())["truths"].values()))["models"][0]
        compared.append(first["calibration"])
    assert compared[0] != compared[1]


@pytest.mark.parametrize("ending", ["json", "html", "JSON", "Html"])
def test_side_by_side(
    peers: list[str],
    ending: str,
    voted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "new" / f"side.{ending}"
    compare(*peers, data=voted, split="PublicTest", out=out)
    said = capsys.readouterr().out
    assert "original labels, 7 classes (n = 42)" in said
    assert "against glad" in said
    assert "+0.0 (" in said
    assert "one person" in said
    if ending.lower() == "json":
        record = json.loads(out.read_text())
        assert record["truths"]["original_labels"]["against_first"][0]["only_other_right"] == 6
    else:
        assert "glad and even, side by side" in out.read_text()


def test_files_alone_are_held_against_the_votes_of_whichever_has_them(
    voted: Path, peers: list[str], tmp_path: Path
):
    data = read_dataset(voted, "PublicTest")
    answers, _ = answers_of_model("nano", data.images, threads=1)
    write_predictions(tmp_path / "nano.parquet", answers, data)
    words = [data.classes[label] for label in data.labels]
    rows = "".join(f"{row},happy,{word}\n" for row, word in enumerate(words))
    (tmp_path / "glad[v2].csv").write_text("row,answer,label\n" + rows)
    names = [str(tmp_path / "glad[v2].csv"), str(tmp_path / "nano.parquet")]
    results = []
    for place, order in enumerate((names, names[::-1])):
        compare(*order, out=tmp_path / f"{place}.json")
        results.append(json.loads((tmp_path / f"{place}.json").read_text()))
    assert results[0]["truths"].keys() == results[1]["truths"].keys() >= {"ferplus_majority_8"}
    assert results[0]["votes"] == results[1]["votes"][::-1]


def test_names_in_brackets_are_printed(peers: list[str], voted: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copy(peers[0], tmp_path / "fer[v1].csv")
    compare(str(tmp_path / "fer[v1].csv"), peers[1], data=voted, split="PublicTest")
    said = capsys.readouterr().out
    assert "against fer[v1]" in said
    assert said.count("fer[v1]") == 7  # three tables with a heading and a row, and the sentence below


def test_models_of_one_name_are_told_apart(made_folders: Path, tmp_path: Path):
    shutil.copytree(find_model("nano").parent, tmp_path / "mine")
    out = tmp_path / "side.json"
    compare("nano", str(tmp_path / "mine"), data=made_folders, out=out, threads=1)
    assert [model["name"] for model in json.loads(out.read_text())["models"]] == [
        "nano",
        str(tmp_path / "mine"),
    ]


def test_pictures_that_cannot_be_read_are_told(
    examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for word in EXPRESSIONS:
        (tmp_path / "data" / "test" / word).mkdir(parents=True)
        shutil.copy(examples / "grace_hopper.jpg", tmp_path / "data" / "test" / word)
    options = {"data": tmp_path / "data", "out": tmp_path / "side.json", "threads": 1}
    assert compare("nano", "nano", **options) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "data" / "test" / "fear" / "torn.jpg").write_bytes(b"no picture")
    assert compare("nano", "nano", **options) == 1
    said = capsys.readouterr().err
    assert said.startswith("mien: 1 pictures skipped; the first: ")
    assert "torn.jpg" in said
    assert json.loads((tmp_path / "side.json").read_text())["n"] == len(EXPRESSIONS)


def test_wrong_use(peers: list[str], voted: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="two models or more"):
        compare(peers[0], data=voted)
    with pytest.raises(ConfigError, match="end the name in"):
        compare(*peers, data=voted, out=tmp_path / "side.txt")
