"""Saliency against captum, a linear model's weights and finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.attr import Saliency
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(mode: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", f"saliency:mode={mode}").attribute(model, images, targets, NOBODY, Randomness((0,)))


@pytest.mark.parametrize("name", ["module", "functional", "in-place", "48 x 80", "one channel", "transformer", "swin"])
def test_saliency_equals_captum(name: str) -> None:
    model = networks.every()[name]
    images, target = networks.images(model), networks.targets(columns=1)
    slopes = Saliency(model.network).attribute(images.clone().requires_grad_(), target[:, 0], abs=False)
    torch.testing.assert_close(
        explain("absolute", model, images, target).values[:, 0], slopes.abs().amax(1), rtol=0, atol=0
    )
    torch.testing.assert_close(explain("signed", model, images, target).values[:, 0], slopes.sum(1), rtol=0, atol=0)


def test_several_targets_equal_captum_one_by_one() -> None:
    model = networks.every()["transformer"]
    images, targets = networks.images(model), networks.targets()
    values = explain("signed", model, images, targets).values
    for column in range(3):
        slopes = Saliency(model.network).attribute(images.clone().requires_grad_(), targets[:, column], abs=False)
        torch.testing.assert_close(values[:, column], slopes.sum(1), atol=1e-6, rtol=0)


def test_a_linear_model_is_explained_by_its_weights() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 2))
    model = Model("linear", "none", network, {}, {}, "", (3, 4, 5))
    weights = network[1].weight.detach().view(2, 3, 4, 5)
    images, targets = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([[1, 0], [0, 1]])
    torch.testing.assert_close(explain("absolute", model, images, targets).values, weights.abs().amax(1)[targets])
    torch.testing.assert_close(explain("signed", model, images, targets).values, weights.sum(1)[targets])


def test_signed_saliency_equals_finite_differences() -> None:
    model = networks.every()["transformer"]
    network = model.network.double()
    images, target = networks.images(model, 1).double(), torch.tensor([[2]])
    values = explain("signed", model, images, target).values[0, 0]
    step = torch.zeros_like(images)
    for row, column in [(0, 0), (7, 3), (15, 15)]:
        step.zero_()[..., row, column] = 1e-5  # all colours at once
        with torch.no_grad():
            rise = (network(images + step) - network(images - step))[0, 2] / 2e-5
        assert abs(float(rise) - float(values[row, column])) < 1e-6


def test_score_is_the_mean_of_the_largest_twentieth_of_pixels() -> None:
    model = networks.cnn()
    images, target = networks.images(model), networks.targets(columns=1)
    slopes = Saliency(model.network).attribute(images.clone().requires_grad_(), target[:, 0])
    expected = slopes.amax(1).flatten(1).sort(dim=1, descending=True).values[:, :13].mean(1)  # 5 % of 256, rounded up
    torch.testing.assert_close(explain("absolute", model, images, target).scores[:, 0], expected)


def operations(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def test_one_target_costs_one_forward_and_one_backward_to_the_pixels() -> None:
    model = networks.cnn(shape=(32, 32))
    images, target = networks.images(model), networks.targets(columns=1)
    with torch.no_grad():
        forward = operations(lambda: model.network(images))
    assert operations(lambda: explain("absolute", model, images, target)) == 2 * forward
