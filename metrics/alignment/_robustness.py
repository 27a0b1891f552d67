"""Answers to changed inputs, asked for once a case and shared by all metrics of robustness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from ambench import augmentations
from ambench.augmentations import LEVELS, Augmentation
from ambench.core import InputError, Metric, Randomness, Scores, Trial

S = TypeVar("S", bound=Scores)


@dataclass(frozen=True, eq=False)
class Change:
    """A change of all images of a case and the answer to it; kept [B, T] bool: the concept is still what it was."""

    augmentation: Augmentation
    level: int
    randomness: Randomness
    answer: Scores
    kept: Tensor

    def move(self, maps: Tensor) -> Tensor:
        """Return maps [B, T, *extent] moved as the images were."""
        return self.augmentation.move(maps, self.level, self.randomness)


@dataclass(frozen=True)
class Robustness(Metric[S]):
    """A metric that asks again about changed images: some `augmentations`, at `levels` 0 (weakest), 1, 2.

    Images get the same changes from every method, model and seed. Changes that mean nothing for the input's shape are
    left out. A pair is left out of a change that its concept does not survive: the dataset says so (`Concepts.keeps`),
    or more than half of the mask leaves the frame.
    """

    limit: int | None = 32
    augmentations: tuple[str, ...] = ("hflip", "translate", "rotate", "brightness", "blur", "noise")
    levels: tuple[int, ...] = (1,)

    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    def __post_init__(self) -> None:
        for name in self.augmentations:
            augmentations.find(name)
        if not self.augmentations or not self.levels or not set(self.levels) <= set(range(LEVELS)):
            raise InputError("at least one augmentation is wanted, and levels of it: 0 (weakest), 1 or 2")

    def changes(self, trial: Trial[S]) -> list[Change]:
        """Return the answers to each change, in order; raises InputError when none of them suits the input."""
        known = [augmentations.find(name) for name in self.augmentations]
        shape = tuple(trial.case.images.shape[1:])
        suited = [augmentation for augmentation in known if augmentation.suits(shape)]
        if not suited:
            possible = [name for name, one in augmentations.AUGMENTATIONS.items() if one.suits(shape)]
            raise InputError(
                f"{', '.join(self.augmentations)} cannot change inputs {list(shape)}; {', '.join(possible)} can"
            )
        graded = [(one, min(level, len(one.strengths) - 1)) for one in suited for level in self.levels]
        return [_share(trial, one, level) for one, level in dict.fromkeys(graded)]


def _share(trial: Trial[S], augmentation: Augmentation, level: int) -> Change:
    change: Change = trial.share(("augmented", augmentation.name, level), lambda: _change(trial, augmentation, level))
    return change


def _change(trial: Trial[S], augmentation: Augmentation, level: int) -> Change:
    case, masks = trial.case, trial.case.truth.masks
    randomness = Randomness(("augmentation", augmentation.name), case.ids)
    spared = None if masks is None else masks.bool().any(1)  # [B, *extent]
    changed = augmentation.apply(case.images, level, randomness, spared, trial.concepts.bounds)
    answer = trial.reexplain(changed)
    kept = _survives(trial, augmentation.name)
    if masks is not None:
        kept = kept & (augmentation.visible(masks, level, randomness) >= 0.5)
    return Change(augmentation, level, randomness, answer, kept)


def _survives(trial: Trial[S], name: str) -> Tensor:
    """Return which concepts asked [B, T] stay what they are under an augmentation, as the dataset says."""
    targets, keeps = trial.case.targets, trial.concepts.keeps
    if keeps is None:
        return torch.ones_like(targets, dtype=torch.bool)
    stays = [name in keeps.get(concept, (name,)) for concept in trial.concepts.names]
    return torch.tensor(stays, device=targets.device)[targets]


def mean_over(changes: list[Change], of: Callable[[Change], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean [B, T] float64 of a number [B, T] over the changes that keep each pair, and where any does."""
    total = torch.zeros_like(changes[0].kept, dtype=torch.float64)
    count = torch.zeros_like(total)
    for change in changes:
        total, count = total + of(change).double() * change.kept, count + change.kept
    return total / count.clamp_min(1), count > 0
