"""Pictures of a cell for the eye: a sheet of images, masks and maps, and each portrait."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.utils import make_grid

from ambench.core import Case, Heatmaps, Portraits

SHEET_ROWS = 8


def heat(maps: Tensor) -> Tensor:
    """Return signed maps [N, H, W] as colours [N, 3, H, W] in [0, 1]: red for, blue against, white for nothing.

    Each map is scaled by its largest magnitude: colours show where, never how much.

    >>> heat(torch.tensor([[[1.0, -1.0]]]))[0, :, 0].T.tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    scale = maps.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)
    share = (maps / scale).nan_to_num()  # [N, H, W] in [-1, 1]
    return torch.stack([1 + share.clamp(max=0), 1 - share.abs(), 1 - share.clamp(min=0)], 1)


def sheet(case: Case, maps: Heatmaps) -> Tensor | None:
    """Return a sheet [3, H', W'] uint8 with a row per image: the image, then mask and map of its first present concept.

    Only for pictures of 1 or 3 channels; None otherwise.
    """
    if case.images.ndim != 4 or case.images.shape[1] not in (1, 3):
        return None
    count = min(SHEET_ROWS, len(case))
    images = case.images[:count].float().cpu()
    images = images.expand(-1, 3, -1, -1)  # [n, 3, H, W]
    shown = case.truth.present[:count].int().argmax(1).cpu()  # [n] the first concept present
    columns = [images]
    if case.truth.masks is not None:
        masks = case.truth.masks[:count].cpu()[torch.arange(count), shown].float()  # [n, H, W]
        columns.append(masks[:, None].expand_as(images))
    columns.append(heat(maps.values[:count].float().cpu()[torch.arange(count), shown]))
    cells = torch.stack(columns, 1).flatten(0, 1)  # [n * columns, 3, H, W]
    return to_bytes(make_grid(cells, nrow=len(columns), padding=2, pad_value=1.0))


def portraits(drawn: Portraits, ids: tuple[str, ...]) -> dict[str, Tensor]:
    """Return each portrait as a picture [C, H, W] uint8 under its id; nothing for inputs that are no pictures."""
    if drawn.images.ndim != 4 or drawn.images.shape[1] not in (1, 3):
        return {}
    return {name: to_bytes(image) for name, image in zip(ids, drawn.images.cpu(), strict=True)}


def to_bytes(picture: Tensor) -> Tensor:
    """Return a picture in [0, 1] as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)
