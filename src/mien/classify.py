"""Reads the expressions of aligned faces: one ONNX session, any number of faces a call."""

import json
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ModelError
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model, read_sealed
from mien.prior import Prior, prior_shares, shift
from mien.result import Predictions
from mien.runtime import onnx_runtime

OUTPUTS = {"probabilities": EXPRESSIONS, "crowd": CROWD, "fer2013": EXPRESSIONS}
"""The three readings that a model of mien gives, and the words of each one's columns.

A model that was trained on classes of its own gives `probabilities` alone.
"""


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a face is believed that had few pixels.

    A reading is mixed with what would be said of a face that nobody saw: the expressions with their shares over
    all faces, the crowd with ``unknown``. How much of each, was measured on ``probabilities`` when the model was
    made (`mien.train.finish.measured_trust`). That the other two readings are mixed alike, and that what is not
    seen counts as ``unknown``, is a convention: nobody asked people about such small faces.

    Attributes:
        sides: sides of faces in pixels, rising.
        weights: the weight of the reading at each of `sides`, in [0, 1]; in between, in proportion.
        probabilities: shares of the model's expressions over all faces, by the crowd or by the labels.
        fer2013: the same by FER-2013's labels; empty where the model has no such reading.
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

        unknown = [float(word == "unknown") for word in CROWD[: readings.crowd.shape[1]]]
        return Predictions(
            mix(readings.probabilities, self.probabilities),
            mix(readings.crowd, unknown),
            mix(readings.fer2013, self.fer2013),
            readings.classes,
        )


class Classifier:
    """An expression model.

    Everything that is needed to use the network stands in its file: labels, input size, normalisation, and how
    the readings are made from its heads. The file's hash, labels and shapes are checked.

    Attributes:
        name: the model's name, as its file states it.
        size: side in pixels of the faces it reads.
        classes: the words of its answer: `mien.labels.EXPRESSIONS`, or the classes it was trained on.
        metadata: all that its file states of it, by keys such as ``mien.name``.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "base",
        *,
        threads: int | None = None,
        prior: Prior | None = None,
    ) -> None:
        """Loads a model.

        Args:
            model: the name of a model that comes with mien, a folder that `mien train` made, or an ONNX file.
            threads: CPU threads to use; None leaves it to ONNX Runtime.
            prior: how often each expression is to be expected: a number for each, or ``even``. `probabilities`
                are moved there (see `mien.prior`); the other readings say what people voted, and stay. None
                leaves all as the model was made.

        Raises:
            ModelError: there is no such model, or its hash, labels or shapes do not fit.
            ConfigError: the prior does not fit the model's expressions, or the model does not state its own; or
                `threads` is out of range.
        """
        if threads is not None and not 1 <= threads <= 1024:
            raise ConfigError(f"threads {threads}: choose 1 to 1024, or None")
        ort = onnx_runtime()

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
        self.size, self.classes = _check(str(path), self._session, metadata)
        self.name = metadata["mien.name"]
        self.metadata = metadata
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._trust = _read_trust(str(path), metadata["mien.trust"], len(self.classes), self._outputs)
        self._shares: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        if prior is not None:
            new = prior_shares(prior, self.classes)
            self._shares = _leanings(str(path), metadata.get("mien.prior"), self.classes), new
            self._trust = replace(self._trust, probabilities=new.tolist())

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
            The readings, a row for each face, in the same order.
        """
        widths = {"probabilities": len(self.classes), "crowd": len(CROWD), "fer2013": len(EXPRESSIONS)}
        found = {name: [np.empty((0, widths[name]), np.float32)] for name in self._outputs}
        for start in range(0, len(faces), batch_size):
            outputs = self._session.run(self._outputs, {"faces": faces[start : start + batch_size]})
            for name, output in zip(self._outputs, outputs, strict=True):
                found[name].append(output)
        none = [np.empty((len(faces), 0), np.float32)]
        probabilities, crowd, fer2013 = (np.concatenate(found.get(name, none)) for name in OUTPUTS)
        readings = Predictions(probabilities, crowd, fer2013, self.classes)
        if self._shares is not None:
            # Before small faces are believed less: it is the network's answer that leans as the file states. What
            # is said of a face that nobody saw is the prior itself.
            moved = shift(readings.probabilities, *self._shares)
            readings = replace(readings, probabilities=moved)
        return readings if sides is None else self._trust.apply(readings, sides)


