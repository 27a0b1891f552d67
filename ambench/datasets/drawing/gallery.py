"""A picture of the pictures, scenes over their masks: `python -m ambench.datasets.drawing.gallery OUT.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import make_grid

from ambench.datasets.drawing.canvas import Picture
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.parts import DrawnPart
from ambench.datasets.drawing.silhouettes import SHAPES

COLOURS = {"object": (232, 224, 208), "distractors": (88, 104, 128)}
CONCEPT_COLOURS = ((224, 64, 56), (250, 250, 250), (248, 216, 56), (56, 184, 88))


def masks_in_colour(picture: Picture) -> Tensor:
    """The masks of object, distractors and concepts as one coloured picture [B, 3, H, W] uint8."""
    layers = [(picture.object, COLOURS["object"]), (picture.distractors, COLOURS["distractors"])]
    layers += [(picture.concepts[:, k], CONCEPT_COLOURS[k]) for k in range(len(CONCEPTS))]
    painted = torch.full_like(picture.pixels, 28)
    for mask, colour in layers:
        painted = torch.where(mask[:, None], torch.tensor(colour, dtype=torch.uint8)[:, None, None], painted)
    return painted


def gallery(seed: int = 0, zoom: int = 2) -> Tensor:
    """Two rows of one scene a shape, the pictures above their masks [3, height, width] uint8."""
    count = len(SHAPES)
    share = torch.full((count, len(CONCEPTS)), 0.6)
    part = DrawnPart("gallery", seed, 64, torch.arange(count), torch.arange(count).flip(0), share)
    picture, _ = part.draw(range(count))
    rows = torch.cat((picture.pixels, masks_in_colour(picture)))
    large = rows.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    grid: Tensor = make_grid(large, nrow=count, padding=4, pad_value=255)
    return grid


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_png(gallery(), str(out))
