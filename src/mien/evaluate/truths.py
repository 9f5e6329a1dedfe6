"""What an answer is held against: the truths that a data set has, each with its protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.datasets import Dataset, crowd_majority
from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS

if TYPE_CHECKING:
    from mien.evaluate.answers import Reading


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What people said of faces.

    Attributes:
        classes: the words of the labels.
        labels: int64 (N,), an index into `classes`.
        votes: uint8 (N, 10), in the order of `mien.labels.CROWD`; None where no face has two.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8] | None

    @classmethod
    def of_words(cls, labels: list[str], votes: NDArray[np.uint8] | None) -> "People":
        """From a word a face; the classes are FER-2013's where these suffice."""
        found = set(labels)
        classes = EXPRESSIONS if found <= set(EXPRESSIONS) else tuple(sorted(found))
        indices = np.array([classes.index(label) for label in labels], np.int64)
        return cls(classes, indices, _comparable(votes))


def differing(one: People, other: People) -> NDArray[np.int64]:
    """The faces whose label, or whose votes where both have some, differ: indices."""
    words = [np.array(people.classes)[people.labels] for people in (one, other)]
    different = words[0] != words[1]
    if one.votes is not None and other.votes is not None:
        different |= (one.votes != other.votes).any(axis=1)
    return np.flatnonzero(different)


def people_of(data: Dataset) -> People:
    """What people said of the faces of a data set."""
    return People(data.classes, data.labels, _comparable(data.votes))


def _comparable(votes: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Votes, if there are two of any face: an answer is held against what others gave."""
    return None if votes is None or votes.sum(axis=1).max(initial=0) < 2 else votes


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One truth under one protocol.

    Attributes:
        key: its name in files.
        title: its name for people.
        reading: which reading answers it: ``crowd``, ``fer2013`` or ``probabilities``; a peer has only the last.
        words: the classes of the protocol.
        labels: int64 (N,), an index into `words`; -1 where the protocol leaves the face out.
    """

    key: str
    title: str
    reading: str
    words: tuple[str, ...]
    labels: NDArray[np.int64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which faces the protocol counts: bool (N,)."""
        return self.labels >= 0


FERPLUS_8 = "ferplus_majority_8"
FERPLUS_7 = "ferplus_majority_7"
ORIGINAL = "original_labels"
OWN = "labels"


def truths_of(people: People, readings: Mapping[str, "Reading"]) -> list[Truth]:
    """The truths that the data has, the one that answers people first.

    With votes: FER+ by the literature's protocol with 7 classes (`mien.datasets.crowd_majority`, contempt left
    out) and 8, and the original labels. Without: the labels, held against the answer that people get and, where
    they are FER-2013's words, against the reading that imitates FER-2013's labels.

    Args:
        people: what people said.
        readings: what a model says, which must know the words of the labels.

    Raises:
        ConfigError: the labels of the data are not those of the model.
    """
    known = _known_words(people, readings)
    crowd, fer2013 = (name if name in readings else "probabilities" for name in ("crowd", "fer2013"))
    if people.votes is None:
        labels = np.array([known.index(word) for word in people.classes], np.int64)[people.labels]
        truths = [Truth(OWN, "the data's labels", "probabilities", known, labels)]
        if people.classes == EXPRESSIONS and "fer2013" in readings:
            truths.append(Truth(ORIGINAL, "the data's labels", "fer2013", EXPRESSIONS, people.labels))
        return truths
    majority = crowd_majority(people.votes)
    seven = np.where(majority < len(EXPRESSIONS), majority, -1)
    truths = [
        Truth(FERPLUS_7, "FER+ majority, 7 classes", "probabilities", EXPRESSIONS, seven),
        Truth(FERPLUS_8, "FER+ majority, 8 classes", crowd, CROWD[:8], majority),
        Truth(ORIGINAL, "original labels, 7 classes", fer2013, EXPRESSIONS, people.labels),
    ]
    return [truth for truth in truths if truth.counted.any()]


def _known_words(people: People, readings: Mapping[str, "Reading"]) -> tuple[str, ...]:
    """The words that a model can say; all of the data's must be among them."""
    reading = readings.get("probabilities") or next(iter(readings.values()))
    # A file of bare answers names only the words that were said: others may exist, but some must be the data's.
    strict = reading.graded or not set(reading.words) & set(people.classes)
    unknown = sorted(set(people.classes) - set(reading.words))
    if strict and unknown:
        raise ConfigError(
            f"the model's labels do not fit the data: it does not know {', '.join(unknown)}; "
            f"it knows {', '.join(reading.words)}"
        )
    strange = sorted(set(reading.words) - {*people.classes, *CROWD})
    if not reading.graded and strange:
        raise ConfigError(
            f"the model's answers do not fit the data: {', '.join(strange)} is no word of its labels, which are "
            f"{', '.join(people.classes)}"
        )
    return (*reading.words, *unknown)


def shares_for(truth: Truth, readings: Mapping[str, "Reading"]) -> tuple[NDArray[np.float64], bool]:
    """What is said about a truth's words, each row summing to one; and whether it is graded.

    Words of the protocol that a model does not know get nothing; words of the model that the protocol does not
    know (unknown, not_a_face) are left out and the rest shared out anew.

    Returns:
        Shares, float64 (N, K), and whether they say how sure the answer is.
    """
    reading = readings.get(truth.reading) or readings["probabilities"]
    shares = np.zeros((len(reading.shares), len(truth.words)))
    for column, word in enumerate(truth.words):
        if word in reading.words:
            shares[:, column] = reading.shares[:, reading.words.index(word)]
    total = shares.sum(axis=1, keepdims=True)
    # A face of which a model says only what the protocol does not know: all alike, which `chosen` calls no answer.
    even = np.full_like(shares, 1 / len(truth.words))
    return np.where(total > 0, shares / np.where(total > 0, total, 1), even), reading.graded


def chosen(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """The likeliest word of each face, or none where all are alike.

    Args:
        shares: float64 (N, K), see `shares_for`.

    Returns:
        int64 (N,), a column of `shares`; -2 is no answer, which is never right: no label is -2 (those that a
        protocol leaves out are -1).
    """
    answers: NDArray[np.int64] = np.where(np.ptp(shares, axis=1) > 0, shares.argmax(axis=1), -2)
    return answers
