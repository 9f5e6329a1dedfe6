from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.model_file import find_model, read_sealed, seal, shipped_models


@given(st.binary(max_size=300))
def test_what_is_sealed_reads_back(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.mktemp("seal") / "model.onnx"
    path.write_bytes(seal(content))
    assert read_sealed(path) == seal(content)


@settings(max_examples=50)
@given(data=st.data())
def test_any_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    content = bytearray(seal(b"a network" * 20))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("seal") / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        read_sealed(path)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 1000])
def test_what_has_no_seal_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a whole model file"):
        read_sealed(path)


def test_models_are_found_by_name_folder_and_file(tiny_model: Path):
    assert find_model(tiny_model) == tiny_model / "model.onnx"
    assert find_model(tiny_model / "model.onnx") == tiny_model / "model.onnx"
    assert find_model("base").name == "model.onnx"
    assert shipped_models() == ["base", "nano"]


@pytest.mark.parametrize("name", ["nobody", "", "../errors", "detector", "x" * 300, Path("base")])
def test_unknown_models_are_refused_by_name(
    name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="name one of base"):
        find_model(name)


def test_a_path_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    Path("base", "model.onnx").touch()
    assert find_model(Path("base")) == Path("base/model.onnx")
    assert find_model("./base") == Path("base/model.onnx")
    assert find_model("base").is_absolute()
