import subprocess
import sys

import pytest

import mien


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after the code."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_exactly_these_names_are_public():
    assert mien.__all__ == [
        "CROWD",
        "EXPRESSIONS",
        "ConfigError",
        "DatasetError",
        "DivergedError",
        "Face",
        "FaceTracker",
        "Faces",
        "ImageError",
        "MienError",
        "ModelError",
        "Predictions",
        "Recognizer",
        "TrackedFace",
        "VideoError",
        "VideoFrame",
        "predict",
        "read_video",
    ]
    assert set(mien.__all__) <= set(dir(mien))


@pytest.mark.parametrize("name", mien.__all__)
def test_each_public_name_is_there_and_documented(name: str):
    assert getattr(mien, name).__doc__


def test_labels_are_in_the_order_of_fer2013_and_ferplus():
    assert tuple(mien.EXPRESSIONS) == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert tuple(mien.CROWD) == (*mien.EXPRESSIONS, "contempt", "unknown", "not_a_face")


@pytest.mark.parametrize("error", ["ConfigError", "DatasetError", "ImageError", "ModelError", "VideoError"])
def test_one_except_clause_catches_every_error(error: str):
    assert issubclass(getattr(mien, error), mien.MienError)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'mien' has no attribute 'nonsense'"):
        _ = mien.nonsense


def test_import_mien_loads_nothing_heavy():
    loaded = modules_after("import mien")
    assert "mien" in loaded
    assert not loaded & {"numpy", "onnxruntime", "PIL", "torch", "rich", "cyclopts", "pyarrow", "pandas"}


def test_predicting_loads_nothing_that_only_training_needs(examples):
    loaded = modules_after(f"import mien; mien.predict({str(examples / 'astronaut.jpg')!r})")
    assert "onnxruntime" in loaded
    assert not loaded & {
        "torch",
        "cv2",
        "lightning_fabric",
        "onnx",
        "safetensors",
        "pandas",
        "pyarrow",
        "rich",
    }
