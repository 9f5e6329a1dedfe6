"""How sharply each reading speaks, how the answer is made of them, and how far small faces are believed.

All of it is fitted on the validation part.
"""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from mien.errors import DivergedError


def fit_temperature(log_probabilities: Tensor, targets: Tensor) -> float:
    """The temperature T for which softmax(log p / T) comes nearest to the targets (Guo et al. 2017).

    Its logarithm is held near zero by a normal prior of unit variance, which counts as much as one face: else a
    few faces that are all read right would make the model sure of everything.

    Args:
        log_probabilities: float (N, K), logits or logarithms of probabilities.
        targets: float (N, K), the shares that are wanted; each row sums to one.

    Returns:
        The T that makes the cross-entropy, with the prior, least; above 1 softens, below 1 sharpens.
    """
    scores, wanted = log_probabilities.double(), targets.double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(scores / log_temperature.exp(), wanted)
        loss = loss + log_temperature.square() / (2 * len(scores))
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


@dataclass(frozen=True, slots=True)
class Answer:
    """How one answer is made of the two heads' readings.

    softmax(log(weight · corrected + (1 - weight) · labels) / temperature), where corrected is the crowd's share of
    each expression divided by that share's mean over all faces to the power `correction`, and renormalised.

    The crowd seldom says disgust or fear, so its likeliest word is seldom one of them where it is right; to
    divide by the prior makes a reading dare (Menon et al. 2021, logit adjustment). The labels' head knows the rare
    expressions better, and faces from elsewhere.

    Attributes:
        weight: of the crowd, in [0, 1].
        correction: power of the prior, in [0, 1]; 0 leaves the crowd's reading as it is.
        prior: the seven's mean shares by the crowd's reading.
        temperature: above 1 softens, below 1 sharpens.
    """

    weight: float
    correction: float
    prior: tuple[float, ...]
    temperature: float

    def log_mean(self, crowd: Tensor, labels: Tensor) -> Tensor:
        """Logarithm of the answer before the temperature: (N, 10) and (N, 7) to (N, 7)."""
        prior = torch.tensor(self.prior, dtype=crowd.dtype, device=crowd.device)
        seven = crowd[:, : len(self.prior)] / prior**self.correction
        seven = seven / seven.sum(dim=1, keepdim=True)
        return (self.weight * seven + (1 - self.weight) * labels).clamp(min=1e-9).log()


WEIGHTS = (0.5, 0.6, 0.7, 0.8)
"""Both heads are heard: the crowd's alone is the best on FER+, and seldom dares what people seldom say."""
CORRECTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def fit_answer(crowd: Tensor, labels: Tensor, truth: Tensor) -> Answer:
    """The answer that serves faces of every expression best.

    Args:
        crowd: float (N, 10), the crowd's reading.
        labels: float (N, 7), the labels' reading.
        truth: int64 (N,), what most people said, one of the seven.

    Returns:
        Of all `WEIGHTS` and `CORRECTIONS`, each with the temperature that fits it, those for which two log-losses
        have the least sum: the mean over the faces, and the mean over the expressions of each one's mean. So the
        common expressions count once as often as they come, and once no more than the rare.
    """
    seven = crowd[:, : labels.shape[1]]
    prior = (seven / seven.sum(dim=1, keepdim=True)).mean(dim=0)
    wanted = torch.nn.functional.one_hot(truth, labels.shape[1])
    present = [index for index in range(labels.shape[1]) if bool((truth == index).any())]
    best, least = None, float("inf")
    for weight, correction in product(WEIGHTS, CORRECTIONS):
        answer = Answer(weight, correction, tuple(prior.tolist()), 1.0)
        scores = answer.log_mean(crowd, labels)
        temperature = fit_temperature(scores, wanted)
        losses = torch.nn.functional.cross_entropy(scores / temperature, truth, reduction="none")
        loss = float(losses.mean()) + sum(float(losses[truth == index].mean()) for index in present) / len(
            present
        )
        if loss < least:
            best, least = replace(answer, temperature=temperature), loss
    if best is None:
        raise DivergedError(
            "the validation part's losses are no numbers; train with a lower learning_rate, under another name"
        )
    return best
