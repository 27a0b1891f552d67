"""Blurred edges against scipy.ndimage and a step by hand."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(images: Tensor) -> Heatmaps:
    model = Model("none", "none", torch.nn.Identity(), {}, {}, "", tuple(images.shape[1:]))
    targets = torch.zeros(len(images), 2, dtype=torch.long)
    return registry.load("methods", "edges").attribute(model, images, targets, NOBODY, Randomness((0,)))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 48, 80), (3, 9, 12), (2, 200)])
def test_edges_equal_scipy(shape: tuple[int, ...]) -> None:
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    answer = explain(images)
    for image, maps in zip(images.double().numpy(), answer.values, strict=True):
        total = np.zeros(shape[1:])
        for axis in range(1, image.ndim):  # the next pixel less this one; beyond the edge lies the same pixel again
            ahead = np.concatenate([image, image.take([-1], axis=axis)], axis)
            total += np.abs(np.diff(ahead, axis=axis)).sum(0)
        expected = ndimage.gaussian_filter(total, 2 * min(shape[1:]) / 64, mode="reflect")
        for column in maps:
            np.testing.assert_allclose(column, expected, atol=1e-5)


def test_a_vertical_step_is_a_column_of_ones_for_each_colour_before_the_blur() -> None:
    steps = importlib.import_module("ambench.methods.controls.edges").steps
    image = torch.zeros(1, 3, 4, 6)
    image[..., 3:] = 1
    expected = torch.zeros(1, 4, 6)
    expected[..., 2] = 3
    assert torch.equal(steps(image), expected)


def test_a_constant_image_has_a_zero_map_and_score() -> None:
    answer = explain(torch.full((2, 3, 16, 16), 0.3))
    assert not answer.values.any()
    assert not answer.scores.any()
