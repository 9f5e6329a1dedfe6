"""What a network is to say of each face: the people's votes, the labels, and what teachers say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classify import Classifier
from mien.datasets import Dataset
from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.train.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Shares that the two heads are to imitate, a row for each of N faces; each row sums to one.

    Attributes:
        crowd: float32 (N, 10); (N, 0) where the classes are not the seven expressions, and nobody voted.
        labels: float32 (N, K), not yet smoothed.
    """

    crowd: NDArray[np.float32]
    labels: NDArray[np.float32]


def make_targets(data: Dataset, recipe: Recipe) -> Targets:
    """What the data says, smoothed and mixed with what the recipe's teachers say, as the recipe has it.

    Raises:
        ConfigError: a teacher knows other classes than the data.
    """
    classes = len(data.classes)
    crowd, labels = vote_shares(data), np.eye(classes, dtype=np.float32)[data.labels]
    if recipe.vote_smoothing and crowd.shape[1]:
        expected = crowd @ labels_by_answer(crowd, labels)
        labels = (1 - recipe.vote_smoothing) * labels + recipe.vote_smoothing * expected
    labels = (1 - recipe.label_smoothing) * labels + recipe.label_smoothing / classes
    if recipe.teachers:
        weight = np.float32(recipe.teacher_weight)
        readings = [_read(teacher, data) for teacher in recipe.teachers]
        crowd = (1 - weight) * crowd + weight * np.mean([reading.crowd for reading in readings], axis=0)
        labels = (1 - weight) * labels + weight * np.mean([reading.labels for reading in readings], axis=0)
    return Targets(crowd, labels.astype(np.float32))


def vote_shares(data: Dataset) -> NDArray[np.float32]:
    """What share of people gave each of the ten answers: float32 (N, 10), each row sums to one.

    Where nobody voted, the face's label stands for the only person asked. (N, 0) for other classes.
    """
    if data.classes != EXPRESSIONS:
        return np.empty((len(data), 0), np.float32)
    shares = np.eye(len(CROWD), dtype=np.float32)[data.labels]
    if data.votes is not None:
        total = data.votes.sum(axis=1, keepdims=True, dtype=np.float32)
        np.divide(data.votes, total, out=shares, where=total > 0)
    return shares


def labels_by_answer(crowd: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What share of the faces that a person calls so has each label: from (N, 10) and (N, K), float32 (10, K).

    Each row sums to one; that of an answer nobody gave is zero, and no face's votes reach it.
    """
    counts = crowd.T @ labels
    shares: NDArray[np.float32] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-30)
    return shares


def _read(teacher: str, data: Dataset) -> Targets:
    """A teacher's readings of the faces, each of them and its mirror image looked at."""
    classifier = Classifier(teacher)
    if classifier.classes != data.classes:
        raise ConfigError(
            f"teacher {teacher}: knows {', '.join(classifier.classes)}; the data has {', '.join(data.classes)}"
        )
    faces = [data.images]
    if classifier.metadata.get("mien.views") != "2":  # one that looks at both already says the same of both
        faces.append(np.ascontiguousarray(data.images[:, :, ::-1]))
    views = [classifier.classify(images) for images in faces]
    own = data.classes != EXPRESSIONS
    labels = [view.probabilities if own else view.fer2013 for view in views]
    return Targets(np.mean([view.crowd for view in views], axis=0), np.mean(labels, axis=0))
