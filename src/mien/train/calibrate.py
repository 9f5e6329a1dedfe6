"""How sharply each reading speaks, and how far small faces are believed; fitted on the validation part."""

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


def fit_weight(probabilities: Tensor, targets: Tensor, unseen: Tensor) -> float:
    """The weight w in [0, 1] for which w · p + (1 - w) · unseen comes nearest to the targets.

    Args:
        probabilities: float (N, K), each row sums to one.
        targets: float (N, K), the shares that are wanted; each row sums to one.
        unseen: float (K,), what is said without looking.

    Returns:
        The w that makes the mean cross-entropy least, to a hundredth.
    """
    weights = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None, None]
    mixed = weights * probabilities.double() + (1 - weights) * unseen.double()
    losses = -(targets.double() * mixed.clamp(min=1e-9).log()).sum(dim=2).mean(dim=1)
    return float(weights[losses.argmin()])
