"""Augmentation: whole batches at once, on whatever device they lie on."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.train.recipe import Recipe


def augment(faces: Tensor, recipe: Recipe, *, size: int, random: torch.Generator) -> Tensor:
    """Draws new views of faces: mirrored, scaled, turned, moved, relit, partly erased.

    Args:
        faces: float (N, 1, H, W), from -1 black to 1 white.
        recipe: says how strongly.
        size: side in pixels of the views.
        random: where the random numbers come from.

    Returns:
        float (N, 1, size, size), in about the same range.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(faces), generator=random, device=faces.device) * (high - low) + low

    angle = uniform(-math.radians(recipe.rotate), math.radians(recipe.rotate))
    scale = torch.exp(uniform(-math.log(recipe.scale), math.log(recipe.scale)))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if recipe.flip else torch.ones_like(scale)
    # affine_grid measures from the middle in halves of the side, and maps a view's pixels to the face's.
    shift_x, shift_y = (
        uniform(-2 * recipe.shift, 2 * recipe.shift),
        uniform(-2 * recipe.shift, 2 * recipe.shift),
    )
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = (
        torch.stack([cos * mirror, -sin, shift_x], dim=1),
        torch.stack([sin * mirror, cos, shift_y], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), [len(faces), 1, size, size], align_corners=False)
    views = F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)

    contrast = uniform(1 - recipe.contrast, 1 + recipe.contrast)[:, None, None, None]
    # The range -1 to 1 is two wide, so a share of it counts double.
    brightness = uniform(-2 * recipe.brightness, 2 * recipe.brightness)[:, None, None, None]
    views = (views * contrast + brightness).clamp(-1, 1)
    return _erase(views, recipe.erase, random)


def _erase(views: Tensor, chance: float, random: torch.Generator) -> Tensor:
    """Fills a rectangle of 2 to 33 % of the area, of aspect 0.3 to 3.3, with noise (Zhong et al. 2020)."""
    count, _, side, _ = views.shape

    def uniform() -> Tensor:
        return torch.rand(count, generator=random, device=views.device)

    area = 0.02 + uniform() * 0.31
    aspect = torch.exp((uniform() * 2 - 1) * math.log(3.3))
    height = (area * aspect).sqrt().clamp(max=1) * side
    width = (area / aspect).sqrt().clamp(max=1) * side
    top, left = uniform() * (side - height), uniform() * (side - width)
    chosen = uniform() < chance
    at = torch.arange(side, device=views.device) + 0.5
    inside_rows = (at >= top[:, None]) & (at < (top + height)[:, None]) & chosen[:, None]  # (N, side)
    inside_columns = (at >= left[:, None]) & (at < (left + width)[:, None])  # (N, side)
    erased = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    noise = torch.rand(views.shape, generator=random, device=views.device) * 2 - 1
    return torch.where(erased, noise, views)
