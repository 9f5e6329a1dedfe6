"""From a trained network to the file that inference reads: one sealed ONNX graph, in floats or in integers."""

import copy
import json
import logging
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxscript  # noqa: F401 - the exporter needs it: better missed before a run than after
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien.classify import OUTPUTS, Classifier, Trust
from mien.datasets import SIDE
from mien.errors import ModelError
from mien.files import replacing
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import seal
from mien.train.calibrate import Answer
from mien.train.networks import FaceNet, Logits, normalise
from mien.train.quantise import measure_ranges, quantise

PARITY = {16: 0.01, 8: 0.1}
"""How far a probability of the ONNX file may be from the network's, by the bits of its weights.

16-bit weights round to 3 digits, 8-bit weights to 2; a wrong graph is off by much more.
"""

INTEGER_PARITY = 0.03
"""How far the readings of an ONNX file in integers may be from the network's: total variation, mean of faces."""


@dataclass(frozen=True, slots=True)
class Temperatures:
    """What the heads' logits are divided by (Guo et al. 2017): above 1 softens, below 1 sharpens."""

    crowd: float
    labels: float


class Readings(nn.Module):
    """The network with everything around it: grey levels in, calibrated readings out."""

    def __init__(self, network: FaceNet, temperatures: Temperatures, answer: Answer | None) -> None:
        """Puts the parts together.

        Args:
            network: with its heads.
            temperatures: of the heads.
            answer: how the answer is made of the heads; None where the classes are not the seven: there the
                labels' reading is the answer.
        """
        super().__init__()
        self.network = network
        self.temperatures = temperatures
        self.answer = answer

    def heads(self, logits: Logits) -> tuple[Tensor, Tensor]:
        """The calibrated readings, (N, 10) and (N, K), of logits; without votes the crowd repeats the labels."""
        labels = torch.softmax(logits.labels / self.temperatures.labels, dim=1)
        if logits.crowd.shape[1] == 0:
            return nn.functional.pad(labels, (0, len(CROWD) - labels.shape[1])), labels
        return torch.softmax(logits.crowd / self.temperatures.crowd, dim=1), labels

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Reads faces.

        Args:
            faces: uint8 (N, 48, 48), grey.

        Returns:
            ``probabilities`` (N, 7), ``crowd`` (N, 10) and ``fer2013`` (N, 7), float32; rows sum to one. For other
            classes than the seven, ``probabilities`` (N, K) alone.
        """
        logits = self.network(normalise(faces))
        if self.answer is None:
            return (torch.softmax(logits.labels / self.temperatures.labels, dim=1),)
        crowd, labels = self.heads(logits)
        answer = torch.softmax(self.answer.log_mean(crowd, labels) / self.answer.temperature, dim=1)
        return answer, crowd, labels


def export_onnx(
    readings: Readings,
    path: Path,
    *,
    name: str,
    trust: Trust,
    leanings: Sequence[float],
    classes: tuple[str, ...] = EXPRESSIONS,
    weight_bits: int = 16,
    views: int = 1,
    examples: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> None:
    """Writes the ONNX file, reads it back, and compares its answers with the network's.

    Args:
        readings: the network, on the CPU; it is left as it was.
        path: where the file goes; written atomically.
        name: the model's name, stored in the file.
        trust: how far small faces are believed, stored in the file.
        leanings: (K,), the class shares that the answers lean by (`mien.prior.leanings`), stored in the file.
        classes: what the columns of its answer stand for.
        weight_bits: 16 for floats, 8 for integers with a scale for each output channel.
        views: how many pictures of a face the network looks at, stored in the file.
        examples: (N, 48, 48) twice: faces on which the ranges of 8-bit integers are measured, in which the file
            then computes, and others on which it is compared with the network; None: it computes in floats.

    Raises:
        ModelError: the file's answers are not the network's; what was at `path` stays there.
    """
    outputs = list(OUTPUTS) if readings.answer else ["probabilities"]
    # The exporter tells everybody that torchvision is missing, and that parts of PyTorch are deprecated.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        program = torch.onnx.export(
            _fused(readings).eval(),
            (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),),
            input_names=["faces"],
            output_names=outputs,
            dynamic_shapes={"faces": {0: "faces"}},
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{path}: PyTorch made no ONNX program of the network")
    model = program.model_proto
    _strip(model)
    if examples is not None:
        model = _in_integers(model, examples[0])
    _shrink_weights(model, weight_bits)
    metadata = _metadata(readings, name, trust, leanings, classes) | {"mien.views": str(views)}
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    with replacing(path) as part:
        part.write_bytes(seal(model.SerializeToString(deterministic=True)))
        if examples is None:
            _compare(readings, part, outputs, PARITY[weight_bits])
        else:
            _compare_integers(readings, part, outputs, examples[1])


def _metadata(
    readings: Readings, name: str, trust: Trust, leanings: Sequence[float], classes: tuple[str, ...]
) -> dict[str, str]:
    temperatures = {"crowd": readings.temperatures.crowd, "fer2013": readings.temperatures.labels}
    metadata = {
        "mien.name": name,
        "mien.expressions": json.dumps(classes),
        "mien.input": f"uint8 grey {SIDE}x{SIDE}, normalised in the graph to x/127.5 - 1",
        "mien.trust": json.dumps(asdict(trust)),
        "mien.prior": json.dumps([round(float(share), 5) for share in leanings]),
    }
    if readings.answer is None:
        metadata["mien.temperatures"] = json.dumps({"answer": round(readings.temperatures.labels, 6)})
        metadata["mien.answer"] = "softmax(logits / temperature)"
        return metadata
    answer = readings.answer
    temperatures["answer"] = answer.temperature
    prior = json.dumps([round(share, 5) for share in answer.prior])
    return metadata | {
        "mien.crowd": json.dumps(CROWD),
        "mien.temperatures": json.dumps({key: round(value, 6) for key, value in temperatures.items()}),
        "mien.answer": (
            f"softmax(log({answer.weight} c + {1 - answer.weight:.6g} fer2013) / temperature); "
            f"c: crowd's seven / {prior} ** {answer.correction}, renormalised"
        ),
    }


def _compare(readings: Readings, path: Path, outputs: list[str], parity: float) -> None:
    """Checks the file against the network on faces of noise, in batches of several sizes."""
    random = np.random.default_rng(0)
    classifier = Classifier(path)
    for count in (1, 5):
        faces = random.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
        with torch.inference_mode():
            wanted = readings.eval()(torch.from_numpy(faces))
        found = classifier.classify(faces)
        for key, tensor in zip(outputs, wanted, strict=True):
            difference = float(np.abs(tensor.numpy() - getattr(found, key)).max())
            if not difference <= parity:
                raise ModelError(f"{path}: {key} differs from the network's by {difference:.3g}")


def _compare_integers(readings: Readings, path: Path, outputs: list[str], faces: NDArray[np.uint8]) -> None:
    """Checks the file against the network on faces that no range was measured on, as it will see them."""
    with torch.inference_mode():
        wanted = readings.eval()(torch.from_numpy(faces))
    found = Classifier(path).classify(faces)
    for key, tensor in zip(outputs, wanted, strict=True):
        apart = float(np.abs(tensor.numpy() - getattr(found, key)).sum(axis=1).mean() / 2)
        if not apart <= INTEGER_PARITY:
            raise ModelError(
                f"{path}: {key} in integers differs from the network's by {apart:.3g}; set integers = false"
            )


def _in_integers(model: onnx.ModelProto, examples: NDArray[np.uint8]) -> onnx.ModelProto:
    """The graph with all but its first convolution, the heads and what is around them in 8-bit integers."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    after = list(model.graph.node).index(convolutions[-1]) + 1
    # Behind the last convolution, what belongs to it is a sum and a rectifier; the rest makes the answer.
    heads = next(n for n, node in enumerate(model.graph.node) if n >= after and node.op_type == "Gemm")
    ranges = measure_ranges(
        model, ({"faces": batch} for batch in np.array_split(examples, len(examples) // 32 + 1))
    )
    return quantise(model, ranges, keep=[convolutions[0], *model.graph.node[heads:]])


def _fused(readings: Readings) -> Readings:
    """A copy with batch norms folded into the convolutions before them; timm's own norms hold activations too."""
    readings = copy.deepcopy(readings).eval()
    for module in readings.modules():
        if isinstance(module, nn.Sequential):
            for index, (conv, norm) in enumerate(zip(list(module), list(module)[1:], strict=False)):
                if isinstance(conv, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                    module[index] = fuse_conv_bn_eval(conv, norm)
                    module[index + 1] = nn.Identity()
    return readings


def _strip(model: onnx.ModelProto) -> None:
    """Drops the exporter's notes of source lines: they triple the small parts and hold paths of the machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        node.name = ""
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.value_info[:]  # shapes in between, which every runtime works out by itself
    _shorten(model.graph)


def _shorten(graph: onnx.GraphProto) -> None:
    """Drops the first words that the names of tensors share: a thirtieth of the smallest network's file.

    A name stays as it is where another would be the same then.
    """
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in graph.initializer}
    short = {name: re.sub(r"^(network\.)?(trunk\.)*", "", name) for name in names}
    count = Counter(short.values())

    def renamed(name: str) -> str:
        return short[name] if count[short[name]] == 1 else name

    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
    for node in graph.node:
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)


def _shrink_weights(model: onnx.ModelProto, bits: int) -> None:
    """Stores the large weights in fewer bits, widened when the file is loaded: a smaller file, the same speed."""
    scales = {name for node in model.graph.node if node.op_type.endswith("Linear") for name in node.input}
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    for tensor in [tensor for tensor in floats if tensor.name not in scales]:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.size < 256:
            continue
        name = tensor.name
        if bits == 16 or weights.ndim < 2:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float16), f"{name}.half"))
            node = onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        else:
            # Symmetric, a scale for each output channel: Krishnamoorthi 2018, section 3.1.
            scale = np.abs(weights).reshape(len(weights), -1).max(axis=1).clip(1e-12) / 127
            whole = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
            tensor.CopyFrom(onnx.numpy_helper.from_array(whole, f"{name}.whole"))
            model.graph.initializer.append(
                onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")
            )
            node = onnx.helper.make_node(
                "DequantizeLinear", [f"{name}.whole", f"{name}.scale"], [name], axis=0
            )
        model.graph.node.insert(0, node)
    if bits == 8:
        _pool_vectors(model.graph, keep=scales)


def _pool_vectors(graph: onnx.GraphProto, *, keep: set[str]) -> None:
    """Keeps biases and scales in one tensor of 16 bits, parted when the file is loaded.

    A fifteenth of the smallest network's file, of which a tensor and a cast for each would eat up the half. The
    scales of integers, `keep`, are too small for 16 bits.
    """
    floats = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    vectors = [tensor for tensor in floats if len(tensor.dims) == 1 and tensor.name not in keep]
    values = [onnx.numpy_helper.to_array(tensor) for tensor in vectors]
    pooled = np.concatenate(values).astype(np.float16)
    sizes = np.array([len(value) for value in values], np.int64)
    for tensor in vectors:
        graph.initializer.remove(tensor)
    graph.initializer.append(onnx.numpy_helper.from_array(pooled, "vectors.half"))
    graph.initializer.append(onnx.numpy_helper.from_array(sizes, "vectors.sizes"))
    parts = [tensor.name for tensor in vectors]
    graph.node.insert(0, onnx.helper.make_node("Split", ["vectors", "vectors.sizes"], parts, axis=0))
    graph.node.insert(
        0, onnx.helper.make_node("Cast", ["vectors.half"], ["vectors"], to=onnx.TensorProto.FLOAT)
    )
