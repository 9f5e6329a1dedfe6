import pytest
import torch

from mien.train.calibrate import fit_temperature


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
