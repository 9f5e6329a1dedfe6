import json
import shutil
from pathlib import Path

import pytest

from mien.commands.evaluate import evaluate
from mien.errors import ConfigError, ModelError


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


def test_a_peers_file_is_measured_alike(voted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    peer = tmp_path / "peer.csv"
    peer.write_text("row,answer\n" + "".join(f"{row},happy\n" for row in range(42)))
    assert evaluate(voted, model=str(peer), split="PublicTest", out=tmp_path / "report") == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["accuracy"]["original_labels"]["accuracy"]["value"] == pytest.approx(1 / 7, abs=1e-4)
    assert metrics["calibration"] == {}
    assert "Can its probability be believed?" not in (tmp_path / "report" / "report.html").read_text()


def test_wrong_use(voted: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="no model 'nothing'"):
        evaluate(voted, model="nothing", split="PublicTest", out=tmp_path / "report")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        evaluate(voted, split="PublicTest", out=tmp_path / "file")
