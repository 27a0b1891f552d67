"""Portraits of one pixel, and networks whose logits are a chosen linear map of its channels: every answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ambench.core import Case, Concepts, Model, Portraits, Randomness, Trial, Truth

NAMES = ("red", "green", "blue")


def linear(
    rows: Tensor,
    name: str = "source",
    names: Sequence[str] = NAMES,
    classes: Sequence[str] = NAMES,
    offset: float = 0.0,
    shape: tuple[int, ...] = (3, 1, 1),
) -> Model:
    """A model with logits rows [U, 3] times the colour, plus an offset, in the dtype of the rows."""
    layer = nn.Linear(3, len(rows), dtype=rows.dtype)
    layer.weight.data, layer.bias.data = rows.clone(), torch.full((len(rows),), offset, dtype=rows.dtype)
    units = {unit: number for number, unit in enumerate(names)}
    return Model(name, f"weights of {name}", nn.Sequential(nn.Flatten(), layer), units, {}, "", shape, tuple(classes))


def natural(colours: Tensor) -> Concepts:
    """Natural images of colours [N, 3]; each shows the concept that is its strongest channel."""
    present = torch.zeros(len(colours), 3, dtype=torch.bool)
    present[torch.arange(len(colours)), colours.argmax(1) if len(colours) else colours[:, 0].long()] = True
    return Concepts(NAMES, colours[:, :, None, None], present)


def judged(
    colours: Tensor,
    targets: Sequence[int],
    concepts: Concepts,
    source: Model,
    panel: Sequence[Model] = (),
    alive: Sequence[bool] | None = None,
) -> Trial[Portraits]:
    """The trial of portraits of colours [P, 3] made for concepts `targets` [P]."""
    asked = torch.tensor(targets)
    images = colours[:, :, None, None]
    case = Case(
        images, asked[:, None], Truth(torch.ones(len(images), 1).bool()), tuple(f"p{i}" for i in range(len(images)))
    )
    living = torch.tensor([True] * len(images) if alive is None else list(alive))
    portraits = Portraits(images, asked, living, torch.zeros(len(images), 1))
    return Trial(source, case, portraits, concepts, Randomness((0,)), torch.arange(3), panel=tuple(panel))


def colours(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform colours [count, 3]."""
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)
