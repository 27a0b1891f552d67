"""40 CAVs against captum's TCAV, and gradients of 3 layers and 5 classes against a call for each."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

import numpy as np
import torch
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.concept import TCAV, Concept
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torchvision.models import resnet18

from ambench import features, models
from ambench.activations import Held
from ambench.core import Model
from side_by_side import Ratio, arguments, least_seconds, operations, report

Classifier = import_module("ambench.methods.probes._classifier").Classifier
Design = import_module("ambench.methods.probes._design").Design
read_patterns = import_module("ambench.methods.probes.pattern_cav").read_patterns

CONCEPTS, RANDOM_SETS, IMAGES = 4, 10, 50
TARGETS = {512: {"ridge": 10, "pattern": 200}, 25_088: {"ridge": 20, "pattern": 200}}  # times faster, by width
CALLS = 5  # of ours in a turn: one of 2 ms, right after another's second of work, is timed by what left the caches
LAYERS, CLASSES, BATCH = ("layer2", "layer3", "layer4"), (1, 207, 281, 340, 404), 4


def main() -> int:
    options = arguments(__doc__)
    warnings.filterwarnings("ignore", module="captum.*")
    ratios = [ratio for width in TARGETS for ratio in cavs(width, options.repeats)]
    return report([*ratios, *gradients(options.repeats)], options.json)


# ------------------------------------------------------------------------------------------------ CAVs


@dataclass(frozen=True)
class Sets:
    """Features of the images of 4 concepts and 10 random sets, as a layer with ReLU has them."""

    width: int

    @cached_property
    def features(self) -> Tensor:
        """The features [sets, images, F]; a concept raises some of them."""
        random = torch.Generator().manual_seed(0)
        noise = torch.randn(CONCEPTS + RANDOM_SETS, IMAGES, self.width, generator=random)
        noise[:CONCEPTS] += 0.3 * torch.randn(CONCEPTS, 1, self.width, generator=random).relu()
        return noise.relu()

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each concept with each random set."""
        return [(concept, CONCEPTS + number) for concept in range(CONCEPTS) for number in range(RANDOM_SETS)]

    @cached_property
    def problems(self) -> tuple[Tensor, Tensor]:
        """Which image shows the concept of which problem, and which is in it at all [N, 40] bool."""
        member = torch.arange(len(self.features)).repeat_interleave(IMAGES)[:, None]
        concept, other = torch.tensor(self.pairs).T
        return member == concept, (member == concept) | (member == other)


def cavs(width: int, repeats: int) -> list[Ratio]:
    """Return the ratios of 40 CAVs of some width, after checking what they are."""
    sets = Sets(width)
    check(sets)
    works = {
        "ridge": lambda: deque((by_ridge(sets) for _ in range(CALLS)), maxlen=0),
        "pattern": lambda: deque((by_pattern(sets) for _ in range(CALLS)), maxlen=0),
        "captum": lambda: by_captum(sets),
    }
    seconds = least_seconds(works, repeats)
    title = f"{len(sets.pairs)} CAVs, {width} features: s"
    return [
        Ratio(f"{title}, {name}", seconds[name] / CALLS, seconds["captum"], target)
        for name, target in TARGETS[width].items()
    ]


def by_ridge(sets: Sets) -> Tensor:
    """Return vectors [40, F]: one design of all images, one call for all problems."""
    planes = Classifier("ridge").solve(Design.of(Held(sets.features.flatten(0, 1))), *sets.problems)
    return planes.restored()[0]


def by_pattern(sets: Sets) -> Tensor:
    """Return vectors [40, F] from one reading of all images."""
    design, vectors, intercepts = read_patterns(Held(sets.features.flatten(0, 1)), *sets.problems)
    return design.restore(vectors, intercepts)[0]


def by_captum(sets: Sets) -> Mapping[str, object]:
    """Train the same pairs with captum's own classifier; its network's layer returns the images as they are."""
    network = nn.Sequential(nn.Identity(), nn.Linear(sets.width, 1)).eval()
    with tempfile.TemporaryDirectory() as folder:
        tcav = TCAV(network, "0", save_path=folder)
        concepts = [Concept(number, f"set {number}", [images]) for number, images in enumerate(sets.features)]
        return tcav.compute_cavs([[concepts[a], concepts[b]] for a, b in sets.pairs], force_train=True)


def check(sets: Sets) -> None:
    """Stop unless vectors are scikit-learn's and numpy's, problem by problem."""
    values = sets.features.double().numpy()
    scale = np.sqrt(((values - values.mean((0, 1))) ** 2).mean())
    for (a, b), ridge, pattern in zip(sets.pairs, by_ridge(sets), by_pattern(sets), strict=True):
        both = np.concatenate([values[a], values[b]]) / scale
        reference = Ridge(alpha=1.0).fit(both - both.mean(0), np.repeat([1.0, -1.0], IMAGES)).coef_
        assert cosine(ridge.numpy(), reference) > 0.999
        assert cosine(pattern.numpy(), values[a].mean(0) - values[b].mean(0)) > 1 - 1e-12


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# ------------------------------------------------------------------------------------------------ gradients


def gradients(repeats: int) -> list[Ratio]:
    """Return the ratios of the concept gradients of a ResNet-18, after checking that they are the same."""
    torch.manual_seed(0)
    model = models.wrap(resnet18().eval(), "resnet18")
    images = torch.rand(BATCH, *model.input_shape)
    works = {"ambench": lambda: at_once(model, images), "captum": lambda: one_by_one(model, images)}
    for ours, theirs in zip(at_once(model, images), one_by_one(model, images), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    done, seconds = operations(works), least_seconds(works, repeats)
    name = f"gradients, {len(LAYERS)} layers x {len(CLASSES)} classes, {BATCH} images"
    return [
        Ratio(f"{name}: GFLOP, captum", done["ambench"], done["captum"], 5.0),
        Ratio(f"{name}: s, captum", seconds["ambench"], seconds["captum"], 2.0),
    ]


def at_once(model: Model, images: Tensor) -> list[Tensor]:
    """Return gradients [B, T, C, H, W] of every layer from one forward and one backward."""
    taps = features.gradients(model, images, torch.tensor(CLASSES).expand(len(images), -1), LAYERS)
    return [taps.gradients[layer] for layer in LAYERS]


def one_by_one(model: Model, images: Tensor) -> list[Tensor]:
    """Return the same from a call for each layer and class."""

    def one(layer: str, target: int) -> Tensor:
        found, _ = compute_layer_gradients_and_eval(model.network, model.at(layer).module, images, target)
        return found[0].detach()

    return [torch.stack([one(layer, target) for target in CLASSES], 1) for layer in LAYERS]


if __name__ == "__main__":
    sys.exit(main())
