"""The centre Gaussian against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(height: int, width: int) -> Heatmaps:
    model = Model("none", "none", torch.nn.Identity(), {}, {}, "", (3, height, width))
    images, targets = torch.rand(2, 3, height, width), torch.zeros(2, 3, dtype=torch.long)
    return registry.load("methods", "centre_gaussian").attribute(model, images, targets, NOBODY, Randomness((0,)))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 80), (7, 5), (1, 1)])
def test_the_bell_is_round_and_a_quarter_of_the_shortest_side_wide(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    square = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
    expected = np.exp(-square / (2 * (min(height, width) / 4) ** 2))
    answer = explain(height, width)
    np.testing.assert_allclose(answer.values, np.broadcast_to(expected, (2, 3, height, width)), atol=1e-6)
    assert not answer.scores.any()


def test_it_ranks_pixels_as_nearness_to_the_centre_does() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:12, 8:20] = True
    rows, columns = np.mgrid[:20, :30]
    nearness = -np.hypot(rows - 9.5, columns - 14.5)
    bell = explain(20, 30).values[0, 0].double().numpy()
    assert abs(roc_auc_score(mask.ravel(), bell.ravel()) - roc_auc_score(mask.ravel(), nearness.ravel())) < 1e-6
