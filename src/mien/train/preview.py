"""A sheet of faces as a recipe shows them to the network."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from mien.datasets import SIDE, Dataset
from mien.errors import ConfigError
from mien.train.augment import augment, draw_views, mix
from mien.train.networks import normalise
from mien.train.recipe import Recipe
from mien.train.start import with_network

ROWS, VIEWS, ZOOM, GAP = 8, 10, 2, 4


def save_preview(data: Dataset, recipe: Recipe, path: Path) -> None:
    """Draws a row for each of eight faces: as it is, then ten views of it, changed as the first epochs change it.

    Where the recipe refines, the last three views are as its last epochs show them.

    Args:
        data: the faces; one of each class in turn.
        recipe: says how strongly they are changed, and at which side in pixels its last epochs show them (48 where
            neither it nor the model that it starts from names one, whatever a backbone of timm makes of it).
        path: where the picture goes; its ending says the format.

    Raises:
        ConfigError: its ending is that of no format that pictures are written in, or see `with_network`.
    """
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise ConfigError(f"{path}: ends in no format of pictures; end it in .png or .jpg")
    random = torch.Generator().manual_seed(recipe.seed)
    chosen = _spread(data, recipe.seed)
    size = recipe.sizes[-1] if recipe.sizes else with_network(recipe).side or SIDE
    refined = 3 if recipe.refine_epochs else 0
    strengths = [recipe] * (VIEWS - refined) + [recipe.refined()] * refined
    faces = normalise(torch.from_numpy(data.images[chosen]))
    columns = [torch.nn.functional.interpolate(faces, (size, size), mode="bilinear", align_corners=False)]
    for strength in strengths:
        views = draw_views(len(faces), strength, size=size, random=random)
        shown = augment(faces, views)
        columns.append(mix(shown, views) if len(faces) % 2 == 0 else shown)
    grey = ((torch.stack(columns, dim=1)[:, :, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    cell, label = size * ZOOM + GAP, 84
    heading = 18
    sheet = Image.new("L", (label + cell * len(columns) + GAP * 3, heading + cell * len(chosen)), 255)
    pen = ImageDraw.Draw(sheet)
    pen.text((label, 3), "as it is", fill=0)
    pen.text((label + cell + GAP * 3, 3), f"as {recipe.name} shows it", fill=0)
    if refined:
        pen.text((label + cell * (len(columns) - refined) + GAP * 3, 3), "in the last epochs", fill=0)
    for row, (index, views) in enumerate(zip(chosen, grey, strict=True)):
        top = heading + row * cell
        pen.text((4, top + cell // 2 - 8), data.classes[data.labels[index]], fill=0)
        for column, view in enumerate(views):
            left = label + column * cell + (GAP * 3 if column else 0)
            enlarged = Image.fromarray(view).resize((size * ZOOM, size * ZOOM), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, top))
    sheet.save(path)


def _spread(data: Dataset, seed: int) -> list[int]:
    """Up to eight rows, of each class in turn."""
    order = np.random.default_rng(seed).permutation(len(data))
    by_class = [iter(order[data.labels[order] == label]) for label in range(len(data.classes))]
    chosen: list[int] = []
    while len(chosen) < min(ROWS, len(data)):
        for rows in by_class:
            if len(chosen) < ROWS and (row := next(rows, None)) is not None:
                chosen.append(int(row))
    return chosen
