"""Augmentation: whole batches at once, on whatever device they lie on."""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.train.recipe import Recipe

FEW_PIXELS = (20, 44)
"""Sides in pixels at which small faces are photographed, evenly: what fills the range up to FER-2013's 48."""


@dataclass(frozen=True, slots=True)
class Views:
    """What is done to each face of a batch of N; all float (N,) but where said.

    Attributes:
        angle: in radians.
        scale: above 1 enlarges.
        mirror: -1 mirrors, 1 does not.
        shift: (N, 2), right and down, in halves of the side.
        contrast: factor of the grey levels.
        brightness: added to the grey levels, whose range is two wide.
        pixels: int64 (N,), side at which the face is photographed, before it is enlarged again; 0: its own.
        hole: (N, 4), the erased rectangle: top, left, bottom, right, as shares of the side; empty where none is.
        noise: (N, 1, S, S), what fills the holes.
        own: how much of itself the face keeps where it is mixed with another, from 0.5 to 1.
    """

    angle: Tensor
    scale: Tensor
    mirror: Tensor
    shift: Tensor
    contrast: Tensor
    brightness: Tensor
    pixels: Tensor
    hole: Tensor
    noise: Tensor
    own: Tensor

    def part(self, rows: slice) -> "Views":
        """What is done to some of the faces."""
        return Views(*(getattr(self, name)[rows] for name in Views.__slots__))


def draw_views(count: int, recipe: Recipe, *, size: int, random: torch.Generator) -> Views:
    """Draws what will be done to so many faces.

    Args:
        count: N.
        recipe: says how strongly.
        size: S, side in pixels at which they will be shown.
        random: where the random numbers come from; the views lie on its device.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=random, device=random.device) * (high - low) + low

    angle = uniform(-math.radians(recipe.rotate), math.radians(recipe.rotate))
    scale = torch.exp(uniform(-math.log(recipe.scale), math.log(recipe.scale)))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if recipe.flip else torch.ones_like(scale)
    shift = uniform(-2 * recipe.shift, 2 * recipe.shift, 2)
    contrast = uniform(1 - recipe.contrast, 1 + recipe.contrast)
    brightness = uniform(-2 * recipe.brightness, 2 * recipe.brightness)
    # A rectangle of 2 to 33 % of the area, of aspect 0.3 to 3.3 (Zhong et al. 2020).
    area = uniform(0.02, 0.33)
    aspect = torch.exp(uniform(-math.log(3.3), math.log(3.3)))
    height, width = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    top, left = uniform(0, 1) * (1 - height), uniform(0, 1) * (1 - width)
    erased = uniform(0, 1) < recipe.erase
    hole = torch.stack([top, left, top + height, left + width], dim=1) * erased[:, None]
    noise = uniform(-1, 1, 1, size, size)
    own = torch.ones_like(scale)
    if recipe.mixup:
        own = torch.where(uniform(0, 1) < recipe.mixup, uniform(0.5, 1), own)
    pixels = torch.zeros(count, dtype=torch.long, device=random.device)
    if recipe.shrink:
        small = uniform(*FEW_PIXELS).round().long()
        pixels = torch.where(uniform(0, 1) < recipe.shrink, small, pixels)
    return Views(angle, scale, mirror, shift, contrast, brightness, pixels, hole, noise, own)


def augment(faces: Tensor, views: Views) -> Tensor:
    """Shows faces of few pixels, mirrored, scaled, turned, moved, relit, partly erased.

    Args:
        faces: float (N, 1, H, W), from -1 black to 1 white.
        views: what is done to each.

    Returns:
        float (N, 1, S, S), from -1 to 1.
    """
    size = views.noise.shape[-1]
    faces = _shrink(faces, views)
    # affine_grid measures from the middle in halves of the side, and maps a view's pixels to the face's.
    cos, sin = torch.cos(views.angle) / views.scale, torch.sin(views.angle) / views.scale
    rows = (
        torch.stack([cos * views.mirror, -sin, views.shift[:, 0]], dim=1),
        torch.stack([sin * views.mirror, cos, views.shift[:, 1]], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), [len(faces), 1, size, size], align_corners=False)
    shown = F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    shown = shown * views.contrast[:, None, None, None] + views.brightness[:, None, None, None]
    return _erase(shown.clamp(-1, 1), views)


def mix(values: Tensor, views: Views) -> Tensor:
    """Mixes faces, or what they are to be called, with their neighbours in the batch (mixup, Zhang et al. 2018).

    The first with the second, the third with the fourth: the batch is in random order, and each of several
    processes holds whole pairs.

    Args:
        values: float (N, ...), N even.
        views: how much each keeps of its own.
    """
    own = views.own.reshape(-1, *[1] * (values.ndim - 1))
    other = values.reshape(len(values) // 2, 2, *values.shape[1:]).flip(1).reshape(values.shape)
    return own * values + (1 - own) * other


def _shrink(faces: Tensor, views: Views) -> Tensor:
    """Takes from faces what they would not show had they been photographed with fewer pixels."""
    if not views.pixels.any():
        return faces
    down, across = (_resampling(length).to(faces.device)[views.pixels] for length in faces.shape[-2:])
    return (down @ faces[:, 0] @ across.mT)[:, None].clamp(-1, 1)


@cache
def _resampling(length: int) -> Tensor:
    """What shrinking a line to so many pixels and enlarging it again does to it, bicubic as Pillow does it.

    Returns:
        float (P, length, length), a matrix for each number of pixels; the first, of none, changes nothing.
    """
    line = torch.eye(length)[None, None]
    matrices = [line]
    for pixels in range(1, FEW_PIXELS[1] + 1):
        small = F.interpolate(line, (pixels, length), mode="bicubic", antialias=True)
        matrices.append(F.interpolate(small, (length, length), mode="bicubic", antialias=True))
    return torch.cat(matrices)[:, 0]


def _erase(shown: Tensor, views: Views) -> Tensor:
    """Fills the holes with noise."""
    side = shown.shape[-1]
    at = (torch.arange(side, device=shown.device) + 0.5) / side
    top, left, bottom, right = views.hole[:, :, None].unbind(dim=1)  # (N, 1) each
    inside = ((at >= top) & (at < bottom))[:, :, None] & ((at >= left) & (at < right))[:, None, :]
    return torch.where(inside[:, None], views.noise, shown)
