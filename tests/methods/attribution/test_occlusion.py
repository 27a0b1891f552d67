"""Occlusion against captum, with windows cut at the border, and a linear model in closed form."""

from __future__ import annotations

import importlib

import captum.attr
import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness

windows = importlib.import_module("ambench.methods.attribution._perturbed").windows


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    method = registry.load("methods", f"occlusion:{spec}" if spec else "occlusion")
    return method.attribute(model, images, targets, examples(model), Randomness((0,)))


def examples(model: Model) -> Concepts:
    return Concepts(("a",), networks.images(model, 6, seed=9), torch.ones(6, 1, dtype=torch.bool))


# Sides of 16, 48 and 80 pixels with windows of 5, 14 and 24, strides of 3, 8 and 14: none divides, all are cut.
@pytest.mark.parametrize("chunk", [3, 64])
@pytest.mark.parametrize("name", ["in-place", "48 x 80", "one channel", "transformer"])
@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_it_equals_captum(baseline: str, name: str, chunk: int) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets(columns=2)
    ours = explain(f"window=0.3,stride=0.6,baseline={baseline},chunk={chunk}", model, images, targets).values
    channels, *sides = model.input_shape
    sizes = [round(0.3 * side) for side in sides]
    strides = [round(0.6 * size) for size in sizes]
    level = examples(model).images.mean((0, 2, 3))[None, :, None, None] if baseline == "mean" else torch.zeros(())
    for column in range(2):
        theirs = captum.attr.Occlusion(model.network).attribute(
            images,
            (channels, *sizes),
            strides=(channels, *strides),
            target=targets[:, column],
            baselines=level.expand_as(images),
        )[:, 0]
        torch.testing.assert_close(ours[:, column], theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 64, 64), (3, 48, 80), (1, 40)])
def test_a_linear_model_loses_the_weights_under_the_window(shape: tuple[int, ...]) -> None:
    size = torch.Size(shape).numel()
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 2)))
    model = Model("linear", "none", network, {}, {}, "", shape)
    images, targets = networks.images(model, 2), torch.tensor([[0, 1]] * 2)
    sides = shape[1:]
    sizes, strides = [round(3 / 16 * side) for side in sides], [round(round(3 / 16 * side) / 2) for side in sides]
    masks = windows(sides, sizes, strides).double()  # [N, *extent]
    level = examples(model).images.mean((0, *range(2, 1 + len(shape)))).view(-1, *[1] * len(sides))
    loss = (network[1].weight.detach().view(2, *shape) * (images - level)[:, None]).sum(2).double()  # [B, T, *extent]
    by_window = loss.flatten(2) @ masks.flatten(1).T  # [B, T, N]
    expected = (by_window @ masks.flatten(1)) / masks.flatten(1).sum(0)
    values = explain("", model, images, targets).values
    torch.testing.assert_close(values.flatten(2).double(), expected, atol=5e-6, rtol=1e-4)


def test_windows_are_the_documented_ones() -> None:
    at_64 = windows([64, 64], [12, 12], [6, 6])
    assert len(at_64) == 100
    assert at_64.any(0).all()
    assert at_64.flatten(1).sum(1).tolist().count(144) == 81  # the last of each axis begins at 54 and is cut to 10
    assert windows([4], [9], [2]).int().tolist() == [[1, 1, 1, 1]]


def test_evidence_against_the_target_keeps_its_sign() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 1, bias=False))
    network[1].weight.data = torch.where(torch.arange(16) < 8, 1.0, -1.0)[None]
    model = Model("halves", "none", network, {}, {}, "", (1, 4, 4))
    values = explain("window=0.25,stride=1,baseline=black", model, torch.ones(1, 1, 4, 4), torch.zeros(1, 1).long())
    assert torch.equal(values.values[0, 0], network[1].weight.data.view(4, 4))


def test_a_window_of_the_baselines_colour_loses_nothing() -> None:
    model = networks.cnn()
    images = networks.images(model)
    images[:, :, :8] = 0
    values = explain("window=0.25,stride=1,baseline=black", model, images, networks.targets()).values
    assert not values[:, :, :8].any()
    assert values[:, :, 8:].any()


def test_a_tables_columns_are_covered_one_by_one() -> None:
    network = networks.seeded(lambda: nn.Linear(7, 2))
    model = Model("table", "none", network, {}, {}, "", (7,))
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    expected = network.weight.detach()[targets] * (images - examples(model).images.mean(0))[:, None]
    values = explain("", model, images, targets).values
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(InputError, match="no neighbours"):
        explain("baseline=blur", model, images, targets)


@pytest.mark.parametrize("setting", ["window=0", "window=1.2", "stride=0", "stride=2", "chunk=0"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="occlusion needs"):
        registry.load("methods", f"occlusion:{setting}")
