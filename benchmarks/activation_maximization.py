"""Activation maximization of class logits of a ResNet-18: one step of one unit, ambench against torch-lucent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import peers
import torch
from side_by_side import Ratio, arguments, operations, processor_seconds, report
from torch import nn
from torchvision.models import resnet18

from ambench import models, registry
from ambench.core import Concepts, Model, Randomness

UNITS = (1, 207, 340, 817)
SIZE = 224
STEPS = (2, 8)  # a step is the difference of two runs, so that nothing done once counts


def main() -> int:
    options = arguments(__doc__)
    torch.manual_seed(0)
    network = resnet18().eval()
    model = models.wrap(network, "resnet18")
    ways = {
        "ambench": lambda steps: by_ambench(model, steps),
        "lucent": lambda steps: by_lucent(network, steps),
        "lucent, 224 pixels": lambda steps: by_lucent(network, steps, SIZE),
        "bare": lambda steps: bare(model, steps),
    }
    works = {f"{name} {steps}": partial(way, steps) for name, way in ways.items() for steps in STEPS}
    done = per_unit_step(operations(works), ways)
    seconds = per_unit_step(processor_seconds(works, options.repeats), ways)
    name = "actmax, one step of one unit"
    ratios = [
        Ratio(f"{name}: GFLOP, lucent", done["ambench"], done["lucent"], 1.8),
        Ratio(f"{name}: CPU s, lucent", seconds["ambench"], seconds["lucent"], 2.2),
        Ratio(f"{name}: GFLOP, lucent at 224 pixels", done["ambench"], done["lucent, 224 pixels"], 1.45),
        Ratio(f"{name}: CPU s, lucent at 224 pixels", seconds["ambench"], seconds["lucent, 224 pixels"], 1.3),
        Ratio(f"{name}: GFLOP, bare minimum", done["ambench"], done["bare"], 1.02, "at most"),
        Ratio(f"{name}: CPU s, bare minimum", seconds["ambench"], seconds["bare"], 1.15, "at most"),
    ]
    return report(ratios, options.json)


def per_unit_step(figures: Mapping[str, float], ways: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    few, many = STEPS
    count = (many - few) * len(UNITS)
    return {name: (figures[f"{name} {many}"] - figures[f"{name} {few}"]) / count for name in ways}


def by_ambench(model: Model, steps: int) -> object:
    """All units in one batch; without the redirected ReLUs, which only the first 16 of 512 steps have."""
    method = registry.load("methods", f"actmax:steps={steps},redirected_steps=0")
    nothing = Concepts((), torch.empty(0, *model.input_shape), torch.empty(0, 0, dtype=torch.bool))
    return method.synthesise(model, torch.tensor(UNITS), nothing, Randomness((0, "benchmark")))


def by_lucent(network: nn.Module, steps: int, resized: int | None = None) -> None:
    """One unit after the other, as that package does it; the hooks it leaves behind are taken away each time.

    Its movements change the size of what the network sees, so each run gets the same ones.
    """
    optvis = peers.lucent()
    for unit in UNITS:
        np.random.seed(unit)
        optvis.render.render_vis(
            network,
            f"labels:{unit}",
            lambda: optvis.param.image(SIZE),
            thresholds=(steps,),
            progress=False,
            show_image=False,
            fixed_image_size=resized,
        )
        for module in network.modules():
            module._forward_hooks.clear()


def bare(model: Model, steps: int) -> None:
    """What no implementation can do without: a forward and the gradient of the pixels, parameters frozen."""
    model.network.requires_grad_(False)
    images = torch.rand(len(UNITS), *model.input_shape)
    for _ in range(steps):
        leaf = images.clone().requires_grad_()
        logits = model.network(leaf)
        (slope,) = torch.autograd.grad(logits[range(len(UNITS)), UNITS].sum(), leaf)
        images = images + 1e-3 * slope
    model.network.requires_grad_(True)


if __name__ == "__main__":
    sys.exit(main())
