"""Segmentation networks as models: a class's unit is the mean of its map, so a portrait fills the picture with it."""

from __future__ import annotations

import torchvision.models.segmentation
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from ambench.core import InputError

NAMES: tuple[str, ...] = tuple(list_models(module=torchvision.models.segmentation))


class ClassMaps(nn.Module):
    """A segmentation network [B, C, H, W] -> maps [B, U, H, W] read as logits [B, U]: the mean of each class's map.

    The network may return its maps as they are, or under `out`, as torchvision's do. Its layers are layers of the model
    as well; the last one that returns class maps gives every pixel's own.

    >>> import torch
    >>> ClassMaps(nn.Conv2d(3, 5, 1))(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of each class's map; raises InputError where the network returns no maps."""
        answer = self.network(images)
        maps = answer["out"] if isinstance(answer, dict) and "out" in answer else answer
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            raise InputError(f"a segmentation network returns maps [B, classes, H, W], not a {type(maps).__name__}")
        return maps.mean((2, 3))


def random(architecture: str) -> nn.Module:
    """Return one of torchvision's segmentation networks with random weights, without side exits."""
    network: nn.Module = get_model(architecture, weights=None, weights_backbone=None)
    return network
