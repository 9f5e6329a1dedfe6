import pytest
import torch

from mien.train.calibrate import fit_temperature, fit_weight


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
