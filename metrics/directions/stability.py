"""Whether another sample of examples would give the same direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Directions, InputError, Metric, Trial, Values

from ._vectors import cosines, stacked


@dataclass(frozen=True)
class Stability(Metric[Directions]):
    """Mean signed cosine between fits to other samples of the examples; up, [-1, 1].

    `by` bootstrap: each of `refits` fits to a sample with repetition, against all others. Those share examples, so even
    noise agrees (.47 was seen): compare with `random_direction`, whose floor depends on the width, and never take it
    for a test. `by` split: fits to two disjoint halves, for half as many splits; noise then agrees by chance alone. A
    stable direction can be stably wrong: read it beside `hard_accuracy`. The rows are refits, not images.

    >>> vectors = torch.tensor([[[1.0, 0.0]], [[0.6, 0.8]], [[0.6, 0.8]]])  # three refits of one concept
    >>> refits = [Directions(v, torch.zeros(1), "0") for v in vectors]
    >>> [round(value, 4) for value in agreement(refits)[:, 0].tolist()]
    [0.6, 0.8, 0.8]
    >>> Stability(refits=3).better
    'higher'
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Schmalwasser et al. 2025, arXiv 2505.17883"

    refits: int = 20
    by: Literal["bootstrap", "split"] = "bootstrap"

    def __post_init__(self) -> None:
        if self.refits < 2:
            raise InputError(f"stability needs at least two refits to compare, not {self.refits}")

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each refit (or split) and concept [S, K]; None where nothing can be fitted anew."""
        if trial.refit is None:
            return None
        counts = self.samples(trial)
        fitted = trial.refit(counts)
        if self.by == "split":
            one, other = stacked(fitted[::2]), stacked(fitted[1::2])  # [S, K, F] each
            values, dead = cosines(one, other), ~(one.any(2) & other.any(2))
        else:
            values, dead = agreement(fitted), ~stacked(fitted).any(2)
        ids = tuple(f"{self.by}-{number:02}" for number in range(len(values)))
        return Values.of(values, flat=dead, ids=ids)

    def samples(self, trial: Trial[Directions]) -> Tensor:
        """Return how often each example is in each sample [S, N]; halves come in pairs."""
        count = len(trial.concepts)
        drawn = []
        for number in range(self.refits if self.by == "bootstrap" else self.refits // 2):
            random = trial.randomness.generator("stability", self.by, number)
            if self.by == "bootstrap":
                drawn.append(torch.randint(count, (count,), generator=random).bincount(minlength=count))
            else:
                half = torch.randperm(count, generator=random) < count // 2
                drawn += [half.long(), (~half).long()]
        return torch.stack(drawn)


def agreement(fitted: Sequence[Directions]) -> Tensor:
    """Return each refit's mean cosine with the others [S, K]."""
    vectors = stacked(fitted)
    table = cosines(vectors[:, None], vectors[None])  # [S, S, K]
    others = ~torch.eye(len(table), dtype=torch.bool, device=table.device)
    return (table * others[..., None]).sum(1) / (len(table) - 1)
