"""One evaluation: a model and a data set in, one record of numbers out."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.datasets import Dataset, crowd_majority, data_sha256, has_twin, read_dataset
from mien.errors import ConfigError, DatasetError
from mien.evaluate import robustness as spoilt
from mien.evaluate.answers import (
    Answers,
    PredictionFile,
    answers_of_model,
    image_keys,
    is_prediction_file,
    read_predictions,
)
from mien.evaluate.calibration import calibration, risk_coverage, undo_temperature
from mien.evaluate.metrics import RESAMPLES, SEED, rounded, score
from mien.evaluate.truths import ORIGINAL, Truth, chosen, differing, people_of, shares_for, truths_of
from mien.evaluate.votes import against_votes, label_noise
from mien.labels import EXPRESSIONS
from mien.runtime import processor, version_of

_PART: Final = 4096

Bar = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""From a number of faces to a context that yields what is told of the faces done."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured, and what it was measured on.

    Attributes:
        metrics: the numbers, ready for JSON; documented in docs/evaluation.md.
        data: the faces.
        answers: what the model says of them.
        truths: what it was held against, the one that answers people first.
        notes: what could not be measured or should be known, a line each.
    """

    metrics: dict[str, Any]
    data: Dataset
    answers: Answers
    truths: list[Truth]
    notes: list[str]


