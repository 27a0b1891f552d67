"""Integrated gradients against captum one target at a time, closed forms and completeness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness


def examples(model: Model) -> Concepts:
    return Concepts(("a",), networks.images(model, 6, seed=9), torch.ones(6, 1, dtype=torch.bool))


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    method = registry.load("methods", f"integrated_gradients:{spec}")
    return method.attribute(model, images, targets, examples(model), Randomness((0,)))


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("name", ["functional", "48 x 80", "one channel", "transformer"])
def test_integrated_gradients_equal_captum(name: str, chunk: int) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets()
    ours = explain(f"steps=12,chunk={chunk}", model, images, targets)
    for column in range(3):
        theirs = IntegratedGradients(model.network).attribute(images, 0, targets[:, column], n_steps=12).sum(1)
        torch.testing.assert_close(ours.values[:, column], theirs.detach(), atol=1e-6, rtol=0)
        torch.testing.assert_close(ours.scores[:, column], theirs.flatten(1).sum(1).detach(), atol=1e-5, rtol=0)


def test_nodes_and_weights_are_those_of_gauss_and_legendre() -> None:
    """A cubic along the way: three nodes integrate its derivative exactly, and the map is known in closed form."""

    class Cubic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.pow(3).flatten(1).sum(1, keepdim=True)

    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Model("cubic", "none", Cubic(), {}, {}, "", (3, 4, 4))
    values = explain("steps=2", model, images, torch.zeros(2, 1, dtype=torch.long)).values
    torch.testing.assert_close(values[:, 0].double(), images.pow(3).sum(1), atol=1e-6, rtol=0)
    nodes, weights = np.polynomial.legendre.leggauss(1)
    one = 3 * (images * (nodes[0] + 1) / 2).square() * images * weights[0] / 2
    values = explain("steps=1", model, images, torch.zeros(2, 1, dtype=torch.long)).values
    torch.testing.assert_close(values[:, 0].double(), one.sum(1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_a_linear_model_gives_weight_times_distance_from_the_baseline(baseline: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    model = Model("linear", "none", network, {}, {}, "", (3, 4, 4))
    images = networks.images(model)
    start = examples(model).images.mean((0, 2, 3))[:, None, None] if baseline == "mean" else 0
    weights = network[1].weight.detach().view(2, 3, 4, 4)
    values = explain(f"steps=1,baseline={baseline}", model, images, torch.tensor([[0, 1]] * 4)).values
    torch.testing.assert_close(values, (weights * (images - start)[:, None]).sum(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("steps", "gate"), [(16, 0.05), (50, 0.01)])
def test_scores_add_up_to_the_change_of_the_logit(steps: int, gate: float) -> None:
    model = networks.cnn()
    images, targets = networks.images(model), networks.targets()
    with torch.no_grad():
        change = model.network(images) - model.network(torch.zeros_like(images))
    scores = explain(f"steps={steps}", model, images, targets).scores
    assert ((scores - change.gather(1, targets)).abs() <= gate * change.gather(1, targets).abs() + 1e-4).all()


def test_an_image_equal_to_the_baseline_has_a_zero_map() -> None:
    model = networks.cnn()
    answer = explain("steps=4", model, torch.zeros(2, 3, 16, 16), networks.targets(2))
    assert not answer.values.any()
    assert not answer.scores.any()


def test_settings_below_one_are_refused() -> None:
    with pytest.raises(InputError, match="steps of at least 1"):
        registry.load("methods", "integrated_gradients:steps=0")
