from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from mien.classify import Classifier
from mien.errors import ModelError
from mien.labels import CROWD
from mien.model_file import seal


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 5, 130])
def test_three_readings_of_each_face(count: int):
    readings = Classifier("base").classify(faces(count), batch_size=64)
    assert readings.probabilities.shape == (count, 7)
    assert readings.crowd.shape == (count, 10)
    assert readings.fer2013.shape == (count, 7)
    for reading in (readings.probabilities, readings.crowd, readings.fer2013):
        assert reading.dtype == np.float32
        assert np.all(reading >= 0)
        assert np.allclose(reading.sum(axis=1), 1, atol=1e-5)


def test_a_face_is_read_alike_alone_and_among_others():
    classifier = Classifier("base")
    together = classifier.classify(faces(7))
    alone = classifier.classify(faces(7)[3:4])
    assert np.allclose(together.crowd[3], alone.crowd[0], atol=1e-4)


def test_the_fewer_pixels_a_face_had_the_less_it_is_believed(examples: Path):
    classifier = Classifier("base")
    astronaut = Image.open(examples / "astronaut.jpg").convert("L").crop((165, 55, 285, 175)).resize((48, 48))
    face = np.asarray(astronaut)[None].repeat(5, axis=0)
    seen = classifier.classify(face)
    readings = classifier.classify(face, sides=np.array([1.0, 10, 12, 20, 48]))
    unknown = readings.crowd[:, CROWD.index("unknown")]
    assert np.all(np.diff(unknown) < 0)
    assert unknown[0] > 0.9
    assert np.allclose(readings.crowd[-1], seen.crowd[-1])
    assert np.allclose(readings.probabilities[-1], seen.probabilities[-1])
    for reading in (readings.probabilities, readings.crowd, readings.fer2013):
        assert reading.dtype == np.float32
        assert np.allclose(reading.sum(axis=1), 1, atol=1e-4)


def test_a_damaged_model_is_refused_by_name(tiny_model: Path, tmp_path: Path):
    content = bytearray((tiny_model / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.onnx.*SHA-256"):
        Classifier(tmp_path / "damaged.onnx")


def _rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = "votes"
    for node in model.graph.node:
        node.output[:] = ["votes" if name == "crowd" else name for name in node.output]
        node.input[:] = ["votes" if name == "crowd" else name for name in node.input]


def _swap_labels(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == "mien.expressions":
            entry.value = entry.value.replace("angry", "sad", 1)


def _drop_labels(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "faces" else name for name in node.input]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_rename_output, "outputs"),
        (_swap_labels, "expressions"),
        (_drop_labels, "expressions"),
        (_rename_input, "input"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tiny_model: Path, tmp_path: Path, change, says: str):
    model = onnx.load(tiny_model / "model.onnx")
    del model.metadata_props[-1]  # the seal
    change(model)
    (tmp_path / "other.onnx").write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match=rf"other\.onnx.*{says}"):
        Classifier(tmp_path / "other.onnx")


def test_sealed_rubbish_is_refused(tmp_path: Path):
    (tmp_path / "rubbish.onnx").write_bytes(seal(b"rubbish"))
    with pytest.raises(ModelError, match=r"rubbish\.onnx: ONNX Runtime cannot load it"):
        Classifier(tmp_path / "rubbish.onnx")
