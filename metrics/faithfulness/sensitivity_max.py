"""How much a map can change within a tiny ball around the image (Yeh et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Ledger, Metric, Randomness, Trial, Values
from ambench.finite import refuse_broken

from ._order import constant

SILENT = 0.05  # share of maps without a value above which the others are no fair sample


@dataclass(frozen=True)
class SensitivityMax(Metric[Heatmaps]):
    """Largest change of the map over `draws` nearby images, relative to its length; down, >= 0.

    Each draw adds to every number of the image one of its own, uniform within `radius`, a share of the inputs'
    range; the change is the Euclidean norm of the maps' difference over that of the map. Stochastic methods have
    the same noise for all of them. A map of zeros has no length and is undefined; where more than a twentieth of a
    method's are, so are all, as the rest would be a choice. Defined for images that show the concept. Small is not
    good in itself: maps that ignore the image or are smooth win. Only the first `limit` images are scored, each of
    which is explained `draws` times more.

    >>> from ambench.core import Case, Concepts, Truth
    >>> truth = Truth(torch.tensor([[True]]))
    >>> case = Case(torch.full((1, 1, 8, 8), 0.5), torch.tensor([[0]]), truth, ("a",))
    >>> concepts, itself = Concepts(("ring",), case.images, truth.present), lambda images, case: Heatmaps(
    ...     images.mean((2, 3)), images)
    >>> trial = Trial(None, case, itself(case.images, case), concepts, None, None, itself)
    >>> bool(SensitivityMax().score(trial).values < 0.02 / 0.5)  # the corner of the ball
    True
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392"

    draws: int = 5
    radius: float = 0.02
    limit: int | None = 16

    def __post_init__(self) -> None:
        if self.draws < 1 or self.radius <= 0:
            raise InputError(f"at least 1 draw within a radius above 0 is wanted, not {self.draws}, {self.radius}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the largest relative change [B, T] of each pair asked."""
        maps = trial.explanation.values
        refuse_broken(trial, maps, "map")
        length, most = _length(maps.double()), torch.zeros(maps.shape[:2], dtype=torch.float64, device=maps.device)
        radius = self.radius * (trial.concepts.bounds[1] - trial.concepts.bounds[0])
        for number in range(self.draws):
            changed = _maps(trial, nearby(trial.case.images, trial.case.ids, radius, number))
            most = torch.maximum(most, _length(changed.double() - maps.double()))
        silent, asked = length == 0, _asked(trial)
        return Values.of(most / length.masked_fill(silent, 1), asked & ~silent, constant(maps), notes=asked)

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the values, or none where too many maps are zero."""
        asked = values.defined if ledger.observations is None else ledger.observations.bool()
        silent = asked.sum() - values.defined.sum()
        return Values.of(values.values, values.defined & (silent <= SILENT * asked.sum()), values.flat)


def nearby(images: Tensor, ids: tuple[str, ...], radius: float, number: int) -> Tensor:
    """Return images [B, *input] moved within the ball, by a draw that depends on its number and their names alone."""
    drawn = Randomness(("faithfulness", "sensitivity"), ids).uniform(*images.shape[1:], repeat=number)
    return images + radius * (2 * drawn - 1).to(images)


def _asked(trial: Trial[Heatmaps]) -> Tensor:
    """The pairs [B, T] bool whose image shows the concept and for which a probe has an answer at all."""
    missing = () if trial.directions is None else trial.directions.missing
    gone = torch.isin(trial.case.targets, torch.tensor(sorted(missing), device=trial.case.targets.device))
    return trial.case.truth.present.bool() & ~gone


def _maps(trial: Trial[Heatmaps], images: Tensor) -> Tensor:
    answer = trial.reexplain(images)
    if not isinstance(answer, Heatmaps):
        raise InputError("the changed images were answered without maps; heatmaps are wanted")
    refuse_broken(trial, answer.values, "map of a nearby image")
    return answer.values


def _length(maps: Tensor) -> Tensor:
    """The Euclidean norm of maps [B, T, *extent], as [B, T]."""
    length: Tensor = torch.linalg.vector_norm(maps.reshape(*maps.shape[:2], math.prod(maps.shape[2:])), dim=2)
    return length
