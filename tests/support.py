"""What several tests make their faces and models with."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from mien.labels import EXPRESSIONS
from mien.model_file import seal

EXAMPLES = Path(__file__).parent.parent / "examples"


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


@contextmanager
def running_server(
    *options: str, folder: Path, token: str | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real `mien serve`, running in a folder, and its address without the last slash."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    if token is not None:
        environment["MIEN_TOKEN"] = token
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mien", "serve", "--no-open", "--port", "0", "--threads", "1"),
            *("--detector-size", "320", *options),
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+(?=/$)", line)
        assert found, line + process.communicate()[1]
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()
