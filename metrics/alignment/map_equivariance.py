"""Whether the map moves with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Trial, Values

from ._finite import refuse_broken
from ._ranks import mid_ranks
from ._robustness import Change, Robustness, mean_over


@dataclass(frozen=True)
class MapEquivariance(Robustness[Heatmaps]):
    """Mean correlation of the changed image's map with the map changed the same way; up, [-1, 1], unrelated 0.

    Ours, after Lysnaes-Larsen et al. 2025. After a geometric change only pixels that stayed in the frame count. Where
    either map is constant the correlation is 0. A map that looks at nothing but the place (`centre_gaussian`) keeps
    still under a change of light and does not follow a movement.

    >>> from ambench.core import Case, Concepts, Truth
    >>> truth, images = Truth(torch.tensor([[True]])), torch.rand(1, 1, 8, 8)
    >>> case, concepts = Case(images, torch.tensor([[0]]), truth, ("a",)), Concepts(("ring",), images, truth.present)
    >>> brightness = lambda images, case=None: Heatmaps(images.mean((2, 3)), images)
    >>> trial = Trial(None, case, brightness(images), concepts, None, None, brightness)
    >>> round(MapEquivariance(augmentations=("hflip", "translate")).score(trial).values.item(), 6)
    1.0
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    chance: ClassVar[float | None] = 0.0

    correlation: Literal["pearson", "spearman"] = "pearson"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T]."""
        maps = trial.explanation.values
        refuse_broken(trial, maps, "map")

        def agreement(change: Change) -> Tensor:
            answer = change.answer
            if not isinstance(answer, Heatmaps):
                raise InputError("the changed images were answered without maps; heatmaps are wanted")
            refuse_broken(trial, answer.values, f"map after {change.augmentation.name}")
            in_frame = change.move(torch.ones_like(maps)) > 0.999
            return self._correlate(_rows(change.move(maps)), _rows(answer.values), _rows(in_frame)).view(maps.shape[:2])

        flat = _constant(_rows(maps), torch.ones_like(_rows(maps), dtype=torch.bool)).view(maps.shape[:2])
        return Values.of(*mean_over(self.changes(trial), agreement), flat)

    def _correlate(self, one: Tensor, two: Tensor, counted: Tensor) -> Tensor:
        """Return the correlation of two maps over the pixels counted, all [R, P], as [R] float64."""
        silent = _constant(one, counted) | _constant(two, counted)
        if self.correlation == "spearman":  # what is not counted ranks last
            one, two = (mid_ranks(values.double().masked_fill(~counted, torch.inf)) for values in (one, two))
        first, second = (_centred(values.double(), counted) for values in (one, two))
        norm = (first.square().sum(1) * second.square().sum(1)).sqrt()
        silent = silent | (norm == 0)
        value = (first * second).sum(1) / torch.where(silent, torch.ones_like(norm), norm)
        return value.masked_fill(silent, 0.0).clamp(-1, 1)


def _rows(maps: Tensor) -> Tensor:
    """Maps [B, T, *extent] as rows of pixels [B T, P]."""
    return maps.reshape(maps.shape[0] * maps.shape[1], -1)


def _constant(values: Tensor, counted: Tensor) -> Tensor:
    high, low = (values.masked_fill(~counted, edge) for edge in (-torch.inf, torch.inf))
    return high.amax(1) <= low.amin(1)


def _centred(values: Tensor, counted: Tensor) -> Tensor:
    """Values less the mean of those counted, 0 elsewhere, scaled to 1 so that no square is lost [R, P]."""
    mean = values.masked_fill(~counted, 0).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp_min(1)
    distance = (values - mean).masked_fill(~counted, 0)
    return distance / distance.abs().amax(1, keepdim=True).clamp_min(1e-300)
