from dataclasses import replace

import pytest
import torch

from mien.train.calibrate import WEIGHTS, fit_answer, fit_temperature, fit_weight


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found_again(truth: float):
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(4000, 7, generator=random) * 3
    targets = (scores / truth).softmax(dim=1)
    assert fit_temperature(scores, targets) == pytest.approx(truth, rel=0.01)


def test_overconfident_scores_are_softened():
    scores = torch.eye(2).repeat(50, 1) * 10
    targets = torch.eye(2).repeat(50, 1)
    targets[:20] = targets[:20].flip(1)  # a fifth is wrong
    assert fit_temperature(scores, targets) > 1


@pytest.mark.parametrize(("right", "least", "most"), [(True, 0.05, 1), (False, 1, 20)])
def test_a_few_faces_make_a_model_neither_sure_of_everything_nor_of_nothing(
    right: bool, least: int, most: int
):
    scores = torch.eye(3)
    targets = scores if right else scores.roll(1, dims=1)
    assert least < fit_temperature(scores, targets) < most


def answers(crowd_right: float, labels_right: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Readings of 700 faces, so many hundred of each of seven, by heads that are right so often."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.arange(700) % 7
    readings = []
    for share, classes in ((crowd_right, 10), (labels_right, 7)):
        said = torch.where(
            torch.rand(700, generator=random) < share, truth, torch.randint(7, (700,), generator=random)
        )
        readings.append(torch.nn.functional.one_hot(said, classes) * 0.8 + 0.2 / classes)
    return *readings, truth


@pytest.mark.parametrize(
    ("crowd", "labels", "weight"), [(0.95, 0.3, max(WEIGHTS)), (0.3, 0.95, min(WEIGHTS))]
)
def test_the_head_that_is_right_more_often_is_heard_more(crowd: float, labels: float, weight: float):
    assert fit_answer(*answers(crowd, labels)).weight == weight


def test_a_crowd_that_seldom_says_a_word_is_made_to_dare():
    crowd, labels, truth = answers(0.9, 0.4)
    shy = crowd * torch.where(torch.arange(10) == 1, 0.02, 1.0)
    shy = shy / shy.sum(dim=1, keepdim=True)
    daring = fit_answer(shy, labels, truth)
    assert daring.correction >= 0.3
    found = daring.log_mean(shy, labels)[truth == 1].argmax(dim=1) == 1
    timid = replace(daring, correction=0.0).log_mean(shy, labels)[truth == 1].argmax(dim=1) == 1
    assert found.float().mean() > timid.float().mean()


def test_what_is_always_right_is_believed_and_what_is_no_better_than_chance_is_not():
    targets = torch.eye(4).repeat(50, 1)
    unseen = torch.full((4,), 0.25)
    random = torch.rand(200, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    assert fit_weight(targets * 0.96 + 0.01, targets, unseen) == 1
    assert fit_weight((random * 20).softmax(dim=1), targets, unseen) < 0.15


def test_the_weight_is_the_share_of_faces_that_were_read_right():
    targets = torch.eye(4).repeat(100, 1)
    sure = targets.clone()
    sure[:160] = sure[:160].roll(1, dims=1)  # of 400 sure readings 240 are right
    weight = fit_weight(sure, targets, torch.full((4,), 0.25))
    right = weight + (1 - weight) / 4
    assert right == pytest.approx(0.6, abs=0.01)
