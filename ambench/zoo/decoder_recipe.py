"""How the decoder of scenes learns: from pairs of a code and the picture it describes.

(teaching a network to draw what it is told: Dosovitskiy et al. 2015, arXiv 1411.5928)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ambench.core import InputError, generator
from ambench.datasets.drawing.canvas import draw
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.scene import Scene, scene
from ambench.datasets.drawing.series import CHUNK, balanced_classes
from ambench.zoo.codes import SHIFTS, write
from ambench.zoo.painter import Painter, roughness

Track = Callable[[Sequence[int], str], Iterable[int]]


@dataclass(frozen=True)
class DecoderRecipe:
    """Everything that decides the weights: how many images are seen, the largest rates, the weight of the penalty."""

    images: int
    rate: float = 0.03
    colour_rate: float = 0.15
    rim_rate: float = 0.02
    roughness: float = 0.0003
    stored: int = 16_384
    batch: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images < self.batch or self.stored < self.batch:
            raise InputError(f"a training needs at least one batch of {self.batch} images")


@dataclass(frozen=True)
class Taught:
    """Pictures [N, 3, H, W] in eight bits and the codes [N, CODE] that describe them."""

    pixels: Tensor
    codes: Tensor


def unwound(drawn: Scene) -> Scene:
    """The same scene with its textures shifted by less than `SHIFTS` periods."""
    surfaces = drawn.surfaces
    shifts = surfaces.shift_u % SHIFTS, surfaces.shift_v % SHIFTS
    return replace(drawn, surfaces=replace(surfaces, shift_u=shifts[0], shift_v=shifts[1]))


def taught(seed: int, part: str, count: int, track: Track | None = None) -> Taught:
    """Draw pairs: shape, texture and every concept independent of one another."""
    shape, texture = balanced_classes(seed, part, count)
    share = torch.full((count, len(CONCEPTS)), 0.5)
    pixels, codes = [], []
    starts = range(0, count, CHUNK)
    for start in track(starts, "drawing") if track else starts:
        rows = slice(start, min(start + CHUNK, count))
        numbers = range(rows.start, rows.stop)
        drawn = unwound(scene(seed, part, numbers, shape[rows], texture[rows], share[rows]))
        pixels.append(draw(drawn).pixels)
        codes.append(write(drawn))
    return Taught(torch.cat(pixels), torch.cat(codes))


def _batches(count: int, recipe: DecoderRecipe) -> Iterator[Tensor]:
    """Rows of batches in an order keyed by seed and epoch, for ever."""
    epoch = 0
    while True:
        order = torch.randperm(count, generator=generator(recipe.seed, "order", epoch))
        yield from order[: count - count % recipe.batch].view(-1, recipe.batch)
        epoch += 1


def _optimiser(painter: Painter, recipe: DecoderRecipe) -> tuple[torch.optim.Adam, list[float]]:
    distances = [painter.outlines, painter.blob, painter.textures, painter.concepts]
    groups = (distances, [painter.colours], [painter.rim])
    rates = [recipe.rate, recipe.colour_rate, recipe.rim_rate]
    return torch.optim.Adam([{"params": part} for part in groups]), rates


def teach(recipe: DecoderRecipe, pairs: Taught, track: Track) -> Painter:
    """The taught painter in eval mode; the same arguments give the same weights on one thread."""
    painter = Painter().train()
    painter.mean, painter.std = pairs.codes.mean(0), pairs.codes.std(0)
    steps = recipe.images // recipe.batch
    optimiser, rates = _optimiser(painter, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.15)
    source = _batches(len(pairs.pixels), recipe)
    for _ in track(range(steps), "teaching"):
        rows = next(source)
        error = (painter(pairs.codes[rows]) - pairs.pixels[rows] / 255.0).square().mean()
        loss = error + recipe.roughness * roughness(painter)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return painter.eval()
