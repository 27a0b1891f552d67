"""How the fits of probes grow with concepts, layers and images, beside the forward that they learn from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import NamedTuple

import torch

from ambench import activations, models, registry
from ambench.activations import Read
from ambench.core import Concepts, Model, Pooling, Randomness
from ambench.datasets.shapes import Shapes
from side_by_side import Ratio, Work, arguments, least_seconds, report

Sample = import_module("ambench.methods.probes._probe").Sample

PROBES = {"pattern": "pattern_cav", "ridge": "cav:solver=ridge", "logistic": "cav"}
CLOSED = {"mean": ("pattern", "ridge"), "none": ("pattern",)}  # must not dominate the forward, by pooling
LAYERS = ("layer4", "layer3", "layer2", "layer1")


class Setting(NamedTuple):
    """How many concepts are learnt at how many layers from how many images, and how their features are pooled."""

    concepts: int = 16
    layers: int = 1
    images: int = 1000
    pooling: Pooling = "mean"

    def __str__(self) -> str:
        return f"concepts {self.concepts:2}, layers {self.layers}, images {self.images:4}, pooling {self.pooling}"


SETTINGS = (
    Setting(),
    *(Setting(concepts=count) for count in (4, 64)),
    *(Setting(layers=count) for count in (2, 4)),
    *(Setting(images=count) for count in (500, 2000)),
    Setting(64, 4, 2000),
    Setting(pooling="none"),  # 6144 features: ridge is cubic in the images there
)


def main() -> int:
    options = arguments(__doc__)
    model = models.resolve("cnn")
    examples = Shapes(fit=max(setting.images for setting in SETTINGS)).concepts("fit")
    seconds = [least_seconds(works(model, examples, setting), options.repeats) for setting in SETTINGS]
    if not options.json:
        print(table(seconds))
    ratios = [
        Ratio(f"{name} over forward, {setting}: s", taken[name], taken["forward"], 1.0, "at most")
        for setting, taken in zip(SETTINGS, seconds, strict=True)
        for name in CLOSED[setting.pooling]
    ]
    return report(ratios, options.json)


def works(model: Model, examples: Concepts, setting: Setting) -> dict[str, Work]:
    """Return the forward that reads all layers, and the fits to what it read, accuracies out of fold and all."""
    concepts = labelled(examples, setting)
    wanted = [Read(layer, setting.pooling) for layer in LAYERS[: setting.layers]]
    found = activations.read(model, concepts.images, wanted)
    samples = [Sample(concepts, found[one], one.layer, Randomness((0,))) for one in wanted]
    return {
        "forward": lambda: activations.read(model, concepts.images, wanted),
        **{name: fits(spec, setting.pooling, samples) for name, spec in PROBES.items()},
    }


def fits(spec: str, pooling: Pooling, samples: Sequence[object]) -> Work:
    probe = replace(registry.load("methods", spec), pooling=pooling)
    return lambda: [probe.solve(sample) for sample in samples]


def labelled(examples: Concepts, setting: Setting) -> Concepts:
    """Return some images with their own four concepts, and as many random labels as are wanted beyond them."""
    present = examples.present[: setting.images]
    more = torch.rand(setting.images, setting.concepts, generator=torch.Generator().manual_seed(0)) < 0.5
    present = torch.cat([present, more], 1)[:, : setting.concepts]
    names = tuple(f"concept {number}" for number in range(setting.concepts))
    return Concepts(names, examples.images[: setting.images], present, ids=examples.ids[: setting.images])


def table(seconds: Sequence[dict[str, float]]) -> str:
    head = f"{'processor seconds':52}" + "".join(f"{name:>10}" for name in ("forward", *PROBES))
    rows = [
        f"{setting!s:52}" + "".join(f"{taken[name]:10.3g}" for name in ("forward", *PROBES))
        for setting, taken in zip(SETTINGS, seconds, strict=True)
    ]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    sys.exit(main())
