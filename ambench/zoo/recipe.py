"""How the embedded networks learn: drawn images or series with independent cues, one rate cycle, bf16 products.

(AdamW: Loshchilov & Hutter 2019, arXiv 1711.05101; one cycle: Smith & Topin 2019, arXiv 1708.07120)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ambench.core import InputError, generator
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.series import CHUNK, balanced_classes, pictures
from ambench.datasets.waveforms.events import EVENTS
from ambench.datasets.waveforms.parts import CHUNK as SERIES_CHUNK
from ambench.datasets.waveforms.parts import DrawnSeries, balanced_waveforms
from ambench.datasets.waveforms.traces import LEVELS, USUAL_LENGTH
from ambench.zoo.architectures import initialised
from ambench.zoo.specifications import Specification

Precision = Literal["bfloat16", "float32"]  # of products and convolutions; weights and sums are float32 anyway
Track = Callable[[Sequence[int], str], Iterable[int]]


@dataclass(frozen=True)
class Recipe:
    """Everything but the name that decides the weights."""

    images: int
    rate: float
    stored: int = 120_000
    weight_decay: float = 0.05
    smoothing: float = 0.05
    batch: int = 128
    roll: int = 4
    seed: int = 0
    precision: Precision = "bfloat16"

    def __post_init__(self) -> None:
        if self.images < self.batch or self.stored < self.batch:
            raise InputError(f"a training needs at least one batch of {self.batch} images")


@dataclass(frozen=True)
class Examples:
    """Training images [N, *input] in whole `levels`, the class that is asked for [N] and the concepts shown [N, K]."""

    images: Tensor
    label: Tensor
    present: Tensor
    levels: int = 255


def drawn_examples(seed: int, count: int, by_texture: bool, track: Track) -> Examples:
    """Draw the training set: shape, texture and every concept independent of one another."""
    classes = balanced_classes(seed, "train", count)
    share = torch.full((count, len(CONCEPTS)), 0.5)
    images = torch.empty(count, 3, 64, 64, dtype=torch.uint8)
    present = torch.empty(count, len(CONCEPTS), dtype=torch.bool)
    for start in track(range(0, count, CHUNK), "drawing"):
        rows = slice(start, min(start + CHUNK, count))
        chunk, present[rows] = pictures(seed, "train", range(rows.start, rows.stop), classes, share)
        images[rows] = chunk.pixels
    return Examples(images, classes[1 if by_texture else 0], present)


def drawn_series(seed: int, count: int, track: Track) -> Examples:
    """Draw the training set of series: waveform and every event independent of one another."""
    waveform, share = balanced_waveforms(seed, "train", count), torch.full((count, len(EVENTS)), 0.5)
    part = DrawnSeries("train", seed, USUAL_LENGTH, waveform, share)
    series = torch.empty(count, 1, USUAL_LENGTH, dtype=torch.int16)
    present = torch.empty(count, len(EVENTS), dtype=torch.bool)
    for start in track(range(0, count, SERIES_CHUNK), "drawing"):
        rows = slice(start, min(start + SERIES_CHUNK, count))
        drawn = part.draw(range(rows.start, rows.stop))
        series[rows, 0], present[rows] = drawn.levels, drawn.present
    return Examples(series, waveform, present, LEVELS)


def loss_of(logits: Tensor, label: Tensor, present: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of the class units plus binary cross-entropy of the concept units."""
    logits = logits.float()
    classes = logits.shape[1] - present.shape[1]
    by_class = functional.cross_entropy(logits[:, :classes], label, label_smoothing=smoothing)
    return by_class + functional.binary_cross_entropy_with_logits(logits[:, classes:], present.float())


def batches(examples: Examples, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches in an order keyed by seed and epoch, each rolled by a few pixels or samples, for ever."""
    count = len(examples.images)
    epoch = 0
    while True:
        random = generator(recipe.seed, "order", epoch)
        order = torch.randperm(count, generator=random)
        for rows in order[: count - count % recipe.batch].view(-1, recipe.batch):
            sides = tuple(range(2, examples.images.ndim))
            shifts = torch.randint(-recipe.roll, recipe.roll + 1, (len(sides),), generator=random).tolist()
            images = examples.images[rows].roll(shifts, sides).float().div_(examples.levels)
            images = images.contiguous(memory_format=torch.channels_last) if len(sides) == 2 else images
            yield images, examples.label[rows], examples.present[rows]
        epoch += 1


@contextmanager
def _products_in(precision: Precision) -> Iterator[None]:
    """Half as many bits are twice as fast where the processor has instructions for them, and half as fast elsewhere."""
    if precision == "float32":
        yield
        return
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):  # the fused bf16 kernel is slower
        yield


def train(specification: Specification, recipe: Recipe, examples: Examples, track: Track) -> nn.Module:
    """The trained network in eval mode; the same arguments give the same weights on one thread."""
    network = initialised(specification.architecture, len(specification.units), recipe.seed)
    network.train().to(memory_format=torch.channels_last)
    steps = recipe.images // recipe.batch
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.15)
    source = batches(examples, recipe)
    for _ in track(range(steps), "training"):
        images, label, present = next(source)
        with _products_in(recipe.precision):
            logits = network(images)
        loss = loss_of(logits, label, present, recipe.smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval().to(memory_format=torch.contiguous_format)
