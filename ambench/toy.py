"""A world whose right answers are known: coloured squares, and a network that answers each colour by its channel.

Every plugin is checked in it (`ambench check`); as `python:ambench.toy:Squares` and `python:ambench.toy:network` it is
also the smallest suite there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ambench.core import Case, Concepts, Dataset, Layer, Model, Part, Truth, generator

COLOURS = ("red", "green", "blue")
_SIDE = 5  # of a square, in a quadrant of 8 x 8


@dataclass(frozen=True)
class Squares(Dataset):
    """Dim 16 x 16 noise with a square of each colour or not, each in a quadrant of its own, and a grey one to distract.

    >>> case = next(iter(Squares(count=4)))
    >>> bool((case.images[:, 0][case.truth.masks[:, 0]] > .8).all())
    True
    """

    name: ClassVar[str] = "squares"
    count: int = 24

    @property
    def revision(self) -> str:
        """Version of the drawing."""
        return "1"

    @property
    def names(self) -> tuple[str, ...]:
        """The three colours."""
        return COLOURS

    def concepts(self, part: Part) -> Concepts:
        """Return as many examples as there are test images."""
        images, masks, _ = self._draw(part)
        ids = tuple(f"{part}-{i}" for i in range(self.count))
        return Concepts(COLOURS, images, masks.flatten(2).any(2), masks, ids)

    def __iter__(self) -> Iterator[Case]:
        """Yield one case; in every second image the context is said to disagree."""
        images, masks, distractors = self._draw("test")
        present = masks.flatten(2).any(2)  # [B, 3]
        hard = (torch.arange(self.count) % 2 == 1)[:, None].expand(-1, 3)
        truth = Truth(present, masks, distractors, masks.any(1), hard, torch.ones(self.count, 3))
        yield Case(images, torch.arange(3).expand(self.count, -1), truth, tuple(f"test-{i}" for i in range(self.count)))

    def _draw(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        drawn = [_square_image(generator("squares", part, i)) for i in range(self.count)]
        images, masks, distractors = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return images, masks, distractors  # [B, 3, 16, 16], [B, 3, 16, 16] bool, [B, 16, 16] bool


def network(width: float = 1.0) -> Model:
    """Return the network whose logit of a colour grows with the area in which that colour stands out.

    >>> case = next(iter(Squares(count=32)))
    >>> bool(((network().network(case.images) > 0) == case.truth.present).all())
    True
    """
    convolution, answer = nn.Conv2d(3, 3, 1), nn.Linear(3, 3)
    with torch.no_grad():
        convolution.weight.copy_((width * (3 * torch.eye(3) - 1))[:, :, None, None])
        convolution.bias.fill_(-0.5 * width)  # type: ignore[union-attr]
        answer.weight.copy_(40 / width * torch.eye(3))
        answer.bias.fill_(-2.0)
    features = nn.Sequential(convolution, nn.ReLU())
    stack = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), answer).eval()
    layers = {"features": Layer("features", features, lambda output: output)}
    return Model(
        "toy",
        f"width {width:g}",
        stack,
        {name: k for k, name in enumerate(COLOURS)},
        layers,
        "features",
        (3, 16, 16),
        COLOURS,
    )


def _square_image(stream: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    image = 0.1 * torch.rand(3, 16, 16, generator=stream)
    quadrants = torch.randperm(4, generator=stream).tolist()
    offsets = torch.randint(8 - _SIDE + 1, (4, 2), generator=stream).tolist()
    shown = [*(torch.rand(3, generator=stream) < 0.5).tolist(), True]
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)  # the colours, then the grey distractor
    for k, (quadrant, (down, right)) in enumerate(zip(quadrants, offsets, strict=True)):
        top, left = 8 * (quadrant // 2) + down, 8 * (quadrant % 2) + right
        masks[k, top : top + _SIDE, left : left + _SIDE] = shown[k]
    for k in range(3):
        image[k][masks[k] | masks[3]] = 0.9
    return image, masks[:3], masks[3]
