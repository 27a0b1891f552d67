"""The random map is noise of the stated kind, drawn per image."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import rankdata
from torch import Tensor

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def draw(grid: str, count: int, columns: int = 1, shape: tuple[int, int] = (16, 16)) -> Heatmaps:
    model = networks.cnn(shape=shape)
    randomness = Randomness((0,), tuple(f"image-{i}" for i in range(count)))
    images, targets = networks.images(model, count), networks.targets(count, columns)
    return registry.load("methods", f"random_map:grid={grid}").attribute(model, images, targets, NOBODY, randomness)


@pytest.mark.parametrize("grid", ["pixel", "cell"])
def test_its_auroc_is_a_half_within_three_standard_errors(grid: str) -> None:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:9, 2:8] = True
    ranks = rankdata(draw(grid, 1000).values[:, 0].flatten(1), axis=1)[:, mask.flatten()]
    inside, outside = int(mask.sum()), int((~mask).sum())
    areas = (ranks.sum(1) - inside * (inside + 1) / 2) / (inside * outside)  # Mann and Whitney's statistic
    assert abs(areas.mean() - 0.5) < 3 * areas.std() / 1000**0.5


def test_pixels_and_scores_are_standard_normal() -> None:
    answer = draw("pixel", 300)
    values = answer.values.flatten()
    count = values.numel()
    assert abs(float(values.mean())) < 4 / count**0.5
    assert abs(float(values.std()) - 1) < 4 / (2 * count) ** 0.5
    assert abs(float(answer.scores.mean())) < 4 / 300**0.5
    assert abs(float(answer.scores.std()) - 1) < 4 / 600**0.5


def correlation_of_neighbours(maps: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([maps[..., 1:].flatten(), maps[..., :-1].flatten()]))[0, 1])


def test_pixel_noise_is_rough_and_cell_noise_as_smooth_as_the_layer() -> None:
    assert abs(correlation_of_neighbours(draw("pixel", 100).values)) < 0.03
    assert correlation_of_neighbours(draw("cell", 100).values) > 0.7


def test_maps_differ_between_images_and_between_targets() -> None:
    values = draw("cell", 8, columns=2).values.flatten(0, 1).flatten(1)
    assert (torch.corrcoef(values) - torch.eye(16)).abs().max() < 0.95
    assert draw("cell", 8, columns=2).scores.unique().numel() == 16


def test_maps_of_oblong_pictures_have_their_extent() -> None:
    assert draw("cell", 2, 3, (48, 80)).values.shape == (2, 3, 48, 80)
