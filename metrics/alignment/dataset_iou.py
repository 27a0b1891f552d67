"""How far a map's hot pixels cover a concept over a whole dataset, images without it included (Bau et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.by_concept import ByConcept, sums
from ambench.core import Better, Heatmaps, InputError, Ledger, Metric, Trial, Values
from ambench.finite import refuse_broken

from ._pixels import in_a_row
from .iou import SHARES

MOST_PIXELS = 4096  # of a calibration map: more are thinned out evenly


@dataclass(frozen=True, eq=False)
class Levels:
    """One level for each concept, and which part of the pixels on it counts: values [K, 2] float64, known [K] bool."""

    values: Tensor
    known: Tensor

    def at(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return levels of the concepts asked [B, T, 2], and which of them are known [B, T] bool."""
        columns = [ByConcept(column, self.known).at(targets) for column in self.values.unbind(1)]
        return torch.stack([values for values, _ in columns], -1), columns[0][1]


@dataclass(frozen=True)
class DatasetIou(Metric[Heatmaps]):
    """Intersections over unions, each summed over all images, of masks and maps above one level; up, [0, 1].

    What a map lights up in an image without the concept counts against it, so that a map of the object, or of anything
    that is always there, gains nothing. The level is one raw value for each concept, exceeded by a `share` of the
    pixels of the calibration part: None is the best there of nine, .005 that of Network Dissection, where above .04 a
    unit counts as a detector (arXiv 1704.05796). Pixels at the level itself count in part, as a fair choice among them
    would on average, so that a flat map scores what chance does. Each image's value is the ratio plus its own pull on
    it: their plain mean is the ratio. An image that shows the concept without a mask of it is undefined.

    >>> from ambench.core import Case, Truth
    >>> maps = torch.tensor([[[[0.9, 0.1], [0.8, 0.2]]], [[[0.7, 0.1], [0.1, 0.1]]]])
    >>> masks = torch.tensor([[[[True, False], [False, False]]], [[[False, False], [False, False]]]])
    >>> truth = Truth(torch.tensor([[True], [False]]), masks=masks)
    >>> case = Case(torch.zeros(2, 3, 2, 2), torch.zeros(2, 1).long(), truth, ("a", "b"))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(2, 1), maps), None, None, None)
    >>> from dataclasses import replace
    >>> metric, level = DatasetIou(), torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    >>> values = metric.score(replace(trial, calibration=Levels(level, torch.tensor([True]))))
    >>> ledger = Ledger(case.ids, case.targets, torch.zeros(2, 1), truth, values.notes)
    >>> round(metric.finish(values, ledger).values.mean().item(), 4)  # 1 of 2 and 1 pixels
    0.3333
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Bau et al. 2017, arXiv 1704.05796"

    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share < 1:
            raise InputError(f"share is a part of the pixels between 0 and 1, not {self.share}")

    def observe(self, trial: Trial[Heatmaps]) -> Tensor | None:
        """Return pixels of the maps and of the masks [B, T, P, 2], thinned out evenly."""
        masks = trial.case.truth.masks
        if masks is None:
            return None
        refuse_broken(trial, trial.explanation.values, "map")
        pair = torch.stack([in_a_row(trial.explanation.values), in_a_row(masks).float()], -1)
        return pair[:, :, :: -(-pair.shape[2] // MOST_PIXELS)]

    def calibrate(self, ledger: Ledger) -> Levels | None:
        """Return the level of each concept, unknown where the calibration part shows no mask of it."""
        seen = ledger.observations
        if seen is None:
            return None
        count = int(ledger.targets.max()) + 1 if ledger.targets.numel() else 0
        found = [_level(seen[ledger.targets == concept], self.share) for concept in range(count)]
        levels = torch.tensor([level or (0.0, 0.0) for level in found], dtype=torch.float64).view(-1, 2)
        return Levels(levels, torch.tensor([level is not None for level in found], dtype=torch.bool))

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return intersection over union [B, T], and both in the notes; None without masks, here or in calibration."""
        masks = trial.case.truth.masks
        if masks is None or trial.calibration is None:
            return None
        maps = trial.explanation.values
        if maps.shape != masks.shape:
            raise InputError(
                f"maps {list(maps.shape)} do not lie on masks {list(masks.shape)}; equal shapes are wanted"
            )
        refuse_broken(trial, maps, "map")
        values, inside = in_a_row(maps), in_a_row(masks.bool())
        levels, known = trial.calibration.at(trial.case.targets)  # [B, T, 2]
        hot = _hot(values.double(), levels[..., :1], levels[..., 1:])  # [B, T, P]
        notes = torch.stack([(hot * inside).sum(2), (hot * ~inside).sum(2) + inside.sum(2)], -1)  # [B, T, 2]
        blind = trial.case.truth.present.bool() & ~inside.any(2)
        flat = values.amax(2) == values.amin(2)
        return Values.of(notes[..., 0] / notes[..., 1].clamp_min(1), known & ~blind, flat, notes)

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the ratio of each concept plus each image's pull on it."""
        assert ledger.observations is not None
        defined = values.defined.double()
        both, either = (ledger.observations[..., part] * defined for part in (0, 1))
        targets, count = ledger.targets, sums(ledger.targets, defined).clamp_min(1)
        unions = sums(targets, either)
        ratio = sums(targets, both) / unions.clamp_min(1)
        pull = (both - ratio * either) * count / unions.clamp_min(1)
        return Values.of(ratio + pull, values.defined & (unions > 0), values.flat)


def _hot(values: Tensor, level: Tensor | float, part: Tensor | float) -> Tensor:
    """How much of each pixel is above a level: 1, or that part of those that lie on it."""
    return (values > level).double() + part * (values == level)


def _level(seen: Tensor, share: float | None) -> tuple[float, float] | None:
    """The level that a share of all pixels [n, P, 2] reaches and which part of those on it count; None without a mask.

    Where the share is open, each of the nine is tried with the pixels on its level and without them.
    """
    values, inside = seen[..., 0].flatten().double(), seen[..., 1].flatten() > 0
    if not inside.any():
        return None
    levels = [_reached_by(values, one) for one in (SHARES if share is None else (share,))]
    if share is None:
        levels += [(level, 0.0) for level, _ in levels]

    def ratio(level: tuple[float, float]) -> float:
        hot = _hot(values, *level)
        return float((hot * inside).sum() / ((hot * ~inside).sum() + inside.sum()))

    return max(levels, key=ratio)


def _reached_by(values: Tensor, share: float) -> tuple[float, float]:
    """The value that a share of all reaches, and which part of those equal to it belongs to that share."""
    kept = max(1, round(share * len(values)))
    level = values.topk(kept).values[-1]
    return float(level), float((kept - (values > level).sum()) / (values == level).sum())
