"""Pictures of a folder with what they show: which concepts, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ambench.datasets.files.layout import Layout
from ambench.datasets.files.pixels import read_image, read_mask


@dataclass(frozen=True, eq=False)
class Shown:
    """Some pictures [n, C, H, W], which of K concepts they show [n, K] bool, and where [n, K, H, W] bool or None."""

    images: Tensor
    present: Tensor
    masks: Tensor | None


@dataclass(frozen=True)
class Reader:
    """Reads a folder's pictures in one size and number of channels; `names` are the K concepts."""

    layout: Layout
    names: tuple[str, ...]
    size: tuple[int, int]
    channels: int

    def pictures(self, names: Sequence[str]) -> Shown:
        """Return pictures of images/ by name; a concept is where its mask is, or else the picture's label."""
        return self._stacked([self._picture(name) for name in names])

    def examples(self, files: Sequence[tuple[Path, str | None]]) -> Shown:
        """Return examples by file, with the concept that each shows; None: a contrast image, which shows none."""
        return self._stacked([self._example(path, concept) for path, concept in files])

    def _picture(self, name: str) -> Shown:
        image, extent = read_image(self.layout.root / "images" / name, self.size, self.channels)
        row, stem = self.layout.rows.get(name), Path(name).stem
        present = self._one_hot(row.label if row else None)  # [K]
        if not self.layout.masks:
            return Shown(image, present, None)
        masks = torch.zeros(len(self.names), *self.size, dtype=torch.bool)  # [K, H, W]
        for k, concept in enumerate(self.names):
            mask = self.layout.masks.get(concept, {}).get(stem)
            if mask is not None:
                masks[k] = read_mask(mask, extent, self.size)
                present[k] = masks[k].any()
        return Shown(image, present, masks)

    def _example(self, path: Path, concept: str | None) -> Shown:
        image, _ = read_image(path, self.size, self.channels)
        nowhere = concept is None and bool(self.layout.masks)  # it shows no concept, so its masks are known
        masks = torch.zeros(len(self.names), *self.size, dtype=torch.bool) if nowhere else None
        return Shown(image, self._one_hot(concept), masks)

    def _one_hot(self, concept: str | None) -> Tensor:
        return torch.tensor([name == concept for name in self.names], dtype=torch.bool)  # [K]

    def _stacked(self, shown: Sequence[Shown]) -> Shown:
        if not shown:
            count = len(self.names)
            return Shown(torch.empty(0, self.channels, *self.size), torch.empty(0, count, dtype=torch.bool), None)
        masks = [one.masks for one in shown if one.masks is not None]
        return Shown(
            torch.stack([one.images for one in shown]),
            torch.stack([one.present for one in shown]),
            torch.stack(masks) if len(masks) == len(shown) else None,
        )


def joined(first: Shown, second: Shown) -> Shown:
    """Return the pictures of both; masks only when all of them have masks."""
    parts = [part for part in (first, second) if len(part.images)] or [first]
    masks = [part.masks for part in parts if part.masks is not None]
    return Shown(
        torch.cat([part.images for part in parts]),
        torch.cat([part.present for part in parts]),
        torch.cat(masks) if len(masks) == len(parts) else None,
    )
