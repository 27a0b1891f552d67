"""One direction from what images and what masks say of a concept (after Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ambench.activations import Held
from ambench.core import Directions, InputError, Pooling

from ._cells import Cells
from ._classifier import Classifier, Solver, balance
from ._design import Design
from ._examples import balanced_accuracy
from ._folds import out_of_fold
from ._probe import Probe, Sample


@dataclass(frozen=True)
class CombinationCav(Probe):
    """The CAV of mean-pooled images and that of segmented cells, together (ours, after arXiv 2511.04312).

    `variant` sum: the sum of the two unit vectors, at unit length, undecided half way between the examples' means.
    joint: one classifier of pooled images and cells, in which the cells have the share `cell_weight` of all weight;
    with 0 it is `cav`. `covered` as in `segmentation_cav`, all else as in `cav`.

    >>> CombinationCav(variant="joint").supervision
    'concept images and masks'
    """

    citation = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"
    supervision = "concept images and masks"

    layer: str | None = None
    variant: Literal["sum", "joint"] = "sum"
    cell_weight: float = 0.5
    covered: float = 0.25
    solver: Solver = "logistic"
    inverse_penalty: float | None = None
    chunk: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.cell_weight < 1:
            raise InputError(f"cell_weight is a share from 0 to below 1, not {self.cell_weight}")
        if not 0 < self.covered <= 1:
            raise InputError(f"covered is a share of a cell above 0 and at most 1, not {self.covered}")
        self._classifier  # noqa: B018 - refuses a penalty that is none

    @property
    def features(self) -> Pooling:
        """Cells, of which images are the mean."""
        return "none"

    @property
    def _classifier(self) -> Classifier:
        return Classifier(self.solver, self.inverse_penalty, "mean")

    def arranged(self, sample: Sample) -> Sample:
        """Return a sample by name where stochastic gradients would learn something else from another order."""
        return sample.by_name() if self.solver == "sgd" else sample

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C] for mean-pooled features; `details["agreement"]` is the cosine of the two parts.

        Below 0 they contradict each other. `details["accuracy"]` is that of the images' part, balanced, out of fold.
        """
        cells, images = Cells.of(sample, self.covered), _pooled(sample)
        design = images.design()
        by_image = self._classifier.solve(design, sample.present).restored()[0]
        by_cell = self._classifier.solve(Design.of(Held(cells.features)), cells.inside, cells.used).restored()[0]
        vectors, bias = self._joint(images, cells) if self.variant == "joint" else _sum(images, by_image + by_cell)
        accuracy = balanced_accuracy(out_of_fold(self._classifier, design, sample), sample.present)
        details = {"accuracy": accuracy, "agreement": (by_image * by_cell).sum(1)}
        return Directions(vectors.float(), bias.float(), sample.layer, "mean", details)

    def _joint(self, images: Sample, cells: Cells) -> tuple[Tensor, Tensor]:
        """Return the classifiers of images and cells, both moved and scaled as the images are."""
        alone = images.design()
        together = Held(torch.cat([images.activations.whole(), cells.features]))
        design = Design(together, alone.centre, alone.scale, alone.constant)
        count = len(images.present)
        parts = [balance(images.present), balance(cells.inside, cells.used)]
        total = [count * part / part.sum(0).clamp_min(1) for part in parts]  # [*, K], each of the images' weight
        weights = torch.cat([(1 - self.cell_weight) * total[0], self.cell_weight * total[1]])
        planes = self._classifier.weighted(design, torch.cat([images.present, cells.inside]), weights)
        return planes.restored()


def _pooled(sample: Sample) -> Sample:
    """The same examples with the mean over their cells."""
    parts = [
        block.reshape(len(block), sample.activations.shape[1], -1).mean(2) for _, block in sample.activations.rows()
    ]
    return replace(sample, activations=Held(torch.cat(parts)))


def _sum(images: Sample, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors at unit length, undecided half way between the means of images with and without the concept."""
    unit = torch.nn.functional.normalize(vectors, dim=1, eps=1e-8)
    scores = images.activations.whole().double() @ unit.T  # [N, K]
    present = images.present
    means = [(scores * side).sum(0) / side.sum(0) for side in (present, ~present)]
    return unit, -(means[0] + means[1]) / 2
