"""Whether a map predicts how the logit falls when the image is changed (Yeh et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Metric, Trial, Values

from ._asking import kept, logits, refuse_chunk
from ._draws import Kind, changed, drawn
from ._inputs import blank, is_table, pictures, span
from ._order import constant, maps_of


@dataclass(frozen=True)
class Infidelity(Metric[Heatmaps]):
    """Mean squared error with which a map predicts the fall of the logit, over that of predicting none; down, [0, 1].

    `perturbation` is what is drawn: `boxes` of random place and size (some columns of a table), which take the
    examples' mean colour, and of which the map says the sum of its values inside; or `noise` I of deviation .1, the
    same in all channels, which is subtracted, and of which the map A says <I, A>. `scaled` fits one factor to each
    map by least squares, at least 0, so that its pattern and sign count, and divides by the mean square of the
    falls: 0 predicts all, 1 nothing, as a flat map. Without it the value is the plain mean square, in logits
    squared, to compare with no other method or model. A logit that no change moves is undefined, and so is a
    concept that the image does not show.

    The falls are the same for all methods, and computed once for each case and network.

    >>> from ambench import toy
    >>> case, model = next(iter(toy.Squares(count=8))), toy.network()
    >>> examples, units = toy.Squares(count=8).concepts("fit"), torch.arange(3)
    >>> answers = [Heatmaps(case.truth.present.float(), sign * case.truth.masks.float()) for sign in (1, 0)]
    >>> right, flat = (Infidelity().score(Trial(model, case, a, examples, None, units)) for a in answers)
    >>> bool(right.values.sum() < .2 * flat.values.sum()), flat.values.max().item()
    (True, 1.0)
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392"

    draws: int = 64
    perturbation: Literal["boxes", "noise"] = "boxes"
    scaled: bool = True
    chunk: int = 64

    def __post_init__(self) -> None:
        refuse_chunk("infidelity", self.chunk)
        if self.draws < 2:
            raise InputError(f"infidelity needs at least 2 draws, not {self.draws}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the error [B, T] of each pair that shows its concept."""
        maps, present = maps_of(trial), trial.case.truth.present.bool()
        asked = tuple(map(tuple, trial.case.targets.tolist()))
        key = ("falls", self.draws, self.perturbation, span(trial), *trial.concepts.mean.tolist(), asked)
        falls, usual = kept(trial, key, lambda: self.falls(trial))  # [B, T, draws], [B, T]
        said = self.said(trial, maps)
        if not self.scaled:
            return Values.of((said - falls).square().mean(2), present, constant(maps))
        moved = falls.square().mean(2).sqrt() > 1e-6 * usual.abs()
        return Values.of(unexplained(said, falls).masked_fill(constant(maps), 1), present & moved, constant(maps))

    def falls(self, trial: Trial[Heatmaps]) -> tuple[Tensor, Tensor]:
        """Return by how much each change lowers the logits [B, T, draws], and what they are without one [B, T]."""
        targets = trial.case.targets
        falls = torch.zeros(*targets.shape, self.draws, dtype=torch.float64, device=targets.device)
        usual = torch.zeros(targets.shape, dtype=torch.float64, device=targets.device)
        for row, image in enumerate(pictures(trial)):
            usual[row] = logits(trial, image[None])[0, targets[row]]
            for place, draws in self._drawn(trial, row):
                said = logits(trial, changed(self.perturbation, image, draws, blank(trial)))  # [n, K]
                falls[row, :, place] = usual[row, :, None] - said[:, targets[row]].T
        return falls, usual

    def said(self, trial: Trial[Heatmaps], maps: Tensor) -> Tensor:
        """Return what maps [B, T, P] say of each change [B, T, draws]."""
        said = torch.zeros(*maps.shape[:2], self.draws, dtype=torch.float64, device=maps.device)
        for row, values in enumerate(maps.double()):
            for place, draws in self._drawn(trial, row):
                said[row, :, place] = values @ draws.flatten(1).to(values).T
        return said

    def _drawn(self, trial: Trial[Heatmaps], row: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield the draws for one image, a chunk at a time [n, *extent], and where they belong."""
        image, extent = trial.case.ids[row], tuple(pictures(trial).shape[2:])
        kind: Kind = "columns" if is_table(trial) and self.perturbation == "boxes" else self.perturbation
        scale = span(trial) if kind == "noise" else 1
        for first in range(0, self.draws, self.chunk):
            last = min(first + self.chunk, self.draws)
            yield slice(first, last), scale * drawn(kind, image, extent, range(first, last))


def unexplained(said: Tensor, falls: Tensor) -> Tensor:
    """Return the share of the falls' squares [..., draws] that no positive multiple of what was said explains.

    >>> round(unexplained(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0])).item(), 6)  # 1 - .6 ** 2
    0.64
    """
    said, falls = (_unit(numbers.double()) for numbers in (said, falls))
    return 1 - (said * falls).sum(-1).clamp(0, 1).square()


def _unit(numbers: Tensor) -> Tensor:
    """Return numbers [..., n] at length 1, or 0."""
    numbers = numbers / numbers.abs().amax(-1, keepdim=True).clamp_min(1e-300)
    return torch.div(numbers, torch.linalg.vector_norm(numbers, dim=-1, keepdim=True).clamp_min(1e-300))
