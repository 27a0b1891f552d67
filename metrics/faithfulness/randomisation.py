"""Whether a map depends on what the model learned (Adebayo et al. 2018; Hedström et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Heatmaps, InputError, Metric, Trial, Values
from ambench.finite import refuse_broken

from ._order import constant
from ._randomised import compared, stages


@dataclass(frozen=True)
class Randomisation(Metric[Heatmaps]):
    """Similarity of the map to those for the network with random weights, mean over stages; down, [-1, 1].

    The model parameter randomisation test, bottom-up: weights are drawn anew from the input upwards, in at most
    `stages`, the last of which leaves none as learnt; at each the method explains the network that there is. The
    similarity is Spearman's correlation of the signed maps as they are. A map that ignores the model scores 1, and so
    does a flat one. For a probe, the examples are learnt anew from the random features; portraits are synthesised
    anew. Stages at which all logits of an image are equal say nothing and are left out; a pair without any other is
    undefined, and so is one whose image does not show the concept. `draws` networks at each stage; the first `limit`
    images are scored.

    >>> from ambench import toy
    >>> case, model = next(iter(toy.Squares(count=2))), toy.network()
    >>> bright = Heatmaps(torch.zeros(2, 3), case.images.mean(1, keepdim=True).expand(-1, 3, -1, -1))
    >>> blind = Trial(model, case, bright, None, None, None, under=lambda model: lambda images, case: bright)
    >>> values = Randomisation().score(blind)
    >>> values.values[values.defined].unique().tolist()
    [1.0]
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Adebayo et al. 2018, arXiv 1810.03292; Hedström et al. 2024, arXiv 2405.02383"

    stages: int = 4
    draws: int = 1
    limit: int | None = 16

    def __post_init__(self) -> None:
        if self.stages < 1 or self.draws < 1:
            raise InputError(f"at least 1 stage and 1 draw are wanted, not {self.stages} and {self.draws}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the mean similarity [B, T] of each pair asked."""
        maps = trial.explanation.values
        refuse_broken(trial, maps, "map")
        total = torch.zeros(maps.shape[:2], dtype=torch.float64, device=maps.device)
        count = torch.zeros(len(maps), 1, dtype=torch.float64, device=maps.device)
        for draw in range(self.draws):
            for names in stages(trial.model, trial.case.images, self.stages):
                found = compared(trial, names, draw)
                total += torch.where(found.speaks[:, None], found.similarity, 0)
                count += found.speaks[:, None]
        flat = constant(maps)
        defined = trial.case.truth.present.bool() & (count > 0)
        return Values.of((total / count.clamp_min(1)).masked_fill(flat, 1), defined, flat)