@contextmanager
def no_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Shows nothing."""
    yield lambda count: None


def evaluate(
    path: str | Path,
    model: str = "base",
    *,
    split: str = "test",
    robustness: bool = False,
    find_faces: bool = False,
    threads: int | None = None,
    bar: Bar = no_bar,
) -> Evaluation:
    """Holds a model against every truth that a data set has.

    Args:
        path: a data set in any shape that `mien.datasets.read_dataset` knows.
        model: a name, a folder, an ONNX file, or a prediction file (see `mien.evaluate.answers`).
        split: which part of the data.
        robustness: whether to read spoilt faces too.
        find_faces: the pictures are photographs, see `mien.datasets.read_dataset`.
        threads: CPU threads; None leaves it to ONNX Runtime.
        bar: shows how far the work is.

    Raises:
        DatasetError: the data, its split or the prediction file cannot be read.
        ModelError: there is no such model.
        ConfigError: the labels of model and data do not fit.
    """
    data = read_dataset(path, split, find_faces=find_faces)
    people = people_of(data)
    robust = None
    if is_prediction_file(model):
        if robustness:
            raise ConfigError(
                f"{model}: a file of predictions cannot read spoilt faces; leave out --robustness"
            )
        answers = fitting(read_predictions(model), data, model)
        truths = truths_of(people, answers.readings)
    else:
        faces = len(data) + (spoilt.passes(len(data)) if robustness else 0)
        with bar(faces) as advance:
            answers, classifier = answers_of_model(model, data.images, threads=threads, advance=advance)
            truths = truths_of(people, answers.readings)
            if robustness:
                robust = spoilt.robustness(classifier, data.images, truths, answers.readings, advance)
    metrics: dict[str, Any] = {
        "model": {"name": answers.name, "sha256": answers.sha256, "temperatures": answers.temperatures},
        "data": {
            "split": split,
            "n": len(data),
            "sha256": data_sha256(data),
            "votes": people.votes is not None,
        },
        "protocol": {
            "views": answers.views,
            "intervals": f"95 % bootstrap, {RESAMPLES} resamples, seed {SEED}",
        },
        "accuracy": {},
        "calibration": {},
    }
    for truth in truths:
        shares, graded = shares_for(truth, answers.readings)
        metrics["accuracy"][truth.key] = score(shares, truth, graded=graded)
        if graded:
            metrics["calibration"][truth.key] = calibrated(truth, answers)
    notes = notes_on(data, truths)
    try:
        metrics["without_copies_in_training"] = without_copies(
            path, split, data, answers, truths, find_faces=find_faces
        )
    except DatasetError as error:
        metrics["without_copies_in_training"] = None
        notes.append(f"copies of faces in Training were not looked for: {error}")
    if people.votes is not None:
        metrics["votes"] = against_votes(
            answers.readings.get("crowd") or answers.readings["probabilities"], people.votes
        )
        original = next(truth for truth in truths if truth.key == ORIGINAL)
        metrics["label_noise"] = label_noise(
            chosen(shares_for(original, answers.readings)[0]),
            people.labels,
            crowd_majority(people.votes),
        )
    if robust is not None:
        metrics["robustness"] = robust
    metrics["made_with"] = surroundings()
    return Evaluation(rounded(metrics), data, answers, truths, notes)


def fitting(file: PredictionFile, data: Dataset, name: str) -> Answers:
    """The answers of a prediction file, if they are about these very faces.

    Raises:
        DatasetError: another number of faces, or other pixels.
    """
    n = len(next(iter(file.answers.readings.values())).shares)
    if n != len(data):
        raise DatasetError(
            f"{name}: has {n} rows, and the split has {len(data)} faces; one row a face is needed"
        )
    if file.images is not None and len(wrong := np.flatnonzero(file.images != image_keys(data.images))):
        raise DatasetError(
            f"{name}, row {wrong[0]}: is about another picture than the data's (column 'image'), "
            f"as are {len(wrong)} of {n} rows; was it made on another data set or in another order?"
        )
    if file.people is not None and len(wrong := differing(file.people, people_of(data))):
        raise DatasetError(
            f"{name}, row {wrong[0]}: has another label or other votes than the data, as have {len(wrong)} of {n} "
            "rows; was it made on another split or in another order?"
        )
    return file.answers


def calibrated(truth: Truth, answers: Answers) -> dict[str, Any]:
    """Calibration as the model answers and before its temperature, and what leaving out the unsure gains."""
    counted = truth.counted
    labels = truth.labels[counted]
    shares, _ = shares_for(truth, answers.readings)
    temperature = answers.temperatures.get(truth.reading)
    before = None
    if temperature is not None:
        reading = answers.readings[truth.reading]
        undone = replace(reading, shares=undo_temperature(reading.shares, temperature))
        before = calibration(shares_for(truth, {truth.reading: undone})[0][counted], labels)
    return {
        "reading": truth.reading,
        "temperature": temperature,
        "after": calibration(shares[counted], labels),
        "before": before,
        "risk_coverage": risk_coverage(shares[counted], labels),
    }


def without_copies(
    path: str | Path,
    split: str,
    data: Dataset,
    answers: Answers,
    truths: list[Truth],
    *,
    find_faces: bool = False,
) -> dict[str, Any] | None:
    """Accuracies without the faces that have a near copy in Training; None for Training itself.

    Raises:
        DatasetError: the data has no such part, or it cannot be read.
    """
    if split == "train":
        return None
    training = read_dataset(path, "train", find_faces=find_faces)
    copies = np.zeros(len(data), np.bool_)
    # In parts: all of Training at once would be held as floats.
    for start in range(0, len(training), _PART):
        copies |= has_twin(data.images, training.images[start : start + _PART])
    result: dict[str, Any] = {"copies": int(copies.sum()), "copies_are": "faces that correlate above 0.95"}
    for truth in truths:
        fresh = replace(truth, labels=np.where(copies, -1, truth.labels))
        if fresh.counted.any():
            shares, _ = shares_for(fresh, answers.readings)
            scored = score(shares, fresh)
            result[truth.key] = {key: scored[key] for key in ("n", "accuracy", "mean_recall")}
    return result


def notes_on(data: Dataset, truths: list[Truth]) -> list[str]:
    """What a reader should know about what could not be measured."""
    notes = (
        [f"{len(data.skipped)} pictures were left out, the first: {data.skipped[0]}"] if data.skipped else []
    )
    if data.votes is None and data.classes == EXPRESSIONS:
        notes.append(
            "the data has no FER+ votes: agreement with people, FER+ accuracy and label noise are left out "
            "(fer2013new.csv beside fer2013.csv brings them)"
        )
    elif data.votes is not None and people_of(data).votes is None:
        notes.append(
            "no face has two FER+ votes: agreement with people, FER+ accuracy and label noise are left out"
        )
    for truth in truths:
        present = np.bincount(truth.labels[truth.counted], minlength=len(truth.words)) > 0
        empty = [word for word, there in zip(truth.words, present, strict=True) if not there]
        if empty:
            notes.append(
                f"{truth.title}: no face is {' or '.join(empty)}; the means over classes leave that out"
            )
    return notes


def surroundings() -> dict[str, Any]:
    """What the numbers were made with; another machine may turn a face or two."""
    packages = ("mien", "numpy", "onnxruntime", "scikit-learn", "scipy", "pillow")
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores visible, {platform.system()}",
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in packages},
    }
