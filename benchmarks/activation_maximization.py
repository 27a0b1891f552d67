"""Activation maximization: one step of one unit beside torch-lucent and beside the least that it can cost.

Of a ResNet-18: class logits, channels of the last and of the second stage. Of a ViT-B/16: channels of its second block,
stopped there, beside the whole forward. Then memory as more portraits climb at once, and what 50 calls leave behind.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet18, vit_b_16

import peers
from ambench import features, models, registry
from ambench.core import Concepts, Model, Portraits, Randomness
from side_by_side import Ratio, arguments, least_seconds, operations, report

UNITS = (1, 2, 3, 4)  # neighbours, so that channels of the same numbers can be asked for by the first
SIZE = 224
STEPS = (2, 8)  # a step is the difference of two runs, so that nothing done once counts
CALLS = 50


@dataclass(frozen=True)
class Target:
    """What is climbed: a layer of ambench's model (None: the logits), and lucent's name for it."""

    name: str
    layer: str | None
    lucent: str
    least: float  # times faster than lucent, wanted


TARGETS = (
    Target("logits", None, "labels", 2.2),
    Target("layer4", "layer4", "layer4", 2.2),
    Target("layer2", "layer2", "layer2", 2.5),
)


def main() -> int:
    options = arguments(__doc__)
    torch.manual_seed(0)
    model = models.wrap(resnet18().eval().to(options.device), "resnet18")
    network = peers.theirs(model).network
    ratios: list[Ratio] = []
    for target in TARGETS:
        ratios += beside_lucent(model, network, target, options.repeats)
    ratios += early_in_a_transformer(options.repeats, options.device)
    ratios += memory_by_batch()
    ratios += left_behind(model)
    return report(ratios, options.json)


# ------------------------------------------------------------------------------------------------ beside lucent


def beside_lucent(model: Model, network: nn.Module, target: Target, repeats: int) -> list[Ratio]:
    ways: dict[str, Callable[[int], object]] = {
        "ambench": lambda steps: by_ambench(model, steps, target.layer),
        "lucent": lambda steps: by_lucent(network, steps, target.lucent),
        "lucent, 224 pixels": lambda steps: by_lucent(network, steps, target.lucent, SIZE),
        "bare": lambda steps: bare(model, steps, target.layer),
    }
    done, seconds = per_unit_step(ways, repeats)
    name = f"{target.name}, one step of one unit"
    ours, time = done["ambench"], seconds["ambench"]
    return [
        Ratio(f"{name}: GFLOP, lucent", ours, done["lucent"], 1.8),
        Ratio(f"{name}: s, lucent", time, seconds["lucent"], target.least),
        Ratio(f"{name}: GFLOP, lucent at 224 pixels", ours, done["lucent, 224 pixels"], 1.45),
        Ratio(f"{name}: s, lucent at 224 pixels", time, seconds["lucent, 224 pixels"], 1.3),
        Ratio(f"{name}: GFLOP, bare minimum", ours, done["bare"], 1.02, "at most"),
        Ratio(f"{name}: s, bare minimum", time, seconds["bare"], 1.15, "at most"),
    ]


def per_unit_step(
    ways: Mapping[str, Callable[[int], object]], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Operations in 10^9 and least processor seconds of one step of one unit."""
    works = {f"{name} {steps}": partial(way, steps) for name, way in ways.items() for steps in STEPS}
    few, many = STEPS
    count = (many - few) * len(UNITS)

    def share(figures: Mapping[str, float]) -> dict[str, float]:
        return {name: (figures[f"{name} {many}"] - figures[f"{name} {few}"]) / count for name in ways}

    return share(operations(works)), share(least_seconds(works, repeats))


def by_ambench(model: Model, steps: int, layer: str | None = None, count: int = len(UNITS)) -> Portraits:
    """All units in one batch; without the redirected ReLUs, which only the first 16 of 512 steps have."""
    spec = f"actmax:steps={steps},redirected_steps=0"
    spec += "" if layer is None else f",objective=channel,layer={layer},channel={UNITS[0]}"
    units = torch.arange(UNITS[0], UNITS[0] + count)
    nothing = Concepts((), torch.empty(0, *model.input_shape), torch.empty(0, 0, dtype=torch.bool))
    return registry.load("methods", spec).synthesise(model, units, nothing, Randomness((0, "benchmark")))


