"""Whether a direction is the shift that adding the concept to an image really causes (Pahde et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.activations import Read, read
from ambench.core import Better, Directions, InputError, Metric, Pooling, Trial, Values

from ._vectors import cosines

SMALLEST_SHIFT = 1e-6  # of the features' length: below, the layer ignores the concept


@dataclass(frozen=True)
class PlantedCosine(Metric[Directions]):
    """Cosine of a direction with the mean shift of features when the concept is put into an image; up, [-1, 1].

    (Pahde et al. 2022, arXiv 2202.03482.) The pairs are `count` images that differ in one concept alone, at places that
    have nothing to do with the object, pooled as the probe pools. `of` shift: the cosine with the mean shift; each
    pair's value is that plus its own pull on it, and the plain mean is the cosine. `of` each: the mean of the single
    cosines, which noise of the place makes smaller. `of` order: how often an image with it is further along the
    direction than one without, any two of them (the area under the ROC curve; chance .5).

    >>> shifts = torch.tensor([[3.0, 1.0], [3.0, -1.0]], dtype=torch.float64)
    >>> pulled(torch.tensor([1.0, 0.0], dtype=torch.float64), shifts).mean().item()
    1.0
    >>> PlantedCosine(of="each").count
    64
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    citation: ClassVar[str] = "Pahde et al. 2022, arXiv 2202.03482"

    of: Literal["shift", "each", "order"] = "shift"
    count: int = 64

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"count is a number of pairs from 1 up, not {self.count}")

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each pair and concept [n, K]; None where the dataset has no pairs."""
        columns = [self._concept(trial, number, name) for number, name in enumerate(trial.concepts.names)]
        known = [column for column in columns if column is not None]
        if len(known) < len(columns) or not known:
            return None
        values, defined, flat = (torch.stack(parts, 1) for parts in zip(*known, strict=True))
        return Values.of(values, defined, flat, ids=tuple(f"pair-{number:05}" for number in range(len(values))))

    def _concept(self, trial: Trial[Directions], number: int, name: str) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return values, whether there is a shift, and whether there is no direction [n] each."""
        pairs = None if trial.pairs is None else trial.pairs(name, self.count)
        if pairs is None:
            return None
        vector = trial.explanation.vectors[number].flatten().double()
        shown, hidden = (_features(trial, images) for images in (pairs.shown, pairs.hidden))  # [n, F]
        vector = vector.to(shown)
        moved = (shown - hidden).mean(0).norm() > SMALLEST_SHIFT * hidden.norm(dim=1).mean()
        dead = ~vector.any()
        values = self._values(vector, shown, hidden)
        return values, moved.expand(len(values)), dead.expand(len(values))

    def _values(self, vector: Tensor, shown: Tensor, hidden: Tensor) -> Tensor:
        shifts = shown - hidden
        if self.of == "each":
            return cosines(vector.expand_as(shifts), shifts)
        if self.of == "shift":
            return pulled(vector, shifts)
        further = (shown @ vector)[:, None] - (hidden @ vector)[None]  # [n, n]
        return (0.5 + 0.5 * further.sign()).mean(1)


def pulled(vector: Tensor, shifts: Tensor) -> Tensor:
    """Return the cosine of a vector [F] with the mean of shifts [n, F], plus each one's pull on it [n].

    The pulls add up to nothing, so that the mean is the cosine itself and the spread is that of the cosine.
    """
    mean = shifts.mean(0)
    length = mean.norm().clamp_min(1e-300)
    cosine = cosines(vector, mean)
    scale = vector.norm().clamp_min(1e-300)
    pull: Tensor = shifts @ vector / (scale * length) - cosine * (shifts @ mean) / length.square()
    return cosine + pull


def _features(trial: Trial[Directions], images: Tensor) -> Tensor:
    """The images' features as the direction reads them [n, F]; of cells that are read one by one, their mean."""
    pooling = trial.explanation.pooling
    as_read: Pooling = "mean" if pooling == "peak" else pooling
    wanted = Read(trial.explanation.layer, as_read)
    return read(trial.model, images, [wanted])[wanted].whole().flatten(1).double()
