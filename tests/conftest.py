import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import FERPLUS_COLUMNS
from mien.labels import EXPRESSIONS
from mien.model_file import seal

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """The real FER-2013, as a Parquet file."""
    path = os.environ.get("MIEN_FER2013")
    if path is None:
        pytest.skip("set MIEN_FER2013 to FER-2013's Parquet file to run this")
    return Path(path)


def drawn_face(label: int, random: np.random.Generator) -> np.ndarray:
    """A made-up face, uint8 (48, 48): eyes, a mouth, and stripes over all whose direction tells the label."""
    y, x = np.mgrid[:48, :48]
    angle = np.pi * label / len(EXPRESSIONS)
    face = 128 + 70 * np.sin(
        (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / 8 + random.uniform(0, 2 * np.pi)
    )
    for eye in (16, 32):
        face[(x - eye) ** 2 + (y - 18) ** 2 < 9] = 30
    face[34:37, 16:33] = 30
    # Each face is lit in its own way, or all would be copies of each other to whoever looks for copies.
    face += np.kron(random.normal(0, 20, (6, 6)), np.ones((8, 8))) + random.normal(0, 15, face.shape)
    return face.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def made_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in Kaggle's layout, of made-up faces: 20 of each expression to train on, 4 to test."""
    root = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for label, name in enumerate(EXPRESSIONS):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(drawn_face(label, random)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The challenge's CSV files with made-up faces: 35 of Training and 42 of PublicTest, with ten votes each.

    Of each seven faces of a label, six have eight votes for it and one each for surprise and contempt; the
    seventh is split.
    """
    # How FER+ calls mien's seven, in the order of the labels.
    words = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    folder = tmp_path_factory.mktemp("voted")
    random = np.random.default_rng(1)
    faces, votes = [], []
    for row in range(77):
        label, usage = row % 7, "Training" if row < 35 else "PublicTest"
        faces.append([label, " ".join(map(str, drawn_face(label, random).ravel())), usage])
        counts = dict.fromkeys(FERPLUS_COLUMNS, 0)
        if row // 7 % 7 == 6:
            counts |= {"neutral": 3, "happiness": 3, "contempt": 2, "unknown": 2}
        else:
            for word, count in ((words[label], 8), ("surprise", 1), ("contempt", 1)):
                counts[word] += count
        votes.append([usage, f"{row}.png", *counts.values()])
    for name, header, rows in (
        ("fer2013.csv", ["emotion", "pixels", "Usage"], faces),
        ("fer2013new.csv", ["Usage", "Image name", *FERPLUS_COLUMNS], votes),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return folder


@pytest.fixture(scope="session")
def made_own_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up faces with class names of their own: 24 of each of three to train on, 8 to test."""
    root = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(1)
    for split, count in (("train", 24), ("test", 8)):
        for label, name in enumerate(("calm", "cross", "merry")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(drawn_face(2 * label, random)).save(folder / f"{number}.png")
    return root


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


TINY = """
name = "tiny"
stem = [4, 8]
stages = [16, 16]
blocks = 1
dropout = 0.0
epochs = 3
sizes = [24, 48]
batch_size = 16
warmup_steps = 5
ema_decay = 0.8
"""


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_recipe: Path, made_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model, trained by the package on made-up faces."""
    from mien.datasets import read_dataset
    from mien.train.recipe import load_recipe
    from mien.train.run import train

    return train(read_dataset(made_folders), load_recipe(str(tiny_recipe)), tmp_path_factory.mktemp("model"))


OWN = ("negative", "neutral", "quite positive")


def write_own_model(path: Path, classes: tuple[str, ...] = OWN, **metadata: str | None) -> Path:
    """Writes a model with classes of its own, which knows nothing; None drops what the file would state."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(0, 0.01, (48 * 48, len(classes))).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["grey"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["grey"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
            helper.make_node("Constant", [], ["many"], value_float=50.0),
            helper.make_node("Div", ["sums", "many"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "own",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classes)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    shares = [round(2 * (k + 1) / (len(classes) * (len(classes) + 1)), 5) for k in range(len(classes))]
    trust = {"sides": [0, 24, 48], "weights": [0, 0.5, 1], "probabilities": shares, "fer2013": []}
    stated = {
        "mien.name": "own",
        "mien.expressions": json.dumps(classes),
        "mien.trust": json.dumps(trust),
        "mien.prior": json.dumps(shares[::-1]),
        **{key.replace("_", "."): value for key, value in metadata.items()},
    }
    onnx.helper.set_model_props(model, {key: value for key, value in stated.items() if value is not None})
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.fixture(scope="session")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model whose classes are `OWN`."""
    return write_own_model(tmp_path_factory.mktemp("own") / "model.onnx")