def by_lucent(network: nn.Module, steps: int, layer: str, resized: int | None = None) -> None:
    """One unit after the other, as that package does it; the hooks it leaves behind are taken away each time.

    Its movements change the size of what the network sees, so each run gets the same ones.
    """
    optvis = peers.lucent()
    for unit in UNITS:
        np.random.seed(unit)
        optvis.render.render_vis(
            network,
            f"{layer}:{unit}",
            lambda: optvis.param.image(SIZE),
            thresholds=(steps,),
            progress=False,
            show_image=False,
            fixed_image_size=resized,
        )
        for module in network.modules():
            module._forward_hooks.clear()


def bare(model: Model, steps: int, layer: str | None) -> None:
    """What no implementation can do without: the forward as far as needed, and the gradient of the pixels."""
    images = torch.rand(len(UNITS), *model.input_shape, device=model.device)
    with features.Reader(model, layer) as reader:
        reader(images)  # from the second forward on it ends at the layer
        for _ in range(steps):
            leaf = images.clone().requires_grad_()
            (slope,) = torch.autograd.grad(objective(reader(leaf)), leaf)
            images = images + 1e-3 * slope


def objective(read: Tensor) -> Tensor:
    own = read[range(len(UNITS)), UNITS]
    return own.sum() if read.ndim == 2 else own.mean((1, 2)).sum()


# ------------------------------------------------------------------------------------------------ stopped early


def early_in_a_transformer(repeats: int, device: str) -> list[Ratio]:
    """Channels of the second of twelve blocks: ended there, and beside it with the whole forward run each time."""
    model = models.wrap(vit_b_16().eval().to(device), "vit_b_16")
    layer = "encoder.layers.encoder_layer_1"
    ways: dict[str, Callable[[int], object]] = {
        "ambench": lambda steps: by_ambench(model, steps, layer),
        "whole": lambda steps: to_the_end(model, steps, layer),
    }
    done, seconds = per_unit_step(ways, repeats)
    name = "ViT-B/16, block 2 of 12, one step of one unit"
    return [
        Ratio(f"{name}: GFLOP, whole forward", done["ambench"], done["whole"], 2),
        Ratio(f"{name}: s, whole forward", seconds["ambench"], seconds["whole"], 2),
    ]


def to_the_end(model: Model, steps: int, layer: str) -> None:
    images = torch.rand(len(UNITS), *model.input_shape, device=model.device)
    with features.Reader(model, layer, None) as reader:
        for _ in range(steps):
            leaf = images.clone().requires_grad_()
            grid = model.at(layer).as_grid(reader.outputs(leaf)[layer])
            (slope,) = torch.autograd.grad(objective(grid), leaf)
            images = images + 1e-3 * slope


# ------------------------------------------------------------------------------------------------ memory


def memory_by_batch() -> list[Ratio]:
    """The most that lives at once for 32 portraits in chunks of 8 beside all 32: chunks must bound it."""
    model = models.resolve("cnn")
    whole, parts = (peak_mib(model, chunk) for chunk in (32, 8))
    return [Ratio("cnn, 32 portraits: live MiB, chunks of 8 over all at once", parts, whole, 0.4, "at most")]


def peak_mib(model: Model, chunk: int) -> float:
    method = registry.load("methods", f"actmax:steps=2,chunk={chunk},restarts=4")
    nothing = Concepts((), torch.empty(0, *model.input_shape), torch.empty(0, 0, dtype=torch.bool))
    units = torch.arange(8)

    def work() -> object:
        return method.synthesise(model, units, nothing, Randomness((0, "benchmark")))

    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    live = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    return most / 2**20


def left_behind(model: Model) -> list[Ratio]:
    """Hooks and tensors after 50 calls, over those after the first two."""

    def living(calls: int) -> int:
        for _ in range(calls):
            by_ambench(model, 1, "layer2", 1)
        gc.collect()
        hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())
        return hooks + sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    few, many = living(2), living(CALLS)
    return [Ratio(f"hooks and tensors after {CALLS} calls over those after 2", many, few, 1.0, "at most")]


if __name__ == "__main__":
    sys.exit(main())
