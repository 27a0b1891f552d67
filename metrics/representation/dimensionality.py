"""How many dimensions features take up, or how much of one each direction has for itself (arXiv 2209.10652)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Predictions, Trial, Values

from ._directions import of_classes
from ._features import Judged, OfFeatures, labels_of, outgoing, refuse_broken
from ._pull import pulled


@dataclass(frozen=True)
class Dimensionality(OfFeatures):
    """The participation ratio of a layer's features, or the mean share of a dimension that a direction has; up, from 0.

    `of` layer: (tr S)^2 / tr S^2, S the covariance over images: as many as there are, if all are used alike. `of`
    classes: |w|^2 / sum_j (w / |w| . w_j)^2 of the unit vectors from the mean of all to each class's mean, averaged
    (Elhage et al. 2022): 1 for one that is orthogonal to all others, 1/2 for two that are opposite; the shares of all
    add up to no more than their rank. `of` units: the same of each unit's weights to the classes, as they are.
    Directions of length 0 are left out; features that are all the same have no dimension, 0. One number for all images,
    given to each with its pull on it; of units it is the same for all. `layer`, `pooling`, `labels` as in `silhouette`.

    >>> points = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    >>> Dimensionality().judge(points, torch.arange(4)).values.mean().item()
    2.0
    """

    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    citation: ClassVar[str] = "Elhage et al. 2022, arXiv 2209.10652"

    of: Literal["layer", "classes", "units"] = "layer"

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return features and labels as notes, or the number of the units' weights; None without classes."""
        if self.of != "units":
            return super().score(trial)
        refuse_broken(trial)
        if labels_of(trial, self.labels) is None:
            return None
        value = mean_share(outgoing(trial.model))
        shape = trial.case.targets.shape
        return Values.of(value.nan_to_num().expand(shape), flat=value.isnan().expand(shape))

    def judge(self, found: Tensor, labels: Tensor) -> Judged:
        """Return the number with each image's pull on it [n]."""
        values = of_classes(found, labels, mean_share) if self.of == "classes" else _participation(found)
        return Judged(values.nan_to_num(), flat=bool(values.isnan().any()))


def shares(vectors: Tensor) -> Tensor:
    """Return which share of a dimension each vector [..., K, F] has for itself [..., K]; NaN for a zero vector.

    >>> [round(share, 4) for share in shares(torch.tensor([[1.0, 0], [-1, 0], [0, 2]])).tolist()]
    [0.5, 0.5, 1.0]
    """
    squares = vectors.square().sum(-1)  # [..., K]
    unit = vectors / squares.sqrt()[..., None].clamp_min(1e-300)
    overlap = (unit @ vectors.mT).square().sum(-1)
    return torch.where(squares > 0, squares / overlap, torch.nan)


def mean_share(vectors: Tensor) -> Tensor:
    """Return the mean share of the vectors [..., K, F] that are not zero [...], NaN where all are."""
    return shares(vectors).nanmean(-1)


def _participation(found: Tensor) -> Tensor:
    """Return the participation ratio with each image's pull on it [n], NaN where nothing varies."""
    n = len(found)
    centred = found - found.mean(0)
    scatter = centred.T @ centred  # [F, F]
    total, squared = scatter.trace(), scatter.square().sum()
    if n < 2 or total <= 1e-24 * found.square().sum():
        return torch.full((n,), torch.nan, dtype=found.dtype, device=found.device)
    own, factor = centred.square().sum(1), n / (n - 1)  # what leaving out an image takes away
    across = ((centred @ scatter) * centred).sum(1)
    without = (total - factor * own).square() / (squared - 2 * factor * across + factor**2 * own.square())
    return pulled(float(total.square() / squared), without)
