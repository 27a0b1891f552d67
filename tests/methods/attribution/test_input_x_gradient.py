"""Input times gradient against captum, completeness of bias-free networks, and the free mask of a black background."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from captum.attr import InputXGradient
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    examples = Concepts(("a",), networks.images(model, 6, seed=9), torch.ones(6, 1, dtype=torch.bool))
    return registry.load("methods", spec).attribute(model, images, targets, examples, Randomness((0,)))


@pytest.mark.parametrize("name", ["module", "functional", "in-place", "48 x 80", "one channel", "transformer", "swin"])
def test_it_equals_captum(name: str) -> None:
    model = networks.every()[name]
    images, target = networks.images(model), networks.targets(columns=1)
    theirs = InputXGradient(model.network).attribute(images.clone().requires_grad_(), target[:, 0]).sum(1)
    ours = explain("input_x_gradient", model, images, target)
    torch.testing.assert_close(ours.values[:, 0], theirs.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.scores[:, 0], theirs.detach().flatten(1).sum(1), atol=1e-5, rtol=0)


def test_shares_of_a_network_without_biases_add_up_to_the_logit() -> None:
    bare = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(294, 4, bias=False)
    )
    model = Model("bare", "none", networks.seeded(lambda: bare), {}, {}, "", (3, 16, 16))
    images, targets = networks.images(model), networks.targets() % 4
    with torch.no_grad():
        logits = model.network(images).gather(1, targets)
    torch.testing.assert_close(explain("input_x_gradient", model, images, targets).scores, logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
def test_a_linear_model_gives_weight_times_distance_from_the_baseline(baseline: str) -> None:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)))
    model = Model("linear", "none", network, {}, {}, "", (3, 8, 8))
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    colour = networks.images(model, 6, seed=9).mean((0, 2, 3))[:, None, None].expand_as(images)
    start = {"black": torch.zeros_like(images), "mean": colour, "blur": blurred(images)}[baseline]
    weights = network[1].weight.detach().view(2, 3, 8, 8)
    values = explain(f"input_x_gradient:baseline={baseline}", model, images, targets).values
    torch.testing.assert_close(values, (weights * (images - start)[:, None]).sum(2), atol=1e-6, rtol=0)


def blurred(images: Tensor) -> Tensor:
    """A bell of deviation 1/16 of the side, edges mirrored, four deviations far: at 8 pixels, .5."""
    bell = torch.exp(-2 * torch.arange(-2.0, 3).square())
    bell = torch.outer(bell, bell) / bell.sum() ** 2
    mirrored = torch.cat([images[..., [1, 0], :], images, images[..., [-1, -2], :]], 2)
    mirrored = torch.cat([mirrored[..., [1, 0]], mirrored, mirrored[..., [-1, -2]]], 3)
    return F.conv2d(mirrored, bell.expand(3, 1, 5, 5), groups=3)


def test_where_the_image_equals_the_baseline_the_map_is_zero() -> None:
    model = networks.cnn()
    images = networks.images(model)
    images[:, :, 4:9] = 0
    values = explain("input_x_gradient", model, images, networks.targets()).values
    assert not values[:, :, 4:9].any()
    assert values[:, :, :4].any()
    assert explain("saliency", model, images, networks.targets()).values[:, :, 4:9].any()
