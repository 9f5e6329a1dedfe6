"""A network in floats becomes one that computes in 8-bit integers: a third of the time, half of the file.

Post-training static quantisation (Jacob et al. 2018; Krishnamoorthi 2018, section 3.1): the ranges of all values
are measured on examples, and each becomes 256 steps. Weights have a scale for each output channel and 7 bits: with
8, processors without VNNI instructions overflow, and would compute something else
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from mien.runtime import onnx_runtime

Ranges = dict[str, tuple[float, float]]
"""The lowest and the highest value of each tensor, by its name."""

OPERATORS = ("Conv", "ConvTranspose", "Add", "Relu")
"""What is computed in integers."""


def measure_ranges(model: ModelProto, batches: Iterable[dict[str, NDArray[Any]]]) -> Ranges:
    """The ranges of all float values that a network computes, 0 included.

    Args:
        model: the network; its nodes have names.
        batches: what to feed it, by the names of its inputs.
    """
    shown = ModelProto()
    shown.CopyFrom(model)
    computed = [name for node in _sought(model) for name in (*node.input[:1], *node.output)]
    computed += [name for node in _sought(model) if node.op_type == "Add" for name in node.input]
    stored = {tensor.name for tensor in model.graph.initializer} | {value.name for value in model.graph.input}
    names = [name for name in dict.fromkeys(computed) if name not in stored]
    there = {value.name for value in model.graph.output}
    shown.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in there
    )
    session = onnx_runtime().InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    lows, highs = np.zeros(len(names)), np.zeros(len(names))
    for batch in batches:
        values = session.run(names, batch)
        lows = np.minimum(lows, [value.min() for value in values])
        highs = np.maximum(highs, [value.max() for value in values])
    return {name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}


def quantise(model: ModelProto, ranges: Ranges, *, keep: Sequence[NodeProto]) -> ModelProto:
    """The network with its convolutions, sums and rectifiers in integers.

    Args:
        model: in floats, of opset 13 or later; its nodes have names. It is left as it was.
        ranges: of its values, see `measure_ranges`; of its inputs too, if a convolution reads one.
        keep: nodes that stay in floats: the first convolution and the last see the finest differences.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    bounds = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    copied = ModelProto()
    copied.CopyFrom(model)
    quantizer = QDQQuantizer(
        copied,
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, bounds),
        nodes_to_quantize=[],
        nodes_to_exclude=[node.name for node in keep],
        op_types_to_quantize=list(OPERATORS),
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    made: ModelProto = quantizer.model.model
    return made


def _sought(model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type in OPERATORS]
