import pytest
import torch
from torch import nn

from mien.train.sharpness import uphill


class Climber(nn.Module):
    """Two weights, one of which is frozen, and a buffer that counts how often it was run."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.bias = nn.Parameter(torch.tensor(2.0))
        self.frozen = nn.Parameter(torch.tensor(3.0), requires_grad=False)
        self.register_buffer("runs", torch.tensor(0))

    def forward(self) -> torch.Tensor:
        self.runs += 1
        return 3 * self.learnt[0] + 0 * self.learnt[1] + 4 * self.bias + self.frozen


def test_the_step_goes_up_the_gradient_by_the_radius_over_all_weights():
    climber = Climber()
    climber().backward()
    with uphill(climber, 0.5):
        assert climber.learnt.tolist() == pytest.approx([1.3, 2.0])
        assert climber.bias.item() == pytest.approx(2.4)
        assert climber.frozen.item() == 3


def test_weights_and_buffers_come_back_and_the_gradient_taken_within_stays():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))
    network(x).square().mean().backward()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    below = network[0].weight.grad.clone()
    with uphill(network, 0.3):
        network.zero_grad()
        network(x + 1).square().mean().backward()
        assert not torch.equal(network[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not torch.equal(network[0].weight.grad, below)


def test_weights_come_back_from_a_failure():
    climber = Climber()
    climber().backward()
    with pytest.raises(KeyError), uphill(climber, 0.5):
        raise KeyError
    assert climber.learnt.tolist() == [1.0, 2.0]


def test_a_gradient_of_nothing_moves_nothing():
    climber = Climber()
    (0 * climber()).backward()
    with uphill(climber, 0.5):
        assert climber.learnt.tolist() == [1.0, 2.0]
        assert climber.bias.item() == 2
