import itertools
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from mien.classify import Classifier
from mien.commands.evaluate import evaluate
from mien.datasets import read_dataset
from mien.errors import ConfigError, ModelError
from mien.labels import EXPRESSIONS
from mien.recognize import Recognizer


def test_the_command_writes_and_says_where(
    voted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    assert evaluate(voted, split="PublicTest", out=tmp_path / "report", threads=1) == 0
    out, err = capsys.readouterr()
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert out.rstrip().endswith("report.html")
    assert "FER+ majority, 8 classes" in out
    assert f"{metrics['votes']['agreement']['model']['value']:.1%}" in out
    assert "one person does in" in out
    assert "no face is contempt" in err


def test_pictures_left_out_are_told_and_the_exit_code_says_so(
    made_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(made_folders, tmp_path / "data")
    (tmp_path / "data" / "test" / "sad" / "broken.jpg").write_bytes(b"no picture")
    assert evaluate(tmp_path / "data", out=tmp_path / "report", threads=1) == 1
    assert "broken.jpg" in capsys.readouterr().err


def test_of_photographs_the_face_is_measured(
    examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for split, word in itertools.product(("train", "test"), EXPRESSIONS):
        (tmp_path / "data" / split / word).mkdir(parents=True)
        shutil.copy(examples / "grace_hopper.jpg", tmp_path / "data" / split / word)
    expected = Recognizer("nano", threads=1).predict(examples / "grace_hopper.jpg")[0].probabilities["happy"]
    for find_faces in (True, False):
        evaluate(tmp_path / "data", model="nano", out=tmp_path / "report", find_faces=find_faces, threads=1)
        shares = pq.read_table(tmp_path / "report" / "predictions.parquet")["probabilities_happy"].to_pylist()
        assert (shares == pytest.approx([expected] * 7, abs=0.01)) is find_faces


def test_a_peers_file_is_measured_alike(voted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    peer = tmp_path / "peer.csv"
    peer.write_text("row,answer\n" + "".join(f"{row},happy\n" for row in range(42)))
    assert evaluate(voted, model=str(peer), split="PublicTest", out=tmp_path / "report") == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["accuracy"]["original_labels"]["accuracy"]["value"] == pytest.approx(1 / 7, abs=1e-4)
    assert metrics["calibration"] == {}
    assert "Can its probability be believed?" not in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.parametrize("reads_drawings", [True, False])
def test_spoilt_faces_are_in_the_figures_and_in_the_report(
    reads_drawings: bool, voted: Path, tiny_model: Path, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    data, split = voted, "PublicTest"
    if not reads_drawings:  # each drawing is called what the model least thinks of
        faces, data, split = read_dataset(voted, split).images, tmp_path / "data", "test"
        for number, shares in enumerate(Classifier(tiny_model).classify(faces).probabilities):
            place = data / "test" / EXPRESSIONS[shares.argmin()] / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(faces[number]).save(place)
        for word in EXPRESSIONS:
            (data / "test" / word).mkdir(exist_ok=True)
    arguments = {"model": str(tiny_model), "split": split, "out": tmp_path, "robustness": True}
    assert evaluate(data, **arguments, threads=1) == 0
    robust = json.loads((tmp_path / "metrics.json").read_text())["robustness"]
    assert len(robust["curves"]) == 13
    assert {len(next(iter(curve["accuracy"].values()))) for curve in robust["curves"].values()} == {5}
    kept = next(iter(robust["kept"].values()))
    said, page = capsys.readouterr().out, (tmp_path / "report.html").read_text()
    if reads_drawings:
        assert f"On spoilt faces it keeps {kept:.0%} of its accuracy" in said
        assert f"it keeps <b>{100 * kept:.0f}" in page
    else:
        assert kept is None
        assert "It reads no face right even where none is spoilt" in said
        assert "It reads no face right even where none is spoilt" in page


def test_a_training_part_that_cannot_be_read_is_told(
    made_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The figures without copies of training faces are missing then, and somebody should know why."""
    shutil.copytree(made_folders / "test", tmp_path / "data" / "test")
    assert evaluate(tmp_path / "data", out=tmp_path / "report", threads=1) == 0
    assert "copies of faces in Training were not looked for: " in capsys.readouterr().err


@pytest.mark.parametrize("threads", [0, -3, 100_000])
def test_impossible_numbers_of_threads_are_told(voted: Path, tmp_path: Path, threads: int):
    with pytest.raises(ConfigError, match=f"threads {threads}: choose 1 to 1024, or None"):
        evaluate(voted, model="nano", split="PublicTest", out=tmp_path / "report", threads=threads)


def test_wrong_use(voted: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="no model 'nothing'"):
        evaluate(voted, model="nothing", split="PublicTest", out=tmp_path / "report")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        evaluate(voted, split="PublicTest", out=tmp_path / "file")