def _leanings(path: str, text: str | None, expressions: tuple[str, ...]) -> NDArray[np.float64]:
    """The shares that the network's answer leans towards, as the model's file states them."""
    if text is None:
        raise ConfigError(
            f"prior: {path} does not state mien.prior, what its answer leans towards; make it anew with mien train"
        )
    try:
        shares = np.array(json.loads(text), np.float64)
        if shares.shape != (len(expressions),) or not np.isfinite(shares).all() or (shares < 0).any():
            raise ValueError(f"must be {len(expressions)} shares")
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: its mien.prior is damaged ({error}); make it with mien train") from error
    if never := [name for name, share in zip(expressions, shares, strict=True) if share == 0]:
        raise ConfigError(
            f"prior: {path} was made with no face of {', '.join(never)} to measure its answer on; use it without"
        )
    return shares


def _read_trust(path: str, text: str, expressions: int, outputs: list[str]) -> Trust:
    try:
        trust = Trust(**json.loads(text))
        labels = len(EXPRESSIONS) if "fer2013" in outputs else 0
        if (len(trust.probabilities), len(trust.fer2013)) != (expressions, labels):
            raise ValueError(f"must hold {expressions} and {labels} shares")
        if len(trust.sides) != len(trust.weights):
            raise ValueError("must hold as many weights as sides")
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: its mien.trust is damaged ({error}); make it with mien train") from error
    return trust


def _check(path: str, session: Any, metadata: dict[str, str]) -> tuple[int, tuple[str, ...]]:
    """Refuses a network that does not take and give what mien expects.

    Returns:
        The side of its faces, and its expressions.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if inputs else []
    square = len(shape) == 3 and isinstance(shape[1], int) and shape[1] == shape[2]
    if len(inputs) != 1 or inputs[0].name != "faces" or inputs[0].type != "tensor(uint8)" or not square:
        raise ModelError(f"{path}: its input must be 'faces', uint8 (N, S, S); make it with mien train")
    found = {output.name: output.shape[-1:] for output in outputs}
    if own := list(found) == ["probabilities"]:
        expressions = _own_expressions(path, metadata)
        expected = {"probabilities": [len(expressions)]}
    else:
        expressions = EXPRESSIONS
        expected = {name: [len(words)] for name, words in OUTPUTS.items()}
    if found != expected:
        raise ModelError(f"{path}: its outputs are {found}, must be {expected}; make it with mien train")
    for key, words in () if own else (("mien.expressions", EXPRESSIONS), ("mien.crowd", CROWD)):
        if metadata.get(key) != json.dumps(words):
            raise ModelError(f"{path}: its {key} are {metadata.get(key)}, must be {json.dumps(words)}")
    if missing := {"mien.name", "mien.trust"} - set(metadata):
        raise ModelError(f"{path}: does not state {', '.join(sorted(missing))}; make it with mien train")
    return int(shape[1]), expressions


def _own_expressions(path: str, metadata: dict[str, str]) -> tuple[str, ...]:
    """The classes of a model that gives `probabilities` alone, as its file states them."""
    text = metadata.get("mien.expressions", "")
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if (
        not isinstance(names, list)
        or len(names) < 2
        or not all(isinstance(name, str) and name and name.isprintable() for name in names)
        or len(set(names)) < len(names)
    ):
        raise ModelError(
            f"{path}: its mien.expressions are {text or 'missing'}, must be a JSON list of the names of "
            "its classes, two or more and no two alike; make it with mien train"
        )
    if "mien.crowd" in metadata:
        raise ModelError(f"{path}: states mien.crowd, but has no output crowd; make it with mien train")
    return tuple(names)
