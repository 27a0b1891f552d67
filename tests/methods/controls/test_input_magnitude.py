"""Distance from the mean colour against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness


def explain(images: torch.Tensor, examples: torch.Tensor) -> Heatmaps:
    model = Model("none", "none", torch.nn.Identity(), {}, {}, "", tuple(images.shape[1:]))
    concepts = Concepts(("a",), examples, torch.ones(len(examples), 1, dtype=torch.bool))
    targets = torch.zeros(len(images), 2, dtype=torch.long)
    return registry.load("methods", "input_magnitude").attribute(model, images, targets, concepts, Randomness((0,)))


@pytest.mark.parametrize("count", [5, 0])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 48, 80)])
def test_input_magnitude_equals_numpy_and_scipy(shape: tuple[int, ...], count: int) -> None:
    random = torch.Generator().manual_seed(0)
    images, examples = torch.rand(2, *shape, generator=random), torch.rand(count, *shape, generator=random) * 0.6
    colour = examples.double().numpy().mean((0, 2, 3)) if count else np.full(shape[0], 0.5)  # none: middle grey
    values = explain(images, examples).values
    for image, maps in zip(images.double().numpy(), values, strict=True):
        expected = ndimage.gaussian_filter(
            np.abs(image - colour[:, None, None]).sum(0), 2 * min(shape[1:]) / 64, mode="reflect"
        )
        for column in maps:
            np.testing.assert_allclose(column, expected, atol=1e-5)


def test_score_is_the_mean_of_the_largest_twentieth() -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    answer = explain(images, images)
    expected = answer.values.flatten(2).sort(dim=2, descending=True).values[:, :, :13].mean(2)
    torch.testing.assert_close(answer.scores, expected)


def test_a_picture_of_the_mean_colour_has_a_zero_map() -> None:
    images = torch.full((2, 3, 8, 8), 0.25)
    assert explain(images, images).values.abs().max() < 1e-6
