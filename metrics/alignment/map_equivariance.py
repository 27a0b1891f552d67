"""Whether the map moves with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Trial, Values
from ambench.correlation import Correlation, constant, correlation
from ambench.finite import refuse_broken

from ._pixels import in_a_row
from ._robustness import Change, Robustness, mean_over


@dataclass(frozen=True)
class MapEquivariance(Robustness[Heatmaps]):
    """Mean correlation of the changed image's map with the map changed the same way; up, [-1, 1], unrelated 0.

    Ours, after Lysnaes-Larsen et al. 2025. After a geometric change only pixels that stayed in the frame count. Where
    either map is constant the correlation is 0. A map that looks at nothing but the place (`centre_gaussian`) keeps
    still under a change of light and does not follow a movement. Defined for images that show the concept: of others
    an empty map is the right one.

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
    needs: ClassVar[tuple[str, ...]] = ("present",)

    correlation: Correlation = "pearson"

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
            pair = _rows(change.move(maps)), _rows(answer.values)
            return correlation(*pair, _rows(in_frame), self.correlation).view(maps.shape[:2])

        flat = constant(_rows(maps), torch.ones_like(_rows(maps), dtype=torch.bool)).view(maps.shape[:2])
        agreed, kept = mean_over(self.changes(trial), agreement)
        return Values.of(agreed, kept & trial.case.truth.present.bool(), flat)


def _rows(maps: Tensor) -> Tensor:
    """Maps [B, T, *extent] as rows of pixels [B T, P]."""
    return in_a_row(maps).flatten(0, 1)
