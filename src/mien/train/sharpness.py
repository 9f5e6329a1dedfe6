"""Sharpness-aware minimisation: the gradient is taken where the loss nearby is worst (Foret et al. 2021)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def uphill(network: nn.Module, radius: float) -> Iterator[None]:
    """Within it the network's weights stand `radius` further up their gradient; after it, where they were.

    Its buffers, such as the means of batch norms, leave it as they came: they belong to the weights below.

    Args:
        network: every weight that is learnt has a gradient. Gradients that are taken within stay.
        radius: length of the step, over all weights together.
    """
    learnt = [(weight, weight.grad) for weight in network.parameters() if weight.grad is not None]
    moved = [weight for weight, _ in learnt] + list(network.buffers())
    with torch.no_grad():
        kept = [tensor.clone() for tensor in moved]
        length = nn.utils.get_total_norm([gradient for _, gradient in learnt])
        # A gradient of nothing has no direction: there the step is nothing too.
        share = radius / length.clamp(min=torch.finfo(length.dtype).tiny)
        for weight, gradient in learnt:
            weight.addcmul_(gradient, share)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(moved, kept, strict=True):
                tensor.copy_(value)
