"""Portraits of series beside the series they should be like."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench.core import InputError, Portraits, Randomness, Skipped, Trial


def series(trial: Trial[Portraits], metric: str) -> tuple[Tensor, Tensor]:
    """Return the portraits [P, C, T] and the examples [N, C, T], float64, with noise in the place of dead portraits.

    The noise is uniform between the examples' bounds. Raises Skipped for what is no series of two samples at least, and
    InputError for a portrait that is not finite.
    """
    made, (low, high) = trial.case.images, trial.concepts.bounds
    if made.ndim != 3 or made.shape[2] < 2:
        raise Skipped(f"{metric} is about series [C, T] of two samples or more; these portraits are {_shape(made)}")
    broken = (~made.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"portrait '{trial.case.ids[broken[0]]}' holds NaN or infinity")
    noise = low + (high - low) * Randomness((metric,), trial.case.ids).uniform(*made.shape[1:]).to(made)
    alive = trial.explanation.alive[:, None, None]
    return torch.where(alive, made, noise).double(), trial.concepts.images.double()


def moving(series: Tensor) -> Tensor:
    """Return which series [N, C, T] are not constant [N], rounding aside."""
    reach = series.amax(2) - series.amin(2)
    return (reach > 1e-7 * series.abs().amax(2).clamp_min(1e-12)).any(1)


def _shape(images: Tensor) -> list[int]:
    return list(images.shape[1:])
