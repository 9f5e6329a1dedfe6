"""Several models on the same faces: the same table side by side, and whether a difference is more than noise."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from mien.datasets import Dataset
from mien.errors import ConfigError, DatasetError
from mien.evaluate.answers import Answers, answers_of_model, is_prediction_file, read_predictions
from mien.evaluate.calibration import calibration
from mien.evaluate.metrics import rounded, score, with_interval
from mien.evaluate.run import Bar, fitting, no_bar
from mien.evaluate.truths import People, Truth, chosen, differing, people_of, shares_for, truths_of
from mien.evaluate.votes import against_votes


def gather(
    names: list[str],
    data: Dataset | None,
    *,
    threads: int | None = None,
    bar: Bar = no_bar,
) -> tuple[list[Answers], People]:
    """Reads prediction files, and lets models read the faces.

    Args:
        names: models and prediction files.
        data: the faces; None takes what people said from the first prediction file that has votes, or else labels.
        threads: CPU threads; None leaves it to ONNX Runtime.
        bar: shows how far the work is.

    Returns:
        What each says, in order, those of one name called as they were given here; and what people said.

    Raises:
        ConfigError: a model is named but no data, or nothing says what people said.
        DatasetError: a file cannot be read, or is about other faces.
        ModelError: there is no such model.
    """
    if data is not None:
        answers = []
        readers = sum(not is_prediction_file(name) for name in names)
        with bar(readers * len(data)) as advance:
            for name in names:
                if is_prediction_file(name):
                    answers.append(fitting(read_predictions(name), data, name))
                else:
                    answers.append(answers_of_model(name, data.images, threads=threads, advance=advance)[0])
        return _told_apart(answers, names), people_of(data)
    if models := [name for name in names if not is_prediction_file(name)]:
        raise ConfigError(f"{models[0]} is a model, and must read the faces itself: name them with --data")
    files = [read_predictions(name) for name in names]
    told = [file.people for file in files if file.people is not None]
    people = next((people for people in told if people.votes is not None), told[0] if told else None)
    if people is None:
        raise ConfigError("none of the files has the column 'label': name the data with --data")
    images = next((file.images for file in files if file.images is not None), None)
    for name, file in zip(names, files, strict=True):
        n = len(next(iter(file.answers.readings.values())).shares)
        other = file.images is not None and images is not None and not np.array_equal(file.images, images)
        if n != len(people.labels) or other:
            raise DatasetError(
                f"{name}: is about other faces than the other files (other number or pictures)"
            )
        if file.people is not None and len(wrong := differing(file.people, people)):
            raise DatasetError(
                f"{name}, row {wrong[0]}: has another label or other votes than the file before, as have "
                f"{len(wrong)} of {n} rows"
            )
    return _told_apart([file.answers for file in files], names), people


def _told_apart(answers: list[Answers], names: list[str]) -> list[Answers]:
    """The same, but that models of one name, as a shipped one and that which is to follow it, have that given."""
    own = [answer.name for answer in answers]
    return [
        answer if own.count(answer.name) == 1 else replace(answer, name=name)
        for answer, name in zip(answers, names, strict=True)
    ]


def compare(models: list[Answers], people: People) -> dict[str, Any]:
    """Holds models against every truth, and each against the first.

    Args:
        models: two or more, about the same faces in the same order.
        people: what people said of these faces.

    Returns:
        By truth: ``models`` (the scores of each) and ``against_first`` (the paired difference of each other one
        to the first); with votes, ``votes``: the agreement of each with people.

    Raises:
        ConfigError: the labels of a model do not fit the data's.
    """
    result: dict[str, Any] = {
        "n": len(people.labels),
        "models": [{"name": model.name, "sha256": model.sha256, "views": model.views} for model in models],
        "truths": {},
    }
    truths = [{truth.key: truth for truth in truths_of(people, model.readings)} for model in models]
    for key, truth in truths[0].items():
        if not all(key in others for others in truths):
            continue
        shares = [
            shares_for(others[key], model.readings) for others, model in zip(truths, models, strict=True)
        ]
        rows = []
        for (said, graded), others in zip(shares, truths, strict=True):
            row = score(said, others[key], graded=graded)
            counted = others[key].counted
            row["calibration"] = calibration(said[counted], others[key].labels[counted]) if graded else None
            rows.append(row)
        right = [
            _words(said, others[key]) == _words_of_labels(others[key])
            for (said, _), others in zip(shares, truths, strict=True)
        ]
        result["truths"][key] = {
            "title": truth.title,
            "n": rows[0]["n"],
            # A model may know words that another does not.
            "faces": {word: c["n"] for row in rows for word, c in row["classes"].items()},
            "models": rows,
            "against_first": [paired(truth, other, right[0]) for other in right[1:]],
        }
    if people.votes is not None:
        result["votes"] = [
            against_votes(model.readings.get("crowd") or model.readings["probabilities"], people.votes)
            for model in models
        ]
    return rounded(result)


def _words(shares: NDArray[np.float64], truth: Truth) -> NDArray[np.str_]:
    """The answers as words: models may order them differently."""
    answers: NDArray[np.str_] = np.array([*truth.words, "no answer"])[chosen(shares).clip(-1)]
    return answers


def _words_of_labels(truth: Truth) -> NDArray[np.str_]:
    labels: NDArray[np.str_] = np.where(truth.counted, np.array(truth.words)[truth.labels], "")
    return labels


def paired(truth: Truth, other: NDArray[np.bool_], first: NDArray[np.bool_]) -> dict[str, Any]:
    """The difference of two models on the same faces, and how sure it is.

    Args:
        truth: which faces count, and their classes.
        other: bool (N,), where the one model is right.
        first: bool (N,), where the model is right that it is held against.

    Returns:
        ``accuracy`` and ``mean_recall``: other minus first, with paired bootstrap intervals; ``only_other_right``
        and ``only_first_right``: faces; ``mcnemar_p``: exact (binomial) two-sided probability of a split at
        least as uneven, were both equally good (McNemar 1947).
    """
    counted = truth.counted
    counts = np.zeros((len(truth.words), 2, 2), np.int64)
    np.add.at(counts, (truth.labels[counted], other[counted].astype(int), first[counted].astype(int)), 1)
    only_other, only_first = int(counts[:, 1, 0].sum()), int(counts[:, 0, 1].sum())
    discordant = only_other + only_first
    return {
        "accuracy": with_interval(counts, accuracy_difference),
        "mean_recall": with_interval(counts, recall_difference),
        "only_other_right": only_other,
        "only_first_right": only_first,
        "mcnemar_p": float(binomtest(only_other, discordant).pvalue) if discordant else 1.0,
    }


def accuracy_difference(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of counts (..., class, other right, first right): accuracy of the other minus that of the first."""
    difference = (counts[..., 1, 0] - counts[..., 0, 1]).sum(axis=-1)
    share: NDArray[np.float64] = difference / counts.sum(axis=(-3, -2, -1))
    return share


def recall_difference(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of counts (..., class, other right, first right): the difference of mean recalls."""
    support = counts.sum(axis=(-2, -1))
    there = support > 0
    difference = (counts[..., 1, 0] - counts[..., 0, 1]) / np.where(there, support, 1)
    mean: NDArray[np.float64] = (difference * there).sum(axis=-1) / there.sum(axis=-1)
    return mean
