"""Maps and masks, pixel by pixel, of the pairs of image and concept on which "where?" has an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, InputError, Trial, Values
from ambench.finite import refuse_broken


@dataclass(frozen=True, eq=False)
class Pixels:
    """Of R pairs, in order of image and concept asked: values [R, P] of their maps, inside [R, P] bool of their masks.

    Such a pair shows the concept, with a mask neither empty nor full; `defined` [B, T] bool tells which they are.
    """

    values: Tensor
    inside: Tensor
    defined: Tensor
    extent: tuple[int, ...]

    @property
    def flat(self) -> Tensor:
        """Which maps are constant [R] bool."""
        return self.values.amax(1) == self.values.amin(1)

    def as_values(self, scores: Tensor, flat: Tensor | None = None) -> Values:
        """Return scores [R] at their places [B, T]; `flat` [R] bool (None: constant maps) had no answer."""
        placed = scores.new_zeros(self.defined.shape, dtype=torch.float64)
        silent = torch.zeros_like(self.defined)
        placed[self.defined] = scores.double()
        silent[self.defined] = self.flat if flat is None else flat
        return Values.of(placed, self.defined, silent)


def in_a_row(maps: Tensor) -> Tensor:
    """Return maps [B, T, *extent] as [B, T, P], whatever their extent."""
    return maps.reshape(*maps.shape[:2], math.prod(maps.shape[2:]))


def on_concepts(trial: Trial[Heatmaps]) -> Pixels | None:
    """Return the pixels of maps and of the concepts' masks, None where the dataset has no masks."""
    masks = trial.case.truth.masks
    if masks is None:
        return None
    pixels: Pixels = trial.share("pixels of concepts", lambda: _pixels(trial, masks.bool()))
    return pixels


def on_distractors(trial: Trial[Heatmaps]) -> Pixels | None:
    """Return the pixels of maps and of what is certainly not the concept, None where the dataset does not know it."""
    truth = trial.case.truth
    if truth.distractors is None:
        return None
    masks = truth.distractors.bool().unsqueeze(1).expand(-1, trial.case.targets.shape[1], *truth.distractors.shape[1:])
    return _pixels(trial, masks if truth.masks is None else masks & ~truth.masks.bool())


def _pixels(trial: Trial[Heatmaps], masks: Tensor) -> Pixels:
    maps = trial.explanation.values
    if maps.shape != masks.shape:
        raise InputError(f"maps {list(maps.shape)} do not lie on masks {list(masks.shape)}; equal shapes are wanted")
    refuse_broken(trial, maps, "map")
    values, inside = in_a_row(maps), in_a_row(masks)
    defined = trial.case.truth.present.bool() & inside.any(2) & ~inside.all(2)
    return Pixels(values[defined], inside[defined], defined, tuple(masks.shape[2:]))
