import numpy as np
import pytest

from mien.datasets import Dataset
from mien.errors import ConfigError
from mien.evaluate.answers import Reading
from mien.evaluate.metrics import score
from mien.evaluate.truths import (
    FERPLUS_7,
    FERPLUS_8,
    ORIGINAL,
    People,
    chosen,
    people_of,
    shares_for,
    truths_of,
)
from mien.evaluate.votes import against_votes
from mien.labels import CROWD, EXPRESSIONS


def reading(words: tuple[str, ...], *rows: list[float]) -> Reading:
    return Reading(words, np.array(rows or [[1 / len(words)] * len(words)]))


def people(votes: list[list[int]] | None, labels: list[int]) -> People:
    return People(EXPRESSIONS, np.array(labels), None if votes is None else np.array(votes, np.uint8))


def test_each_truth_has_its_protocol_and_its_reading():
    votes = [
        [8, 0, 0, 1, 0, 0, 1, 0, 0, 0],  # angry
        [0, 0, 0, 1, 0, 0, 2, 7, 0, 0],  # contempt: no face of the seven
        [3, 0, 0, 3, 0, 0, 4, 0, 0, 0],  # no majority
        [0, 0, 0, 0, 0, 0, 1, 0, 9, 0],  # unknown
    ]
    readings = {
        "probabilities": reading(EXPRESSIONS),
        "crowd": reading(CROWD),
        "fer2013": reading(EXPRESSIONS),
    }
    truths = {truth.key: truth for truth in truths_of(people(votes, [0, 6, 3, 4]), readings)}
    assert truths[FERPLUS_7].labels.tolist() == [0, -1, -1, -1]
    assert truths[FERPLUS_8].labels.tolist() == [0, 7, -1, -1]
    assert truths[ORIGINAL].labels.tolist() == [0, 6, 3, 4]
    assert [truth.reading for truth in truths.values()] == ["probabilities", "crowd", "fer2013"]


def test_without_votes_the_labels_are_all_there_is():
    readings = {"probabilities": reading(EXPRESSIONS), "fer2013": reading(EXPRESSIONS)}
    truths = truths_of(people(None, [0, 6]), readings)
    assert [(truth.reading, truth.labels.tolist()) for truth in truths] == [
        ("probabilities", [0, 6]),
        ("fer2013", [0, 6]),
    ]


def test_a_protocol_that_no_face_passes_is_left_out():
    readings = {"probabilities": reading(EXPRESSIONS)}
    truths = truths_of(people([[3, 0, 0, 3, 0, 0, 4, 0, 0, 0]], [2]), readings)
    assert [truth.key for truth in truths] == [ORIGINAL]


@pytest.mark.parametrize(("most", "there"), [(0, False), (1, False), (2, True)])
def test_votes_are_there_if_two_people_saw_one_face(most: int, there: bool):
    """One person's answer can be held against nobody's."""
    votes = np.zeros((3, 10), np.uint8)
    votes[0, 0], votes[1, 3] = 1, most
    data = Dataset(np.zeros((3, 48, 48), np.uint8), np.zeros(3, np.int64), votes)
    for said in (people_of(data), People.of_words(["sad", "happy", "sad"], votes)):
        assert (said.votes is not None) is there
    assert people_of(data.take(np.arange(0))).votes is None


def test_labels_that_the_model_does_not_know_are_named():
    own = People(("happy", "smirk"), np.array([0, 1]), None)
    with pytest.raises(ConfigError, match="does not know smirk; it knows angry"):
        truths_of(own, {"probabilities": reading(EXPRESSIONS)})


def test_own_classes_are_found_among_the_models_in_any_order():
    own = People(("negative", "positive"), np.array([0, 1, 1]), None)
    (truth,) = truths_of(own, {"probabilities": reading(("positive", "neutral", "negative"))})
    assert truth.words == ("positive", "neutral", "negative")
    assert truth.labels.tolist() == [2, 0, 0]


def test_bare_answers_need_not_name_every_word():
    said = Reading(("angry",), np.ones((2, 1)), graded=False)
    (truth,) = truths_of(People(EXPRESSIONS, np.array([0, 4]), None), {"probabilities": said})
    shares, graded = shares_for(truth, {"probabilities": said})
    assert not graded
    assert (shares.argmax(axis=1) == truth.labels).tolist() == [True, False]


def test_what_a_protocol_does_not_know_is_shared_out_anew():
    crowd = np.zeros((2, 10))
    crowd[0, [0, 3, 8]] = [0.2, 0.4, 0.4]
    crowd[1, 9] = 1  # nothing but not_a_face
    readings = {"probabilities": reading(EXPRESSIONS, [1.0, *[0.0] * 6], [1.0, *[0.0] * 6])}
    readings["crowd"] = Reading(CROWD, crowd)
    votes = [[9, 0, 0, 1, 0, 0, 0, 0, 0, 0]] * 2
    truth = next(truth for truth in truths_of(people(votes, [0, 0]), readings) if truth.key == FERPLUS_8)
    shares, _ = shares_for(truth, readings)
    assert shares[0, [0, 3]] == pytest.approx([1 / 3, 2 / 3])
    assert shares[1] == pytest.approx([1 / 8] * 8)
    assert chosen(shares).tolist() == [3, -2]
    scored = score(shares, truth)
    assert scored["accuracy"]["value"] == 0  # the second face is an angry one, as the first is
    assert scored["top2"] == 0.5
    assert np.sum(scored["confusion"]) == 1


def test_a_word_of_no_protocol_agrees_with_nobody():
    said = Reading(("contempt", "smirk"), np.array([[1.0, 0.0], [0.0, 1.0]]), graded=False)
    votes = np.array([[0, 0, 0, 0, 0, 0, 0, 10, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 10, 0]], np.uint8)
    assert against_votes(said, votes)["agreement"]["model"]["value"] == 0.5


def test_bare_answers_of_another_vocabulary_are_named():
    said = Reading(("anger", "fear", "unknown"), np.eye(3), graded=False)
    with pytest.raises(ConfigError, match="anger is no word of its labels, which are angry"):
        truths_of(people(None, [0, 2, 3]), {"probabilities": said})


def test_a_peer_with_seven_words_is_asked_for_eight():
    readings = {"probabilities": reading(EXPRESSIONS)}
    votes = [[9, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    truth = next(truth for truth in truths_of(people(votes, [0]), readings) if truth.key == FERPLUS_8)
    assert truth.reading == "probabilities"
    assert shares_for(truth, readings)[0][0, 7] == 0
