"""From a trained network to the file that inference reads: one sealed ONNX graph with 16-bit weights."""

import copy
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxscript  # noqa: F401 - the exporter needs it: better missed before a run than after
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien.classify import OUTPUTS, Classifier, Trust
from mien.datasets import SIDE
from mien.errors import ModelError
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import seal
from mien.train.network import FaceNet, normalise

PARITY = 0.01
"""How far a probability of the ONNX file may be from the network's: 16-bit weights round to 3 digits."""


class Readings(nn.Module):
    """The network with everything around it: grey levels in, three calibrated readings out.

    Attributes:
        temperatures: float (3,), of the crowd head, the original-label head, and the answer made from both.
    """

    temperatures: Tensor

    def __init__(self, network: FaceNet, *, crowd: float, fer2013: float, answer: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperatures", torch.tensor([crowd, fer2013, answer]))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads faces.

        Args:
            faces: uint8 (N, 48, 48), grey.

        Returns:
            ``probabilities`` (N, 7), ``crowd`` (N, 10) and ``fer2013`` (N, 7), float32; rows sum to one.
        """
        logits = self.network(normalise(faces))
        crowd = torch.softmax(logits.crowd / self.temperatures[0], dim=1)
        fer2013 = torch.softmax(logits.fer2013 / self.temperatures[1], dim=1)
        answer = torch.softmax(log_mean(crowd, fer2013) / self.temperatures[2], dim=1)
        return answer, crowd, fer2013


def log_mean(crowd: Tensor, fer2013: Tensor) -> Tensor:
    """Logarithm of the plain mean of the two heads' seven: (N, 10) and (N, 7) to (N, 7).

    The crowd's shares are those among the votes that went to one of the seven.
    """
    seven = crowd[:, : len(EXPRESSIONS)]
    return ((seven / seven.sum(dim=1, keepdim=True) + fer2013) / 2).clamp(min=1e-9).log()


def export_onnx(readings: Readings, path: Path, *, name: str, trust: Trust) -> None:
    """Writes the ONNX file, reads it back, and compares its answers with the network's.

    Args:
        readings: the network, on the CPU; it is left as it was.
        path: where the file goes; written atomically.
        name: the model's name, stored in the file.
        trust: how far small faces are believed, stored in the file.

    Raises:
        ModelError: the file's answers are not the network's; nothing is left at `path`.
    """
    # The exporter tells everybody that torchvision is missing, and that parts of PyTorch are deprecated.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        program = torch.onnx.export(
            _fused(readings).eval(),
            (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),),
            input_names=["faces"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"faces": {0: "faces"}},
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{path}: PyTorch made no ONNX program of the network")
    model = program.model_proto
    _strip(model)
    _halve_weights(model)
    crowd, fer2013, answer = (round(float(value), 6) for value in readings.temperatures)
    onnx.helper.set_model_props(
        model,
        {
            "mien.name": name,
            "mien.expressions": json.dumps(EXPRESSIONS),
            "mien.crowd": json.dumps(CROWD),
            "mien.input": f"uint8 grey {SIDE}x{SIDE}, normalised in the graph to x/127.5 - 1",
            "mien.temperatures": json.dumps({"crowd": crowd, "fer2013": fer2013, "answer": answer}),
            "mien.trust": json.dumps(asdict(trust)),
            "mien.answer": "softmax(log(mean(crowd's seven renormalised, fer2013)) / temperature)",
        },
    )
    onnx.checker.check_model(model)
    part = path.with_suffix(".part")
    part.write_bytes(seal(model.SerializeToString(deterministic=True)))
    try:
        _compare(readings, part)
    except ModelError:
        part.unlink()
        raise
    part.replace(path)


def _compare(readings: Readings, path: Path) -> None:
    """Checks the file against the network on faces of noise, in batches of several sizes."""
    random = np.random.default_rng(0)
    classifier = Classifier(path)
    for count in (1, 5):
        faces = random.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
        with torch.inference_mode():
            wanted = readings.eval()(torch.from_numpy(faces))
        found = classifier.classify(faces)
        for key, tensor in zip(OUTPUTS, wanted, strict=True):
            difference = float(np.abs(tensor.numpy() - getattr(found, key)).max())
            if not difference <= PARITY:
                raise ModelError(f"{path}: {key} differs from the network's by {difference:.3g}")


def _fused(readings: Readings) -> Readings:
    """A copy with every batch norm folded into the convolution before it."""
    readings = copy.deepcopy(readings).eval()
    for module in readings.modules():
        if isinstance(module, nn.Sequential):
            for index, (conv, norm) in enumerate(zip(list(module), list(module)[1:], strict=False)):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[index] = fuse_conv_bn_eval(conv, norm)
                    module[index + 1] = nn.Identity()
    return readings


def _strip(model: onnx.ModelProto) -> None:
    """Drops the exporter's notes of source lines: they triple the small parts and hold paths of the machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def _halve_weights(model: onnx.ModelProto) -> None:
    """Stores the large weights as float16, cast back when the file is loaded: half the file, the same speed."""
    for tensor in [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.size < 256:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float16), f"{name}.half"))
        cast = onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
