"""Which layers stand for the way through a network."""

from __future__ import annotations

import importlib

import pytest
import torchvision
from torch import nn

import networks
from ambench.core import Layer, Model
from ambench.models import resolve, wrap

stages = importlib.import_module("ambench.metrics.portraits._stages").stages


def named(modules: dict[str, nn.Module]) -> Model:
    layers = {name: Layer(name, module, lambda grid: grid) for name, module in modules.items()}
    return Model("named", "none", nn.Identity(), {}, layers, next(reversed(layers)), (3, 8, 8))


def convolution() -> nn.Module:
    return nn.Conv2d(1, 1, 1)


def test_the_stages_of_the_embedded_networks() -> None:
    cnn, vit = resolve("cnn"), resolve("vit")
    assert stages(cnn, cnn.layer, 4) == ["layer1", "layer2", "layer3", "layer4"]
    assert stages(cnn, cnn.layer, 5)[0] == "maxpool"  # the stem ends there
    blocks = [f"encoder.layers.encoder_layer_{number}" for number in range(4)]
    assert stages(vit, vit.layer, 4) == ["encoder.dropout", *blocks[:2], f"{blocks[3]}.ln_1"]
    assert stages(vit, blocks[2], 2) == [blocks[0], blocks[2]]


def test_a_network_in_one_part_is_taken_apart() -> None:
    network = networks.seeded(lambda: torchvision.models.squeezenet1_1(num_classes=5))
    model = wrap(network, "squeezenet", input_shape=(3, 64, 64))
    assert model.layer == "features"
    assert stages(model, "features", 4) == ["features.5", "features.8", "features.10", "features"]
    assert stages(model, "features", 1) == ["features"]
    assert stages(model, "features.3", 2) == ["features.2", "features.3"]


def test_a_layer_inside_a_block_ends_the_way() -> None:
    cnn = resolve("cnn")
    assert stages(cnn, "layer3.0.conv1", 3) == ["layer1", "layer2", "layer3.0.conv1"]
    assert stages(cnn, "conv1", 4) == ["conv1"]


def test_a_block_ends_after_its_own_parts() -> None:
    """What a residual block adds and rectifies belongs to its last convolution."""
    block = nn.ModuleDict({"a": convolution(), "b": convolution()})
    model = named({"block.a": block["a"], "block.b": block["b"], "block": block})
    assert stages(model, "block", 1) == ["block"]
    assert stages(model, "block", 2) == ["block.a", "block"]
    assert stages(model, "block", 9) == ["block.a", "block"]


@pytest.mark.parametrize("count", range(1, 13))
def test_stages_are_in_order_evenly_spread_and_end_with_the_last(count: int) -> None:
    model = named({f"layer{number}": convolution() for number in range(12)})
    places = [int(name.removeprefix("layer")) for name in stages(model, "layer11", count)]
    assert len(places) == count
    assert places[-1] == 11
    steps = [later - earlier for earlier, later in zip([-1, *places], places, strict=False)]
    assert max(steps) - min(steps) <= 1


def test_layers_without_weights_belong_to_what_they_follow() -> None:
    model = named({"pixels": nn.Identity(), "conv": convolution(), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2)})
    assert stages(model, "pool", 4) == ["pixels", "pool"]
    assert stages(model, "relu", 4) == ["pixels", "relu"]
    assert stages(named({"pixels": nn.Identity()}), "pixels", 4) == ["pixels"]
