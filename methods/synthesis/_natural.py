"""Natural images for a climb: how far an objective spreads over them, what their colours are like."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench import features
from ambench.core import Concepts, Model

from ._objectives import Objective

CONTRAST_IMAGES = 256  # enough to know how far an objective spreads over natural images
SMALLEST_SPREAD = 1e-6


def contrast(concepts: Concepts, model: Model) -> Tensor:
    """Return some images that show none of the concepts, any where all show one, a black one without examples."""
    if not len(concepts):
        return torch.zeros(1, *model.input_shape, device=model.device, dtype=precision(model))
    none = ~concepts.present.any(1)
    images = concepts.images[none] if none.sum() > 1 else concepts.images
    return images[:: -(-len(images) // CONTRAST_IMAGES)].to(model.device, precision(model))


def spread(model: Model, objective: Objective, images: Tensor) -> Tensor:
    """Return the standard deviation of each row's objective over images [P], 1 without two of them."""
    if len(images) < 2:
        return torch.ones(len(objective), device=model.device)
    return objective.on(outputs(model, objective.layer, images)).std(1).clamp_min(SMALLEST_SPREAD)


def outputs(model: Model, layer: str | None, images: Tensor, chunk: int = 64) -> Tensor:
    """Return a layer's own outputs for images, or the logits (None), without gradient."""
    if layer is None:
        return features.logits(model, images, chunk)
    return torch.cat([features.output(model, part, layer) for part in torch.split(images, chunk)])


def precision(model: Model) -> torch.dtype:
    """Return the precision that the network computes in."""
    return next((p.dtype for p in model.network.parameters() if p.is_floating_point()), torch.float32)
