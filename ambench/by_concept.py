"""Numbers that belong to concepts, wherever in a batch they were asked: one frozen number each, sums, thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ByConcept:
    """One number for each concept, frozen before the test part is read: values [K] float64, known [K] bool."""

    values: Tensor
    known: Tensor

    @staticmethod
    def of(targets: Tensor, decide: Callable[[Tensor], float | None]) -> ByConcept:
        """Return what `decide` says of each concept, given where it was asked: targets [N, T] -> places [N, T] bool."""
        numbers = [decide(targets == concept) for concept in range(int(targets.max()) + 1 if targets.numel() else 0)]
        values = torch.tensor([0.0 if number is None else number for number in numbers], dtype=torch.float64)
        return ByConcept(values, torch.tensor([number is not None for number in numbers], dtype=torch.bool))

    def at(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of the concepts asked [B, T] float64, and which of them are known [B, T] bool."""
        if not len(self.values):
            return torch.zeros_like(targets, dtype=torch.float64), torch.zeros_like(targets, dtype=torch.bool)
        place = targets.clamp(max=len(self.values) - 1)
        known = self.known.to(targets.device)[place] & (targets < len(self.values))
        return self.values.to(targets.device)[place], known


def sums(groups: Tensor, numbers: Tensor) -> Tensor:
    """Return the sum of numbers [N, T] over all places of the same group [N, T] long, at each place [N, T] float64.

    >>> sums(torch.tensor([[0, 1], [0, 2]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[4.0, 2.0], [4.0, 4.0]]
    """
    totals = torch.bincount(groups.flatten(), numbers.double().flatten())
    return totals[groups]


def best_threshold(scores: Tensor, present: Tensor) -> float | None:
    """Return the threshold [n] scores need for the best balanced accuracy: the middle of the widest best interval.

    It lies between two of the scores, since "always" and "never" are no rules; equal scores are their own threshold.
    None unless there are scores with (`present`) and without the concept.

    >>> best_threshold(torch.tensor([0.0, 1.0, 3.0, 4.0]), torch.tensor([False, False, True, True]))
    2.0
    """
    if not len(present) or bool(present.all()) or not bool(present.any()):
        return None
    cuts, group = torch.unique(scores.double(), return_inverse=True)  # [m], ascending
    if len(cuts) == 1:
        return float(cuts[0])
    shown = torch.bincount(group[present], minlength=len(cuts)).cumsum(0)  # [m] with the concept, up to each score
    others = torch.bincount(group[~present], minlength=len(cuts)).cumsum(0)
    right = (shown[-1] - shown) * others[-1] + others * shown[-1]  # [m] balanced, in whole numbers
    best = torch.nn.functional.pad(right[:-1] == right[:-1].max(), (1, 1)).int().diff()
    starts, ends = cuts[(best == 1).nonzero()[:, 0]], cuts[(best == -1).nonzero()[:, 0]]  # neighbours join
    widest = (ends - starts).argmax()
    return float((starts[widest] + ends[widest]) / 2)
