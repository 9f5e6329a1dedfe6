from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mien.train.augment import augment, draw_views, mix
from mien.train.recipe import Recipe

STILL = Recipe(
    name="still", flip=False, scale=1.0, rotate=0.0, shift=0.0, brightness=0.0, contrast=0.0, erase=0.0
)


def faces(count: int = 64) -> torch.Tensor:
    """Smooth faces that are different left and right, above and below."""
    y, x = torch.meshgrid(torch.linspace(-0.9, 0.9, 48), torch.linspace(-0.9, 0.9, 48), indexing="ij")
    return (0.6 * x + 0.3 * y)[None, None].repeat(count, 1, 1, 1)


def views(recipe: Recipe, size: int = 48, seed: int = 0) -> torch.Tensor:
    drawn = draw_views(64, recipe, size=size, random=torch.Generator().manual_seed(seed))
    return augment(faces(), drawn)


def test_nothing_asked_changes_nothing():
    assert torch.allclose(views(STILL), faces(), atol=1e-5)


@pytest.mark.parametrize("size", [24, 32, 48])
def test_shape_range_and_type(size: int):
    result = views(Recipe(name="all"), size)
    assert result.shape == (64, 1, size, size)
    assert result.dtype == torch.float32
    assert result.min() >= -1
    assert result.max() <= 1


def test_the_same_seed_gives_the_same_views_and_another_gives_others():
    assert torch.equal(views(Recipe(name="all")), views(Recipe(name="all")))
    assert not torch.equal(views(Recipe(name="all")), views(Recipe(name="all"), seed=1))


def test_flip_mirrors_about_half_of_the_faces():
    result = views(replace(STILL, flip=True))
    mirrored = faces(1)[0].flip(-1)
    are_mirrored = [torch.allclose(view, mirrored, atol=1e-4) for view in result]
    are_same = [torch.allclose(view, faces(1)[0], atol=1e-4) for view in result]
    assert all(a or b for a, b in zip(are_mirrored, are_same, strict=True))
    assert 16 < sum(are_mirrored) < 48


def test_rotation_stays_within_its_bound_and_goes_both_ways():
    result = views(replace(STILL, rotate=20.0))[:, 0, 16:32, 16:32]
    # The direction of a plane's slope turns with the picture.
    down, right = (
        (result[:, 1:] - result[:, :-1]).mean((1, 2)),
        (result[..., 1:] - result[..., :-1]).mean((1, 2)),
    )
    angle = torch.rad2deg(torch.atan2(down, right)) - torch.rad2deg(
        torch.atan2(torch.tensor(0.3), torch.tensor(0.6))
    )
    assert angle.abs().max() <= 20.1
    assert angle.min() < -10
    assert angle.max() > 10


def test_scale_enlarges_and_shrinks_within_its_bound():
    result = views(replace(STILL, scale=1.25))[:, 0, 20:28, 20:28]
    slope = (result[..., 1:] - result[..., :-1]).mean((1, 2)) / (0.6 * 1.8 / 47)
    assert 1 / 1.26 < slope.min() < 0.9
    assert 1.1 < slope.max() < 1.26


def test_shift_moves_at_most_its_share_of_the_side():
    result = views(replace(STILL, shift=0.1))[:, 0, 24, 24]
    moved = (result - faces(1)[0, 0, 24, 24]).abs()
    assert moved.max() <= (0.6 + 0.3) * 1.8 / 47 * 48 * 0.1 + 0.01
    assert moved.max() > 0.05


def test_erasing_fills_a_rectangle_in_about_its_share_of_faces():
    result = views(replace(STILL, erase=0.5))
    changed = (result - faces()).abs() > 1e-4
    share = changed.float().mean((1, 2, 3))
    touched = share > 0.005
    assert 16 < touched.sum() < 48
    assert share.max() < 0.36
    for mask in changed[touched][:, 0]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.float().mean() > 0.9  # noise hits the old value now and then, no more


def test_contrast_stretches_grey_levels_about_the_middle_within_its_bound():
    factors = views(replace(STILL, contrast=0.2)) / faces()
    assert torch.allclose(factors.amax((1, 2, 3)), factors.amin((1, 2, 3)), atol=1e-3)
    assert 0.799 < factors.min() < 0.85
    assert 1.15 < factors.max() < 1.201


def test_brightness_moves_grey_levels_within_its_share_of_the_range():
    moved = (views(replace(STILL, brightness=0.04)) - faces()).mean((1, 2, 3))
    assert -0.08 - 1e-5 <= moved.min() < -0.05
    assert 0.05 < moved.max() <= 0.08 + 1e-5


def test_shrinking_takes_what_few_pixels_do_not_show_as_pillow_does():
    random = torch.Generator().manual_seed(0)
    grey = torch.randint(64, 192, (64, 1, 48, 48), generator=random, dtype=torch.uint8)
    drawn = draw_views(64, replace(STILL, shrink=0.5), size=48, random=random)
    shown = (augment(grey / 127.5 - 1, drawn) + 1) * 127.5
    assert 16 < (drawn.pixels > 0).sum() < 48
    small = drawn.pixels[drawn.pixels > 0]
    assert 20 <= small.min() < 26
    assert 38 < small.max() <= 44
    bicubic = Image.Resampling.BICUBIC
    for face, view, pixels in zip(
        grey[:, 0].numpy(), shown[:, 0].numpy(), drawn.pixels.tolist(), strict=True
    ):
        side = pixels or 48
        expected = Image.fromarray(face).resize((side, side), bicubic).resize((48, 48), bicubic)
        # Pillow rounds to whole greys four times, once along each line.
        assert np.abs(view - np.asarray(expected)).max() < 4
        assert np.abs(view - np.asarray(expected)).mean() < 0.6


def test_a_part_of_a_batch_is_shown_as_it_is_in_the_whole():
    drawn = draw_views(64, Recipe(name="all", shrink=0.5), size=48, random=torch.Generator().manual_seed(0))
    whole = augment(faces(), drawn)
    for part in (slice(0, 32), slice(32, 64)):
        assert torch.equal(augment(faces()[part], drawn.part(part)), whole[part])


def test_mixing_gives_pairs_the_faces_and_the_names_of_both_in_one_proportion():
    drawn = draw_views(64, replace(STILL, mixup=0.5), size=8, random=torch.Generator().manual_seed(0))
    assert mix(torch.empty(64, 0), drawn).shape == (64, 0)  # nobody voted
    names = torch.eye(64)
    called = mix(names, drawn)
    shown = mix(names[:, None, None, :].expand(64, 1, 8, 64), drawn)
    assert torch.equal(shown[:, 0, 3], called)
    own = called.diagonal()
    assert torch.equal(own, drawn.own)
    assert own.min() >= 0.5
    mixed = own < 1
    assert 16 < mixed.sum() < 48
    neighbour = torch.arange(64) ^ 1
    assert torch.allclose(called[torch.arange(64), neighbour], 1 - own)
    assert torch.allclose(called.sum(dim=1), torch.ones(64))


def test_without_mixing_every_face_stays_its_own():
    drawn = draw_views(64, STILL, size=8, random=torch.Generator().manual_seed(0))
    assert torch.equal(mix(torch.eye(64), drawn), torch.eye(64))


def test_a_part_of_a_batch_is_mixed_as_it_is_in_the_whole():
    drawn = draw_views(64, replace(STILL, mixup=1.0), size=8, random=torch.Generator().manual_seed(0))
    names = torch.eye(64)
    for part in (slice(0, 32), slice(32, 64)):
        assert torch.equal(mix(names[part], drawn.part(part)), mix(names, drawn)[part])
