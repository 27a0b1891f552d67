"""Movements of pictures against numpy and analytic ramps."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

module = importlib.import_module("ambench.methods.synthesis._transforms")
Transforms = module.Transforms


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_to_do_leaves_images_as_they_are() -> None:
    images = torch.rand(2, 3, 9, 12, generator=random())
    assert torch.equal(Transforms()(images, random()), images)


@pytest.mark.parametrize("shape", [(2, 3, 16, 24), (2, 1, 40)])
def test_jitter_is_a_shift_with_mirrored_edges(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=random())
    reach = [side // 8 for side in shape[2:]]
    padded = np.pad(images.numpy(), [(0, 0), (0, 0), *((most, most) for most in reach)], mode="reflect")
    seen = set()
    for seed in range(30):
        moved = Transforms(jitter=1 / 8)(images, random(seed)).numpy()
        shifts = [
            shift
            for shift in np.ndindex(*(2 * most + 1 for most in reach))
            if np.array_equal(padded[(..., *(slice(s, s + n) for s, n in zip(shift, shape[2:], strict=True)))], moved)
        ]
        assert len(shifts) == 1
        seen.add(shifts[0])
    assert len(seen) > 4


@pytest.mark.parametrize(("height", "width"), [(20, 20), (24, 40)])
def test_zoom_and_turn_move_a_ramp_as_geometry_says(height: int, width: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    rows, columns = rows - (height - 1) / 2, columns - (width - 1) / 2
    ramp = (0.3 * rows + 0.7 * columns)[None, None]
    zoom, angle = 1.2, math.radians(10)
    moved = module._turned(ramp, zoom, angle)[0, 0]
    source_columns = (columns * math.cos(angle) - rows * math.sin(angle)) / zoom
    source_rows = (columns * math.sin(angle) + rows * math.cos(angle)) / zoom
    inside = (source_rows.abs() <= (height - 1) / 2) & (source_columns.abs() <= (width - 1) / 2)
    torch.testing.assert_close(moved[inside], (0.3 * source_rows + 0.7 * source_columns)[inside])


def test_one_draw_serves_the_whole_batch() -> None:
    image = torch.rand(1, 3, 16, 16, generator=random())
    whole = Transforms(1 / 8, 0.1, 10.0)(image.expand(5, -1, -1, -1), random(3))
    assert torch.equal(whole, Transforms(1 / 8, 0.1, 10.0)(image, random(3)).expand(5, -1, -1, -1))


@pytest.mark.parametrize("shape", [(1, 3, 17, 30), (1, 1, 4, 4), (1, 2, 1, 1), (1, 3, 2, 9), (1, 2, 5), (1, 4)])
def test_shapes_stay(shape: tuple[int, ...]) -> None:
    assert Transforms(0.3, 0.1, 10.0)(torch.rand(shape), random()).shape == shape
