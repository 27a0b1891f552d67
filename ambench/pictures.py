"""Pictures of a cell for the eye: a sheet of images, masks and maps, and each portrait; series are drawn as lines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.utils import make_grid

from ambench.core import Case, Heatmaps, Portraits
from ambench.plots import ink

SHEET_ROWS = 8
PLOT = (96, 384)  # height and width of a line plot
STRIP = 8  # height of the strip below it that is dark where the mask is


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

    A series is a line on the colours of its map, above a strip that is dark where the mask is. None for what is neither
    a picture of 1 or 3 channels nor a series.
    """
    if case.images.ndim == 3:
        return _sheet_of_series(case, maps)
    if not _drawable(case.images):
        return None
    images, masks, values = _shown(case, maps)
    images = images.expand(-1, 3, -1, -1)  # [n, 3, H, W]
    columns = [images, *([] if masks is None else [masks[:, None].expand_as(images)]), heat(values)]
    cells = torch.stack(columns, 1).flatten(0, 1)  # [n * columns, 3, H, W]
    return to_bytes(make_grid(cells, nrow=len(columns), padding=2, pad_value=1.0))


def _shown(case: Case, maps: Heatmaps) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the first images [n, *input], and mask (if known) and map [n, *extent] of each one's first concept."""
    count = min(SHEET_ROWS, len(case))
    rows, shown = torch.arange(count), case.truth.present[:count].int().argmax(1).cpu()
    masks = case.truth.masks
    return (
        case.images[:count].float().cpu(),
        None if masks is None else masks[:count].cpu()[rows, shown].float(),
        maps.values[:count].float().cpu()[rows, shown],
    )


def _sheet_of_series(case: Case, maps: Heatmaps) -> Tensor:
    series, masks, values = _shown(case, maps)
    behind = F.interpolate((1 + heat(values[:, None])) / 2, size=PLOT)  # [n, 3, H, W], light enough for a line
    plots = behind * (1 - ink(series, float(series.min()), float(series.max()), *PLOT))[:, None]
    if masks is not None:
        strip = 1 - F.interpolate(masks[:, None, None], size=(STRIP, PLOT[1])).expand(-1, 3, -1, -1)
        plots = torch.cat([plots, strip], 2)
    return to_bytes(make_grid(plots, nrow=1, padding=2, pad_value=0.8))


def portraits(drawn: Portraits, ids: tuple[str, ...]) -> dict[str, Tensor]:
    """Return each portrait as a picture [C, H, W] uint8 under its id; nothing for what is neither picture nor series.

    Series are lines, all drawn to one scale: from the least to the greatest value of any portrait.
    """
    images = drawn.images.float().cpu()
    if images.ndim == 3:
        images = 1 - ink(images, float(images.min()), float(images.max()), *PLOT)[:, None]
    elif not _drawable(images):
        return {}
    return {name: to_bytes(image) for name, image in zip(ids, images, strict=True)}


def _drawable(images: Tensor) -> bool:
    return images.ndim == 4 and images.shape[1] in (1, 3)


def to_bytes(picture: Tensor) -> Tensor:
    """Return a picture in [0, 1] as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)
