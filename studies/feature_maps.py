"""Draws the last features of any two networks beside each other: t-SNE, and the cosines of their class directions.

python studies/feature_maps.py cnn cnn-texture --out maps.png
python studies/feature_maps.py            # the picture of docs/studies/representation.md
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from sklearn.manifold import TSNE
from torch import Tensor

from ambench import models, naming, registry
from ambench.core import InputError
from ambench.workbench import sized

reading = import_module("ambench.metrics.representation._features")
directions = import_module("ambench.metrics.representation._directions")
cosines = import_module("ambench.metrics.representation.cosine_histogram")

ACTIVE = Path(__file__).parent / "networks" / "active"
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "representation.png"
PAIR = tuple(f"cnn@{ACTIVE / arm}-0.safetensors" for arm in ("baseline", "active"))
DATASET = "shapes:correlation=0.5,fit=0,calibrate=0,test=512"
SEED = 0


def features_of(name: str, dataset: str, layer: str | None = None) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return a network's features [N, F] of a dataset's test part, the images' classes [N] and their names."""
    model = models.resolve(name)
    data = sized(registry.load("datasets", dataset), model)
    found, labels = [], []
    cue = naming.cue_of(model, data.classes)
    for case in data:
        number = getattr(case.truth, cue)
        if number is None:
            raise InputError(f"'{dataset}' does not know its images' {cue}, so they have no class to be drawn by")
        found.append(reading.read(model, case.images, layer, "mean").double())
        labels.append(number)
    return torch.cat(found), torch.cat(labels), data.classes if cue == "shape" else model.classes


def embedded(features: Tensor) -> np.ndarray:
    """Return t-SNE's places [N, 2]: from the first principal axes, with a fixed seed; a picture and no measure."""
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(init="pca", random_state=SEED, perplexity=perplexity).fit_transform(features.numpy())


def draw(networks: tuple[str, str], dataset: str, layer: str | None = None) -> plt.Figure:
    """Return a figure with a column for each network: t-SNE above, the cosines of its class directions below."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 6.5), height_ratios=(3, 1))
    for column, name in zip(axes.T, networks, strict=True):
        features, labels, classes = features_of(name, dataset, layer)
        _scatter(column[0], embedded(features), labels, classes)
        column[0].set_title(Path(name).stem, fontsize=9)
        counts = cosines.histogram(directions.Means.of(features, labels).directions())
        column[1].stairs(counts.numpy(), np.linspace(-1, 1, cosines.BINS + 1), fill=True, color="0.4")
        column[1].set_xlabel("cosines of class directions", fontsize=8)
    figure.tight_layout()
    return figure


def _scatter(axis: Axes, places: np.ndarray, labels: Tensor, classes: tuple[str, ...]) -> None:
    for number, name in enumerate(classes):
        mine = places[(labels == number).numpy()]
        axis.scatter(mine[:, 0], mine[:, 1], s=5, label=name)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(fontsize=6, markerscale=2, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0))


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=PAIR, help="two models by name")
    parser.add_argument("--dataset", default=DATASET, help="whose test part is shown to them")
    parser.add_argument("--layer", help="whose features are drawn (default: those before the head)")
    parser.add_argument("--out", type=Path, default=PICTURE, help="the picture's file")
    given = parser.parse_args()
    if len(given.networks) != 2:
        parser.error(f"two networks are drawn beside each other, not {len(given.networks)}")
    draw(tuple(given.networks), given.dataset, given.layer).savefig(given.out, dpi=80)


if __name__ == "__main__":
    main()
