"""What methods of gradients and of changed inputs cost in passes, and that no more inputs than a chunk exist at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from ambench import registry
from ambench.core import Concepts, Model, Randomness

IDS = tuple(f"image-{number}" for number in range(4))

# Passes of one image for T targets: forwards, and backwards to the pixels of the same price.
PASSES = {
    "saliency": lambda targets: 1 + targets,
    "input_x_gradient": lambda targets: 1 + targets,
    "guided_backprop": lambda targets: 1 + targets,
    "deconvnet": lambda targets: 1 + targets,
    "integrated_gradients:steps=6": lambda targets: 6 * (1 + targets),
    "smoothgrad:samples=5": lambda targets: 1 + 5 * (1 + targets),  # and one to see that the image has an answer
    "occlusion": lambda targets: 1 + 100,  # all targets read the same forwards from here on
    "local_sensitivity:grid=4": lambda targets: 1 + 16,
    "local_sensitivity:grid=4,central=true": lambda targets: 1 + 32,
    "sobol:grid=4,designs=8": lambda targets: 1 + 8 * 17,
    "sobol:grid=4,designs=8,order=first": lambda targets: 1 + 8 * 18,
}


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> None:
    examples = Concepts(("a",), torch.rand(3, *model.input_shape), torch.ones(3, 1, dtype=torch.bool))
    registry.load("methods", spec).attribute(model, images, targets, examples, Randomness((0,), IDS))


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("spec", sorted(PASSES))
def test_passes_are_as_few_as_the_formula_needs(spec: str, columns: int) -> None:
    model = networks.cnn(shape=(64, 64))
    images, targets = networks.images(model), networks.targets(columns=columns)
    with torch.no_grad(), FlopCounterMode(display=False) as one:
        model.network(images)
    with FlopCounterMode(display=False) as all_of_them:
        explain(spec, model, images, targets)
    passes = all_of_them.get_total_flops() / one.get_total_flops()
    assert PASSES[spec](columns) <= passes <= 1.05 * PASSES[spec](columns)  # weighting nodes and windows counts, too


class Counting(nn.Module):
    """The mean colour, and how many inputs came at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return x.square().mean((2, 3))


@pytest.mark.parametrize(
    "spec",
    ["integrated_gradients:steps=50", "smoothgrad:samples=20", "occlusion", "local_sensitivity", "sobol:designs=4"],
)
@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_no_more_inputs_than_a_chunk_exist_at_a_time(spec: str, chunk: int) -> None:
    network = Counting()
    model = Model("counting", "none", network, {}, {}, "", (3, 16, 16))
    separator = "," if ":" in spec else ":"
    explain(f"{spec}{separator}chunk={chunk}", model, torch.rand(4, 3, 16, 16), networks.targets(4, 2) % 3)
    assert max(network.sizes) <= chunk
    assert max(network.sizes) > chunk / 2
