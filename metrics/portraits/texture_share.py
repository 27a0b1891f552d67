"""Whether a unit answers to its portrait's texture or to its layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench import augmentations
from ambench.core import Better, InputError, Metric, Portraits, Randomness, Skipped, Trial, Values

from ._natural import stand_ins
from ._responses import natural_sought, own_sought, sought

LEAST_EFFECT = 1e-6  # of a portrait over the contrast images, below which there is nothing to be kept
LEAST_KEPT = 0.05  # by texture and outline together, below which neither has a share


@dataclass(frozen=True)
class TextureShare(Metric[Portraits]):
    """What is left of a portrait's effect with its texture alone, over that with texture or outline alone; [0, 1].

    The effect is the response less its mean over contrast images, the examples that do not show the concept (all, if
    all do). What a change keeps of it lies between 0 and 1. `measure` texture, T: the mean over shuffles of square
    patches, `draws` for each of the `grids` (2: four patches), which keep texture and destroy layout. outline, F: the
    mean over blurs by the `deviations` (pixels of a side of 64), which keep layout and destroy texture. share:
    T / (T + F), undefined where both together are below .05. Sides that a grid does not divide keep a rim in its place.

    Descriptive. Blur also takes what an optimiser leaves in high frequencies, so it is the distance from natural images
    of the unit that says something: `yardstick` scores, in the portraits' place, as many that show the concept, the
    strongest first. A dead portrait has share .5 and keeps 0; one without effect keeps 0 as well.

    >>> from ambench import toy
    >>> from ambench.core import Case, Truth
    >>> images = torch.tensor([0.9, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    >>> portraits = Portraits(images, torch.tensor([0]), torch.tensor([True]), torch.zeros(1, 1))
    >>> case = Case(images, torch.tensor([[0]]), Truth(torch.ones(1, 1).bool()), ("red/0",))
    >>> concepts = toy.Squares().concepts("fit")
    >>> trial = Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> round(TextureShare().score(trial).values.item(), 6)  # one colour all over: nothing is lost by either
    0.5
    """

    reads: ClassVar[type[Portraits]] = Portraits
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    measure: Literal["share", "texture", "outline"] = "share"
    grids: tuple[int, ...] = (2, 4, 8)
    draws: int = 4
    deviations: tuple[float, ...] = (1.0, 2.0, 4.0)
    yardstick: bool = False

    def __post_init__(self) -> None:
        if self.draws < 1 or not self.grids or min(self.grids) < 2:
            raise InputError("texture_share needs grids of at least 2 patches a side, and one draw of each")
        if not self.deviations or min(self.deviations) <= 0:
            raise InputError("texture_share needs deviations of a blur above 0 pixels")

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped for what is no picture."""
        if not len(trial.concepts):
            return None
        if trial.case.images.ndim != 4:
            raise Skipped(f"inputs {list(trial.case.images.shape[1:])} are no pictures: they have neither side")
        if self.yardstick:
            trial, there = stand_ins(trial)
            values = replace(self, yardstick=False).score(trial)
            return values and Values.of(values.values, values.defined & there[:, None], values.flat)
        alive = trial.explanation.alive
        texture, outline = (kept * alive for kept in (self._texture(trial), self._outline(trial)))  # [P] each
        if self.measure != "share":
            return Values.of((texture if self.measure == "texture" else outline)[:, None], flat=~alive[:, None])
        total = texture + outline
        share = torch.where(alive, texture / total.clamp_min(LEAST_KEPT), 0.5)
        return Values.of(share[:, None], ((total >= LEAST_KEPT) | ~alive)[:, None], ~alive[:, None])

    def _texture(self, trial: Trial[Portraits]) -> Tensor:
        images = trial.case.images
        grids = [grid for grid in self.grids if grid <= min(images.shape[2:])]
        if not grids:
            raise Skipped(f"pictures {list(images.shape[1:])} are too small to be cut into patches")
        return torch.stack([_kept(trial, changed) for grid in grids for changed in self._shuffles(trial, grid)]).mean(0)

    def _shuffles(self, trial: Trial[Portraits], grid: int) -> Iterator[Tensor]:
        randomness = Randomness(("texture share", grid), trial.case.ids)
        for draw in range(self.draws):
            yield shuffled(trial.case.images, grid, randomness.uniform(grid * grid, repeat=draw).argsort(1))

    def _outline(self, trial: Trial[Portraits]) -> Tensor:
        blur, nothing = augmentations.find("blur"), Randomness((), trial.case.ids)
        images, bounds = trial.case.images, trial.concepts.bounds
        blurs = [replace(blur, strengths=(deviation,)) for deviation in self.deviations]
        changes = [one.apply(images, 0, nothing, bounds=bounds) for one in blurs]
        return torch.stack([_kept(trial, changed) for changed in changes]).mean(0)


def shuffled(images: Tensor, grid: int, order: Tensor) -> Tensor:
    """Return pictures [P, C, H, W] cut into grid x grid patches, at each place the one that `order` [P, patches] says.

    >>> shuffled(torch.arange(4.0).view(1, 1, 2, 2), 2, torch.tensor([[3, 0, 1, 2]])).flatten().tolist()
    [3.0, 0.0, 1.0, 2.0]
    """
    count, channels, *extent = images.shape
    height, width = (side // grid for side in extent)  # of a patch
    top, left = ((side - grid * part) // 2 for side, part in zip(extent, (height, width), strict=True))
    inside = (..., slice(top, top + grid * height), slice(left, left + grid * width))
    patches = images[inside].reshape(count, channels, grid, height, grid, width).transpose(3, 4).flatten(2, 3)
    order = order.to(images.device)[:, None, :, None, None]
    moved = patches.take_along_dim(order, 2).reshape(count, channels, grid, grid, height, width).transpose(3, 4)
    changed = images.clone()
    changed[inside] = moved.reshape(count, channels, grid * height, grid * width)
    return changed


def _kept(trial: Trial[Portraits], changed: Tensor) -> Tensor:
    """Return which part of each portrait's effect its changed copy [P, *input] has [P], in [0, 1]."""
    start: Tensor = trial.share("contrast sought", lambda: _contrast(trial))
    effect = own_sought(trial) - start
    left = (sought(trial, changed).diagonal() - start) / effect.clamp_min(LEAST_EFFECT)
    return left.clamp(0, 1).masked_fill(effect < LEAST_EFFECT, 0.0)


def _contrast(trial: Trial[Portraits]) -> Tensor:
    """Return the mean response of contrast images [P]."""
    without = ~trial.concepts.present[:, trial.case.targets[:, 0]]  # [N, P]
    without = without | ~without.any(0)
    return (natural_sought(trial) * without).sum(0) / without.sum(0)
