"""Whether the directions of classes, or of units, lie across one another (setting of Devkar 2024, arXiv 2412.16168)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, InputError, Predictions, Trial, Values

from ._directions import cosines, of_classes
from ._features import Judged, OfFeatures, labels_of, outgoing, refuse_broken

BINS = 40


@dataclass(frozen=True)
class CosineHistogram(OfFeatures):
    """Mean size of the cosines between directions, or their share beyond `above`; down, [0, 1].

    `of` classes: from the mean of all features to the mean of each class's, so that rectified features, which are all
    positive, are centred first; N such directions cannot do without, for they add up to nearly nothing: 1 / (N - 1)
    if they lie as far apart as they can. `of` units: each unit's weights to the classes, where there is a linear head.
    Directions of length 0 are left out. One number for all images, given to each with its pull on it; of units it is
    the same for all. `histogram` has the cosines in 40 bins. `layer`, `pooling` and `labels` as in `silhouette`.

    >>> corners = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)  # three classes of one image
    >>> round(CosineHistogram().judge(corners, torch.arange(3)).values.mean().item(), 4)
    0.5
    """

    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    citation: ClassVar[str] = "Devkar 2024, arXiv 2412.16168"

    of: Literal["classes", "units"] = "classes"
    statistic: Literal["mean", "share"] = "mean"
    above: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.above < 1:
            raise InputError(f"above is a cosine from 0 to below 1, not {self.above}")

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return features and labels as notes, or the number of the units' weights; None without classes."""
        if self.of == "classes":
            return super().score(trial)
        refuse_broken(trial)
        if labels_of(trial, self.labels) is None:
            return None
        vectors = torch.nn.functional.normalize(outgoing(trial.model), dim=1)
        value = self.summary(vectors)
        shape = trial.case.targets.shape
        return Values.of(value.expand(shape), value.isfinite().expand(shape))

    def judge(self, found: Tensor, labels: Tensor) -> Judged:
        """Return the number of the class directions with each image's pull on it [n]."""
        values = of_classes(found, labels, self.summary)
        return Judged(values.nan_to_num(), defined=bool(values.isfinite().all()))

    def summary(self, vectors: Tensor) -> Tensor:
        """Return the mean or the share of unit vectors [..., K, F] as [...]; NaN with fewer than two directions."""
        found, pairs = cosines(vectors)
        sizes = found.abs() if self.statistic == "mean" else (found.abs() > self.above).double()
        return (sizes * pairs).sum((-2, -1)) / pairs.sum((-2, -1))


def histogram(vectors: Tensor) -> Tensor:
    """Return how many pairs of unit vectors [K, F] have a cosine in each of 40 bins from -1 to 1 [40].

    >>> histogram(torch.eye(3)).nonzero().flatten().tolist(), histogram(torch.eye(3)).sum().item()
    ([20], 3.0)
    """
    found, pairs = cosines(vectors)
    return torch.histc(found[pairs.triu()].clamp(-1, 1).float().cpu(), BINS, -1, 1)
