from dataclasses import replace

import numpy as np
import pytest

from mien.classify import Classifier
from mien.datasets import Dataset, read_dataset
from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.train.recipe import Recipe
from mien.train.targets import make_targets, vote_shares


def noise(count: int, votes: np.ndarray | None = None, classes: tuple[str, ...] = EXPRESSIONS) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    return Dataset(images, np.arange(count, dtype=np.int64) % len(classes), votes, classes)


def test_shares_are_the_votes_and_the_label_where_nobody_voted():
    votes = np.zeros((3, 10), np.uint8)
    votes[0, CROWD.index("happy")], votes[0, CROWD.index("contempt")] = 6, 2
    votes[1, CROWD.index("not_a_face")] = 10
    shares = vote_shares(noise(3, votes))
    assert shares.dtype == np.float32
    assert shares.sum(axis=1) == pytest.approx(1)
    assert shares[0, CROWD.index("happy")] == pytest.approx(0.75)
    assert shares[1, CROWD.index("not_a_face")] == 1
    assert shares[2, CROWD.index(EXPRESSIONS[2])] == 1


def test_without_votes_the_label_is_the_only_vote():
    shares = vote_shares(noise(7))
    assert shares.argmax(axis=1).tolist() == list(range(7))


def test_other_classes_have_no_votes_and_their_labels_are_smoothed():
    targets = make_targets(noise(6, classes=("yes", "no", "maybe")), Recipe(name="own", label_smoothing=0.3))
    assert targets.crowd.shape == (6, 0)
    assert targets.labels[1] == pytest.approx([0.1, 0.8, 0.1])


def test_labels_are_smoothed_by_what_the_votes_make_likely():
    happy, sad, surprise = (EXPRESSIONS.index(name) for name in ("happy", "sad", "surprise"))
    votes = np.zeros((4, 10), np.uint8)
    votes[:3, CROWD.index("happy")] = 10
    votes[3, [CROWD.index("happy"), CROWD.index("sad")]] = 5
    data = replace(noise(4, votes), labels=np.array([happy, happy, surprise, sad]))
    targets = make_targets(data, Recipe(name="own", label_smoothing=0.0, vote_smoothing=0.5))
    # Of 3.5 faces' worth of "happy" 2 were labelled happy, 1 surprise, a half sad; all of "sad" were labelled sad.
    likely = np.eye(7)[happy] * 2 / 3.5 + np.eye(7)[surprise] / 3.5 + np.eye(7)[sad] * 0.5 / 3.5
    assert targets.labels[0] == pytest.approx(np.eye(7)[happy] / 2 + likely / 2)
    assert targets.labels[2] == pytest.approx(np.eye(7)[surprise] / 2 + likely / 2)
    assert targets.labels[3] == pytest.approx(np.eye(7)[sad] * 0.75 + likely / 4)


@pytest.mark.parametrize("classes", [EXPRESSIONS, ("yes", "no", "maybe")])
def test_where_nobody_voted_labels_stay_as_they_are(classes: tuple[str, ...]):
    targets = make_targets(
        noise(21, classes=classes), Recipe(name="own", label_smoothing=0.0, vote_smoothing=0.7)
    )
    assert np.array_equal(targets.labels, np.eye(len(classes))[np.arange(21) % len(classes)])


def test_teachers_are_mixed_in_by_their_weight(tiny_model, made_folders):
    data = read_dataset(made_folders, "test")
    recipe = Recipe(name="pupil", label_smoothing=0.0, teachers=(str(tiny_model),), teacher_weight=0.75)
    targets = make_targets(data, recipe)
    views = [
        Classifier(tiny_model).classify(np.ascontiguousarray(x))
        for x in (data.images, data.images[:, :, ::-1])
    ]
    said = (views[0].fer2013 + views[1].fer2013) / 2
    wanted = 0.25 * np.eye(7)[data.labels] + 0.75 * said
    assert np.allclose(targets.labels, wanted, atol=1e-5)
    assert targets.crowd.sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert targets.labels.dtype == targets.crowd.dtype == np.float32


def test_a_teacher_that_looks_at_both_views_is_asked_once(made_folders, monkeypatch: pytest.MonkeyPatch):
    data = read_dataset(made_folders, "test")
    twice = [
        Classifier("nano").classify(np.ascontiguousarray(x)) for x in (data.images, data.images[:, :, ::-1])
    ]
    asked = []
    classify = Classifier.classify
    monkeypatch.setattr(
        Classifier, "classify", lambda self, faces: asked.append(len(faces)) or classify(self, faces)
    )
    recipe = Recipe(name="pupil", label_smoothing=0.0, teachers=("nano",), teacher_weight=1.0)
    targets = make_targets(data, recipe)
    assert asked == [len(data)]
    assert np.allclose(targets.labels, (twice[0].fer2013 + twice[1].fer2013) / 2, atol=1e-5)
    assert np.allclose(targets.crowd, (twice[0].crowd + twice[1].crowd) / 2, atol=1e-5)


def test_a_teacher_of_other_classes_is_refused(tiny_model):
    recipe = Recipe(name="pupil", teachers=(str(tiny_model),), teacher_weight=0.5)
    with pytest.raises(ConfigError, match=r"knows angry, .* the data has yes, no"):
        make_targets(noise(4, classes=("yes", "no")), recipe)
