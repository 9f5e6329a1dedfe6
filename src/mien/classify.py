"""Reads the expressions of aligned faces: one ONNX session, any number of faces a call."""

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model, read_sealed
from mien.result import Predictions

OUTPUTS = {"probabilities": EXPRESSIONS, "crowd": CROWD, "fer2013": EXPRESSIONS}
"""The three readings that a model gives, and the words of each one's columns."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a face is believed that had few pixels.

    A reading is mixed with what would be said of a face that nobody saw: the seven with their shares over all
    faces, the crowd with ``unknown``. How much of each, was measured on ``probabilities`` when the model was made
    (`mien.train.run.measured_trust`). That the other two readings are mixed alike, and that what is not seen
    counts as ``unknown``, is a convention: nobody asked people about such small faces.

    Attributes:
        sides: sides of faces in pixels, rising.
        weights: the weight of the reading at each of `sides`, in [0, 1]; in between, in proportion.
        probabilities: shares of the seven expressions over all faces, by the crowd.
        fer2013: the same by FER-2013's labels.
    """

    sides: list[float]
    weights: list[float]
    probabilities: list[float]
    fer2013: list[float]

    def apply(self, readings: Predictions, sides: NDArray[np.float64]) -> Predictions:
        """Mixes readings with what is said of unseen faces, each by its side (N,) in pixels."""
        weight = np.interp(sides, self.sides, self.weights).astype(np.float32)[:, None]

        def mix(reading: NDArray[np.float32], unseen: list[float]) -> NDArray[np.float32]:
            return weight * reading + (1 - weight) * np.array(unseen, np.float32)

        unknown = [float(word == "unknown") for word in CROWD]
        return Predictions(
            mix(readings.probabilities, self.probabilities),
            mix(readings.crowd, unknown),
            mix(readings.fer2013, self.fer2013),
        )


class Classifier:
    """An expression model.

    Everything that is needed to use the network stands in its file: labels, input size, normalisation, and how
    the three readings are made from its two heads. The file's hash, labels and shapes are checked.

    Attributes:
        name: the model's name, as its file states it.
        size: side in pixels of the faces it reads.
    """

    def __init__(self, model: str | os.PathLike[str] = "base", *, threads: int | None = None) -> None:
        """Loads a model.

        Args:
            model: the name of a model that comes with mien, a folder that `mien train` made, or an ONNX file.
            threads: CPU threads to use; None leaves it to ONNX Runtime.

        Raises:
            ModelError: there is no such model, or its hash, labels or shapes do not fit.
        """
        import onnxruntime as ort

        path = find_model(model)
        content = read_sealed(path)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # An arena keeps the largest batch's memory for ever, and saves no time that could be measured here.
        options.enable_cpu_mem_arena = False
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise ModelError(
                f"{path}: ONNX Runtime cannot load it ({' '.join(str(error).split())})"
            ) from error
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.size = _check(str(path), self._session, metadata)
        self.name = metadata["mien.name"]
        try:
            self._trust = Trust(**json.loads(metadata["mien.trust"]))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: its mien.trust is damaged ({error}); make it with mien train"
            ) from error

    def classify(
        self,
        faces: NDArray[np.uint8],
        *,
        sides: NDArray[np.float64] | None = None,
        batch_size: int = 64,
    ) -> Predictions:
        """Reads faces.

        Args:
            faces: uint8 (N, size, size), grey, framed as FER-2013 frames its faces (see `mien.align`).
            sides: (N,), side in pixels that each face had before it was scaled to `size`; a face enlarged from a
                few pixels is believed less. None: none was enlarged.
            batch_size: faces that go through the network at once; bounds the memory used.

        Returns:
            The three readings, a row for each face, in the same order.
        """
        batches = [
            self._session.run(list(OUTPUTS), {"faces": faces[start : start + batch_size]})
            for start in range(0, len(faces), batch_size)
        ]
        empty = [np.empty((0, len(words)), dtype=np.float32) for words in OUTPUTS.values()]
        readings = Predictions(*(np.concatenate(parts) for parts in zip(empty, *batches, strict=True)))
        return readings if sides is None else self._trust.apply(readings, sides)


def _check(path: str, session: Any, metadata: dict[str, str]) -> int:
    """Refuses a network that does not take and give what mien expects; returns the side of its faces."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if inputs else []
    square = len(shape) == 3 and isinstance(shape[1], int) and shape[1] == shape[2]
    if len(inputs) != 1 or inputs[0].name != "faces" or inputs[0].type != "tensor(uint8)" or not square:
        raise ModelError(f"{path}: its input must be 'faces', uint8 (N, S, S); make it with mien train")
    found = {output.name: output.shape[-1:] for output in outputs}
    expected = {name: [len(words)] for name, words in OUTPUTS.items()}
    if found != expected:
        raise ModelError(f"{path}: its outputs are {found}, must be {expected}; make it with mien train")
    for key, words in (("mien.expressions", EXPRESSIONS), ("mien.crowd", CROWD)):
        if metadata.get(key) != json.dumps(words):
            raise ModelError(f"{path}: its {key} are {metadata.get(key)}, must be {json.dumps(words)}")
    if missing := {"mien.name", "mien.trust"} - set(metadata):
        raise ModelError(f"{path}: does not state {', '.join(sorted(missing))}; make it with mien train")
    return int(shape[1])
