"""Temperatures: how sharply each reading speaks, fitted on the validation part."""

import torch
from torch import Tensor


def fit_temperature(log_probabilities: Tensor, targets: Tensor) -> float:
    """The temperature T for which softmax(log p / T) comes nearest to the targets (Guo et al. 2017).

    Args:
        log_probabilities: float (N, K), logits or logarithms of probabilities.
        targets: float (N, K), the shares that are wanted; each row sums to one.

    Returns:
        The T that makes the mean cross-entropy least; above 1 softens, below 1 sharpens.
    """
    scores, wanted = log_probabilities.double(), targets.double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(scores / log_temperature.exp(), wanted)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_temperature.exp().detach())
