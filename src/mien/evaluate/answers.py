"""What a model, ours or a peer's, says of each face of a split; and the file in which it is kept.

A prediction file is CSV or Parquet with a row for each face and these columns:

- ``row``: the face's place in the split as `mien.datasets.read_dataset` gives it, counted from 0; needed.
- what is said of it; needed, in one of three forms:
  ``<word>`` for each expression (one reading, as most peers give), or ``<reading>_<word>`` with the readings
  ``probabilities``, ``crowd``, ``fer2013`` (as mien writes it), each a share in [0, 1]; or ``answer``, a word.
- ``image``: CRC-32 of the face's 48×48 grey levels in 8 hexadecimal digits; optional, and checked where it is.
- ``label``: the original label, a word; optional.
- ``votes_<word>`` for each answer of `mien.labels.CROWD`: how many people gave it; optional.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mien.classify import OUTPUTS, Classifier
from mien.datasets import Dataset
from mien.errors import ConfigError, DatasetError
from mien.evaluate.truths import People, people_of
from mien.files import replacing
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model

SUFFIXES: Final = (".csv", ".parquet")
_ONE: Final = "probabilities"
# Shares that a peer rounded to two digits still sum to one within this.
_ROUNDING: Final = 0.1
_CHUNK: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One answer to each face.

    Attributes:
        words: what the columns stand for.
        shares: float64 (N, K), each row sums to one.
        graded: whether `shares` say how sure the answer is; False where only a word was given.
    """

    words: tuple[str, ...]
    shares: NDArray[np.float64]
    graded: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """All that a model says of the faces of a split.

    Attributes:
        name: of the model, or of the file.
        sha256: of the model's file, or of the prediction file.
        readings: by name; a peer has one, called ``probabilities``.
        temperatures: by the reading's name, the temperature by which the model's file divides logarithms before
            it answers; empty where none is known.
        file: whether it was read from a prediction file.
        views: how many pictures of a face the model looks at; None where that is not known.
    """

    name: str
    sha256: str
    readings: dict[str, Reading]
    temperatures: dict[str, float] = field(default_factory=dict)
    file: bool = False
    views: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PredictionFile:
    """A prediction file as it was read.

    Attributes:
        answers: what it says.
        images: CRC-32 of each face's pixels, uint32 (N,); None where the file has none.
        people: what people said, where the file has it.
    """

    answers: Answers
    images: NDArray[np.uint32] | None
    people: People | None


def read_faces(
    classifier: Classifier, images: NDArray[np.uint8], advance: Callable[[int], None] = lambda count: None
) -> dict[str, Reading]:
    """The readings of faces, in chunks; `advance` is told of each chunk's number of faces."""
    chunks = []
    for start in range(0, len(images), _CHUNK):
        chunks.append(classifier.classify(images[start : start + _CHUNK]))
        advance(len(images[start : start + _CHUNK]))
    readings = {}
    for name, words in (OUTPUTS | {"probabilities": classifier.classes}).items():
        shares = np.concatenate([getattr(chunk, name) for chunk in chunks]).astype(np.float64)
        # A model with classes of its own has no other reading.
        if shares.shape[1]:
            readings[name] = Reading(words, shares)
    return readings


def answers_of_model(
    model: str,
    images: NDArray[np.uint8],
    *,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Answers, Classifier]:
    """What a model of mien says of faces, and the model.

    Args:
        model: a name, a folder or an ONNX file.
        images: uint8 (N, 48, 48).
        threads: CPU threads to use; None leaves it to ONNX Runtime.
        advance: told of the faces done.

    Raises:
        ModelError: there is no such model, or it does not fit.
    """
    classifier = Classifier(model, threads=threads)
    readings = read_faces(classifier, images, advance)
    digest = hashlib.sha256(find_model(model).read_bytes()).hexdigest()
    stated = classifier.metadata
    names = {"answer": "probabilities"}
    temperatures = {
        names.get(name, name): float(value)
        for name, value in json.loads(stated.get("mien.temperatures", "{}")).items()
    }
    views = int(stated["mien.views"]) if "mien.views" in stated else None
    return Answers(classifier.name, digest, readings, temperatures, views=views), classifier


