"""The door of every metric: an answer with NaN or infinity is refused by image and concept."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ambench.core import InputError, Trial


def refuse_broken(trial: Trial[Any], numbers: Tensor, what: str) -> None:
    """Raise InputError if numbers [B, T, …] are not all finite, naming the first image and concept."""
    broken = (~numbers.isfinite()).nonzero()
    if len(broken):
        row, column = broken[0, :2].tolist()
        concept = trial.concepts.names[int(trial.case.targets[row, column])]
        raise InputError(
            f"the {what} of image '{trial.case.ids[row]}' for concept '{concept}' has NaN or infinity in it; "
            "finite numbers are wanted"
        )
