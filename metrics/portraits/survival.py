"""Whether a portrait still drives its unit when it is changed a little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ambench import augmentations, features
from ambench.augmentations import Augmentation
from ambench.core import Better, InputError, Metric, Portraits, Randomness, Skipped, Trial, Values

from ._natural import stand_ins
from ._responses import natural_sought, own_sought, sought

UNTRAINED = ("hflip", "brightness", "contrast", "hue", "grey", "blur", "noise", "jpeg", "cutout")
TRAINED = ("translate", "rotate", "scale")  # what ascents move their pictures by


@dataclass(frozen=True)
class Survival(Metric[Portraits]):
    """Share of changes under which a portrait still wins its unit; up, [0, 1]; 0 for a dead or failed portrait.

    One that stands for a class wins if no other class's logit is higher (ties shared); any other wins if its response
    is above the `quantile` of natural images, the method's examples. A portrait that does not win unchanged has nothing
    to keep. Each of the `augmentations` counts the same: the area under its share of winning `draws` over its levels of
    strength, weak to strong. Those that mean nothing for the input, or that the concept does not survive
    (`Concepts.keeps`), are left out.

    Jitter, scaling and rotation are what portraits are trained under, so they are asked for apart:
    `survival:augmentations=translate+rotate+scale`. All methods and models get the same changes. `yardstick` scores, in
    the portraits' place, as many natural images that show the concept, the strongest first.

    >>> from ambench import toy
    >>> from ambench.core import Case, Truth
    >>> images = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]])[:, :, None, None].expand(2, 3, 16, 16)
    >>> portraits = Portraits(images, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> case = Case(images, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> concepts = toy.Squares().concepts("fit")
    >>> trial = Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> Survival(("translate", "noise")).score(trial).values.tolist()
    [[1.0], [0.0]]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.0

    augmentations: tuple[str, ...] = UNTRAINED
    draws: int = 4
    quantile: float = 0.95
    yardstick: bool = False

    def __post_init__(self) -> None:
        for name in self.augmentations:
            augmentations.find(name)
        if not self.augmentations or self.draws < 1 or not 0 <= self.quantile <= 1:
            raise InputError("survival needs an augmentation, at least one draw of each, and a quantile from 0 to 1")

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], undefined without a rival, None if all are; Skipped: no change."""
        if self.yardstick and len(trial.concepts):
            trial, there = stand_ins(trial)
            values = replace(self, yardstick=False).score(trial)
            return values and Values.of(values.values, values.defined & there[:, None], values.flat)
        own_sought(trial)  # refuses what is not finite
        dead, judged = ~trial.explanation.alive, _is_class(trial) | bool(len(trial.concepts))  # [P] each
        if not judged.any():
            return None
        kept, count = self._kept(trial)
        lived = kept / count.clamp_min(1) * self._wins(trial, trial.case.images)
        return Values.of(lived.masked_fill(dead, 0.0)[:, None], (judged & (count > 0))[:, None], dead[:, None])

    def _kept(self, trial: Trial[Portraits]) -> tuple[Tensor, Tensor]:
        """Return the summed survival over augmentations, and how many there are for each portrait [P]."""
        shape = tuple(trial.case.images.shape[1:])
        suited = [one for one in map(augmentations.find, self.augmentations) if one.suits(shape)]
        if not suited:
            raise Skipped(f"none of {', '.join(self.augmentations)} can change inputs {list(shape)}")
        kept, count = (torch.zeros(len(trial.case), dtype=torch.float64).to(trial.case.images.device) for _ in range(2))
        for augmentation in suited:
            stays = _stays(trial, augmentation.name)
            if stays.any():
                levels = range(len(augmentation.strengths))
                area = _area(torch.stack([self._share(trial, augmentation, level) for level in levels]))
                kept, count = kept + area * stays, count + stays
        return kept, count

    def _share(self, trial: Trial[Portraits], augmentation: Augmentation, level: int) -> Tensor:
        """Return the share of draws that each portrait wins [P]; a change without chance is tried once."""
        drawn: list[tuple[Tensor, Tensor]] = []
        for draw in range(self.draws):
            randomness = Randomness(("augmentation", augmentation.name, draw), trial.case.ids)
            changed = augmentation.apply(trial.case.images, level, randomness, bounds=trial.concepts.bounds)
            again = bool(drawn) and torch.equal(changed, drawn[0][0])
            drawn.append(drawn[0] if again else (changed, self._wins(trial, changed)))
        return torch.stack([won for _, won in drawn]).mean(0)

    def _wins(self, trial: Trial[Portraits], images: Tensor) -> Tensor:
        """Return how far each image [P, *input] in the portraits' place wins the portrait's unit [P], in [0, 1]."""
        of_class = _is_class(trial)
        won = torch.zeros(len(images), dtype=torch.float64, device=images.device)
        if of_class.any():
            logits = features.logits(trial.model, images)
            rivals = logits[:, list(trial.model.class_units)]
            own = logits.gather(1, trial.units[trial.case.targets])[:, 0]
            best = rivals.amax(1)
            won = ((own == best) / (rivals == best[:, None]).sum(1)).double()
        if not of_class.all() and len(trial.concepts):
            bar = trial.share(("natural quantile", self.quantile), lambda: self._bar(trial))  # [P]
            won = torch.where(of_class, won, (sought(trial, images).diagonal() > bar).double())
        return won

    def _bar(self, trial: Trial[Portraits]) -> Tensor:
        pool = natural_sought(trial)
        return torch.as_tensor(np.quantile(pool.cpu().numpy(), self.quantile, axis=0), device=pool.device)


def _is_class(trial: Trial[Portraits]) -> Tensor:
    """Return which portraits [P] were made for one of the model's classes."""
    classes, names = trial.model.classes, trial.concepts.names
    known = [trial.explanation.seeks is None and name in classes for name in names]
    return torch.tensor(known, device=trial.case.targets.device)[trial.case.targets[:, 0]]


def _stays(trial: Trial[Portraits], name: str) -> Tensor:
    """Return whose concept [P] stays what it is under an augmentation, as the dataset says."""
    keeps = trial.concepts.keeps or {}
    stays = [name in keeps.get(concept, (name,)) for concept in trial.concepts.names]
    return torch.tensor(stays, device=trial.case.targets.device)[trial.case.targets[:, 0]]


def _area(shares: Tensor) -> Tensor:
    """Return the area [P] under shares [levels, P], levels one apart, over the distance from first to last.

    >>> _area(torch.tensor([[1.0], [1.0], [0.0]])).tolist()
    [0.75]
    """
    return shares[0] if len(shares) == 1 else torch.trapezoid(shares, dim=0) / (len(shares) - 1)
