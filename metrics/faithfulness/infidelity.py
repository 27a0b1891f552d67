"""Whether a map predicts how the logit falls when the image is changed (Yeh et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Metric, Trial, Values

from ._asking import kept, logits, of_each, refuse_chunk
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
        images, targets = pictures(trial), trial.case.targets
        usual = of_each(lambda some: logits(trial, some), images, self.chunk).gather(1, targets)

        def change(rows: Tensor) -> Tensor:
            some = images.index_select(0, rows // self.draws)
            return changed(self.perturbation, some, self._drawn(trial, rows.tolist()), blank(trial))

        parts, count = [usual.new_empty(0, targets.shape[1])], len(images) * self.draws
        for first in range(0, count, self.chunk):
            rows = torch.arange(first, min(first + self.chunk, count), device=targets.device)
            parts.append(logits(trial, change(rows)).gather(1, targets[rows // self.draws]))
        said = torch.cat(parts).view(len(images), self.draws, targets.shape[1]).transpose(1, 2)  # [B, T, draws]
        return usual.unsqueeze(2) - said, usual

    def said(self, trial: Trial[Heatmaps], maps: Tensor) -> Tensor:
        """Return what maps [B, T, P] say of each change [B, T, draws]."""
        said = torch.zeros(*maps.shape[:2], self.draws, dtype=torch.float64, device=maps.device)
        for image, values in enumerate(maps.double()):
            for first in range(0, self.draws, self.chunk):
                place = slice(first, min(first + self.chunk, self.draws))
                draws = self._drawn(trial, range(image * self.draws + first, image * self.draws + place.stop))
                said[image, :, place] = values @ draws.flatten(1).to(values).T
        return said

    def _drawn(self, trial: Trial[Heatmaps], rows: Sequence[int]) -> Tensor:
        """Return the changes of successive rows [n, *extent]; each image has as many rows as there are draws."""
        extent = tuple(pictures(trial).shape[2:])
        kind: Kind = "columns" if is_table(trial) and self.perturbation == "boxes" else self.perturbation
        scale, parts = span(trial) if kind == "noise" else 1, []
        for image in range(rows[0] // self.draws, rows[-1] // self.draws + 1):
            start = image * self.draws
            some = range(max(rows[0] - start, 0), min(rows[-1] + 1 - start, self.draws))
            parts.append(scale * drawn(kind, trial.case.ids[image], extent, some, self.draws))
        return torch.cat(parts)


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