def image_keys(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32 of each face's pixels: (N,)."""
    return np.array([crc32(image.tobytes()) for image in images], np.uint32)


def write_predictions(path: Path, answers: Answers, data: Dataset) -> None:
    """Writes what a model says of a split, with what people said, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    people = people_of(data)
    columns: dict[str, Any] = {
        "row": np.arange(len(data)),
        "image": [f"{key:08x}" for key in image_keys(data.images)],
        "label": [people.classes[label] for label in people.labels],
    }
    if people.votes is not None:
        columns |= {f"votes_{word}": people.votes[:, index] for index, word in enumerate(CROWD)}
    for name, reading in answers.readings.items():
        for index, word in enumerate(reading.words):
            columns[f"{name}_{word}"] = reading.shares[:, index].astype(np.float32)
    with replacing(path) as part:
        pq.write_table(pa.table(columns), part)


def is_prediction_file(name: str) -> bool:
    """Whether a name is that of a prediction file, by its ending."""
    return name.lower().endswith(SUFFIXES)


def read_predictions(path: str | Path) -> PredictionFile:
    """Reads a prediction file.

    Raises:
        DatasetError: it cannot be read, or its columns do not fit the format.
        ConfigError: pyarrow is not installed.
    """
    path = Path(path)
    columns = _columns(path)
    if "row" not in columns:
        raise DatasetError(f"{path}: no column 'row'; found {', '.join(columns) or 'none'}")
    rows = _numbers(path, columns, ["row"])[:, 0]
    if len(rows) == 0 or not np.array_equal(np.sort(rows), np.arange(len(rows))):
        raise DatasetError(
            f"{path}: its rows must be 0 to N-1, each once, one for each face of the split; "
            f"found {len(rows)} rows" + (f" from {rows.min():g} to {rows.max():g}" if len(rows) else "")
        )
    order = np.argsort(rows)
    columns = {name: [values[index] for index in order] for name, values in columns.items()}
    images = None
    if "image" in columns:
        try:
            images = np.array([int(str(key), 16) for key in columns["image"]], np.uint32)
        except (ValueError, OverflowError) as error:
            raise DatasetError(f"{path}: 'image' must be 8 hexadecimal digits ({error})") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    answers = Answers(path.stem, digest, _readings(path, columns), file=True)
    return PredictionFile(answers, images, _people(path, columns))


def _columns(path: Path) -> dict[str, list[Any]]:
    try:
        import pyarrow as pa
        import pyarrow.csv as pc
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError('reading predictions needs pyarrow: pip install "mien[evaluate]"') from None
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
        else:
            # A key of eight digits is no number, and must not become one.
            options = pc.ConvertOptions(column_types={"image": pa.string()})
            table = pc.read_csv(path, convert_options=options)
        names = table.column_names
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: not a prediction file (its first line is not UTF-8); save it as UTF-8"
        ) from error
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise DatasetError(f"{path}: not a prediction file ({reason})") from error
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{path}: has {double[0]!r} twice, give each column a name of its own")
    return {name: table[name].to_pylist() for name in names}


def _readings(path: Path, columns: dict[str, list[Any]]) -> dict[str, Reading]:
    """The readings in a file's columns, whichever of the three forms it has."""
    readings = {}
    for name in OUTPUTS:
        found = [column for column in columns if column.startswith(f"{name}_")]
        if found:
            words = tuple(column.removeprefix(f"{name}_") for column in found)
            readings[name] = Reading(words, _shares(path, columns, found))
    if readings:
        if _ONE not in readings:
            raise DatasetError(f"{path}: with columns {next(iter(readings))}_..., {_ONE}_... are needed too")
        return readings
    if "answer" in columns:
        words = tuple(sorted(set(map(str, columns["answer"]))))
        chosen = np.array([words.index(str(word)) for word in columns["answer"]])
        return {_ONE: Reading(words, np.eye(len(words))[chosen], graded=False)}
    about = {"row", "image", "label"}
    found = [name for name in columns if name not in about and not name.startswith("votes_")]
    if len(found) < 2:
        raise DatasetError(
            f"{path}: needs a column for each expression, or a column 'answer'; found {', '.join(columns)}"
        )
    return {_ONE: Reading(tuple(found), _shares(path, columns, found))}


def _shares(path: Path, columns: dict[str, list[Any]], names: list[str]) -> NDArray[np.float64]:
    shares = _numbers(path, columns, names)
    total = shares.sum(axis=1, keepdims=True)
    wrong = np.flatnonzero((shares < 0).any(axis=1) | (np.abs(total[:, 0] - 1) > _ROUNDING))
    if len(wrong):
        raise DatasetError(
            f"{path}, row {wrong[0]}: {', '.join(names)} must be shares that sum to 1; "
            f"they sum to {total[wrong[0], 0]:.3g}"
        )
    even: NDArray[np.float64] = shares / total
    return even


def _numbers(path: Path, columns: dict[str, list[Any]], names: list[str]) -> NDArray[np.float64]:
    try:
        numbers = np.array([columns[name] for name in names], np.float64).T
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path}: {', '.join(names)} must be numbers ({error})") from error
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise DatasetError(f"{path}, row {row}: {', '.join(names)} must be numbers, none missing")
    return numbers


def _people(path: Path, columns: dict[str, list[Any]]) -> People | None:
    if "label" not in columns:
        return None
    labels = [str(label) for label in columns["label"]]
    votes = None
    if all(f"votes_{word}" in columns for word in CROWD):
        counts = _numbers(path, columns, [f"votes_{word}" for word in CROWD])
        wrong = np.flatnonzero((counts != counts.astype(np.uint8)).any(axis=1))
        if len(wrong):
            raise DatasetError(f"{path}, row {wrong[0]}: votes must be whole numbers of people, 0 to 255")
        votes = counts.astype(np.uint8)
        if strange := sorted(set(labels) - set(EXPRESSIONS)):
            raise DatasetError(
                f"{path}: with votes, 'label' must be one of {', '.join(EXPRESSIONS)}; found {', '.join(strange)}"
            )
    return People.of_words(labels, votes)
