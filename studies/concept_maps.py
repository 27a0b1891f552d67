"""Draws localization maps of each probe beside the masks: python studies/concept_maps.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ambench import explanations, models, registry
from ambench.core import Case, Randomness
from ambench.datasets.shapes import Shapes
from ambench.pictures import heat

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "concept_alignment.png"
PROBES = ("cav:pooling=none", "cav", "pattern_cav", "combination_cav", "segmentation_cav", "context_cav")
NETWORKS = {"cnn": "layer3", "vit": "encoder.layers.encoder_layer_1.ln_1"}
ROWS = 4  # images of each network, one for each concept


def main() -> None:
    """Write the picture."""
    dataset = Shapes(fit=300)
    case = _one_of_each(next(iter(dataset)), dataset)
    columns = 2 + len(PROBES)
    figure, axes = plt.subplots(len(NETWORKS) * ROWS, columns, figsize=(1.15 * columns, 1.15 * len(NETWORKS) * ROWS))
    for number, (name, layer) in enumerate(NETWORKS.items()):
        block = axes[number * ROWS : (number + 1) * ROWS]
        _column(block[:, 0], case.images, "" if number else "picture")
        shown = case.truth.masks
        assert shown is not None
        _column(block[:, 1], shown[:, 0, None].float().expand(-1, 3, -1, -1), "" if number else "mask")
        for place, spec in enumerate(PROBES):
            _column(block[:, 2 + place], heat(_maps(name, layer, spec, dataset, case)), "" if number else _title(spec))
        block[0, 0].set_ylabel(name)
    figure.tight_layout(pad=0.2)
    figure.savefig(PICTURE, dpi=80)


def _one_of_each(case: Case, dataset: Shapes) -> Case:
    """One image that shows each concept, where its context misleads, asked for that concept alone."""
    truth = case.truth
    assert truth.hard is not None
    rows = [int((truth.present[:, k] & truth.hard[:, k]).nonzero()[0]) for k in range(len(dataset.names))]
    picked = case.select(rows)
    column = torch.arange(len(rows))
    masks = picked.truth.masks
    assert masks is not None
    asked = type(truth)(picked.truth.present[column, column][:, None], masks[column, column][:, None])
    return Case(picked.images, column[:, None], asked, picked.ids)


def _maps(name: str, layer: str, spec: str, dataset: Shapes, case: Case) -> Tensor:
    """Return a probe's maps [n, H, W]."""
    model = models.resolve(name)
    probe = registry.load("methods", f"{spec}{',' if ':' in spec else ':'}layer={layer}")
    found = probe.fit(model, dataset.concepts("fit"), Randomness((0,)))
    return explanations.localise(model, found, case.images, case.targets).values[:, 0]


def _column(axes: list[Axes], pictures: Tensor, title: str) -> None:
    for axis, picture in zip(axes, pictures, strict=True):
        axis.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_title(title, fontsize=7)


def _title(spec: str) -> str:
    return {"cav:pooling=none": "flat cav", "cav": "pooled cav"}.get(spec, spec.replace("_", " "))


if __name__ == "__main__":
    main()
