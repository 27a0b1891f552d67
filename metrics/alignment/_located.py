"""What all location metrics start from: maps and masks of the pairs whose concept is there to be found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, InputError, Scores, Trial


@dataclass(frozen=True, eq=False)
class Located:
    """Maps [B, T, P] float64 and masks [B, T, P] bool with pixels in one row; who counts [B, T]; which maps are flat [B, T].

    A pair counts if the concept is present and its mask neither empty nor full.
    """

    maps: Tensor
    inside: Tensor
    defined: Tensor
    flat: Tensor

    @property
    def area(self) -> Tensor:
        """The mask's share of the pixels [B, T]."""
        return self.inside.double().mean(2)


def located(trial: Trial[Heatmaps]) -> Located | None:
    """Return a trial's maps and masks, None without masks; raises InputError for a map that is not finite."""
    masks = trial.case.truth.masks
    if masks is None:
        return None
    refuse_not_finite(trial, trial.explanation.values, "map")
    maps = trial.explanation.values.double().flatten(2)  # [B, T, P]
    inside = masks.to(maps.device).bool().flatten(2)  # [B, T, P]
    if inside.shape != maps.shape:
        extents = f"{list(masks.shape[2:])} and {list(trial.explanation.values.shape[2:])}"
        raise InputError(f"masks and maps must have the same extent; they have {extents}")
    present = trial.case.truth.present.to(maps.device)
    return Located(maps, inside, present & inside.any(2) & ~inside.all(2), maps.amax(2) == maps.amin(2))


def refuse_not_finite(trial: Trial[Scores], values: Tensor, what: str) -> None:
    """Raise InputError naming the first image and concept whose map or score holds NaN or infinity."""
    bad = ~torch.isfinite(values.flatten(2) if values.ndim > 2 else values.unsqueeze(2)).all(2)  # [B, T]
    if not bad.any():
        return
    row, column = bad.nonzero()[0].tolist()
    concept = trial.concepts.names[int(trial.case.targets[row, column])]
    raise InputError(f"the {what} of image '{trial.case.ids[row]}' for concept '{concept}' is not finite")
