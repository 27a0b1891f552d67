"""Trials of a few small images with everything a metric may ask for, and the harness's protocol in its plainest form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

import portrayed
from ambench.core import (
    Case,
    Concepts,
    Heatmaps,
    Layer,
    Ledger,
    Metric,
    Model,
    Predictions,
    Randomness,
    Scores,
    Trial,
    Truth,
    Values,
    generator,
)

NAMES = ("ring", "glyph", "stripe")
Answer = Callable[[Tensor, Case], Scores]


def case(
    count: int = 24, extent: tuple[int, ...] = (8, 6), channels: int = 3, columns: int = 2, part: str = "test"
) -> Case:
    """Random images, each asked for `columns` of three concepts, with a truth that knows everything."""
    draw = generator("trials", part, count, extent, channels)
    images = torch.rand(count, channels, *extent, generator=draw)
    targets = (torch.arange(count)[:, None] + torch.arange(columns)) % len(NAMES)
    present = torch.rand(count, columns, generator=draw) < 0.5
    masks = boxes(count, columns, extent, draw) & present.view(count, columns, *[1] * len(extent))
    whole = boxes(count, 1, tuple(2 * side for side in extent), generator("objects", part, count, extent))[:, 0]
    for axis, side in enumerate(extent, 1):
        whole = whole.narrow(axis, side // 2, side)  # boxes of any size, cut off by the picture's edge or not
    truth = Truth(
        present,
        masks,
        distractors=boxes(count, 1, extent, draw)[:, 0] & ~masks.any(1),
        object=whole,
        hard=torch.rand(count, columns, generator=draw) < 0.5,
        weight=0.5 + torch.rand(count, columns, generator=draw, dtype=torch.float64),
        shape=torch.arange(count) % 3,
        texture=torch.arange(count) // 3 % 3,
    )
    return Case(images, targets, truth, tuple(f"{part}-{i}" for i in range(count)))


def boxes(count: int, columns: int, extent: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Masks [count, columns, *extent], each a box of a third to two thirds of every side."""
    inside = torch.ones(count, columns, *extent, dtype=torch.bool)
    for axis, side in enumerate(extent):
        length = torch.randint(max(1, side // 3), max(2, 2 * side // 3), (count, columns), generator=draw)
        start = (torch.rand(count, columns, generator=draw) * (side - length + 1)).long()
        shape = (count, columns, *[1] * axis, 1, *[1] * (len(extent) - axis - 1))
        place = torch.arange(side).view(*[1] * (2 + axis), side, *[1] * (len(extent) - axis - 1))
        inside &= (place >= start.view(shape)) & (place < (start + length).view(shape))
    return inside


def one(
    maps: Tensor | None = None, mask: Tensor | None = None, scores: Tensor | None = None, **truth: Tensor
) -> Trial[Any]:
    """A trial of maps [B, T, *extent] with masks, or of scores [B, T], of which all concepts are present unless told."""
    shape = (maps if maps is not None else scores).shape[:2]
    known = {"present": torch.ones(shape, dtype=torch.bool), "masks": mask} | truth
    count = shape[0]
    images = torch.zeros(count, 3, *(maps.shape[2:] if maps is not None else (8, 8)))
    targets = torch.arange(shape[1]).expand(count, -1)
    asked = Case(images, targets, Truth(**known), tuple(f"image-{i}" for i in range(count)))
    answer = Scores(scores) if maps is None else Heatmaps(torch.zeros(shape) if scores is None else scores, maps)
    return trial(asked, lambda images, case: answer)


def trial(asked: Case, answer: Answer, **more: Any) -> Trial[Any]:
    """The trial of an answer to a case; `answer` is asked again for changed images."""
    concepts = Concepts(NAMES, asked.images[:0], torch.empty(0, len(NAMES), dtype=torch.bool))
    numbers, randomness = torch.arange(3), Randomness((0, "method", "model"), asked.ids)
    network = Weighing(asked.images.shape[1])
    layers = {"pixels": Layer("pixels", network.pixels, lambda grid: grid)}
    units, shape = {n: k for k, n in enumerate(NAMES)}, tuple(asked.images.shape[1:])
    model = Model("weighing", "none", network, units, layers, "pixels", shape, NAMES)
    given = Trial(model, asked, answer(asked.images, asked), concepts, randomness, numbers, answer, classes=NAMES)
    return replace(given, **({"under": lambda other: answer} | more))


class Weighing(nn.Module):
    """Logits of three classes, each a weighted mean of all pixels, by operations that no neighbour can disturb."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pixels = nn.Identity()
        self.weights = nn.Parameter(10 * channel_weights(channels))

    def forward(self, images: Tensor) -> Tensor:
        return weighed(self.pixels(images), self.weights.T.unsqueeze(1)).flatten(2).mean(2)


def channel_weights(channels: int) -> Tensor:
    """What each of three concepts makes of each channel [K, C]."""
    return torch.linspace(-1, 1.5, len(NAMES) * channels).view(len(NAMES), -1)


def weighed(images: Tensor, shares: Tensor) -> Tensor:
    """The channels of images [B, C, *extent], each times its share [C, B or 1, T], summed [B, T, *extent]."""
    total = torch.zeros(len(images), shares.shape[2], *images.shape[2:])
    for channel, share in enumerate(shares):
        total = total + share.view(*share.shape, *[1] * (images.ndim - 2)) * images[:, channel, None]
    return total


# ------------------------------------------------------------------------------------------------ answers


def seen(images: Tensor, asked: Case) -> Heatmaps:
    """A map and a score that depend on each image alone, by operations that no neighbour can disturb."""
    maps = weighed(images, channel_weights(images.shape[1])[asked.targets].movedim(2, 0))
    return Heatmaps(maps.flatten(2).amax(2), maps)


def predicted(images: Tensor, asked: Case) -> Predictions:
    """Logits of three classes that depend on each image alone."""
    logits = torch.stack([images.flatten(1)[:, k::3].amax(1) for k in range(3)], 1)
    return Predictions(logits.gather(1, asked.targets), logits)


def unlike(images: Tensor, asked: Case) -> Heatmaps:
    """A map and a score of noise, drawn for each image."""
    noise = Randomness(("noise",), asked.ids)
    shape = asked.targets.shape[1]
    return Heatmaps(noise.normal(shape, repeat=1), noise.normal(shape, *images.shape[2:]))


def portraits(rows: Sequence[int]) -> Trial[Any]:
    """Some of twelve portraits, four of each of three colours in turn."""
    return portrayed.selected(portrayed.colours(), rows)


# ------------------------------------------------------------------------------------------------ the protocol


@dataclass
class Pages:
    """What the harness writes down while cases go by."""

    cases: list[Case] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    observations: list[Tensor | None] = field(default_factory=list)

    def add(self, here: Trial[Any], observation: Tensor | None = None) -> None:
        self.cases.append(here.case)
        self.scores.append(here.explanation.scores)
        self.observations.append(observation)

    def ledger(self) -> Ledger:
        truths = [vars(case.truth) for case in self.cases]
        pictures = ("masks", "distractors", "object")
        known = {
            n: torch.cat([t[n] for t in truths]) for n, v in truths[0].items() if v is not None and n not in pictures
        }
        observed = None if any(seen is None for seen in self.observations) else torch.cat(self.observations)
        ids = tuple(name for case in self.cases for name in case.ids)
        targets = torch.cat([case.targets for case in self.cases])
        return Ledger(ids, targets, torch.cat(self.scores), Truth(**known), observed)


def learn(metric: Metric[Any], trials: Sequence[Trial[Any]]) -> Any:
    """What the metric learns from the trials of a calibration part."""
    pages = Pages()
    for here in trials:
        pages.add(here, metric.observe(here))
    return metric.calibrate(pages.ledger())


def measure(metric: Metric[Any], trials: Sequence[Trial[Any]], calibration: Any = None) -> Values | None:
    """The final values of all trials, given what was learned; None where a trial has none."""
    pages, found = Pages(), []
    for here in trials:
        found.append(metric.score(replace(here, calibration=calibration)))
        pages.add(here, None if found[-1] is None else found[-1].notes)
    if any(values is None for values in found):
        return None
    joined = Values(*(torch.cat([getattr(v, name) for v in found]) for name in ("values", "defined", "flat")))
    return metric.finish(joined, pages.ledger())


def judged(metric: Metric[Any], asked: Case, answer: Answer, batch: int | None = None) -> Values | None:
    """The final values of an answer to a case in batches, its thresholds from a calibration part of its own."""
    columns, channels, extent = asked.targets.shape[1], asked.images.shape[1], tuple(asked.images.shape[2:])
    examples = case(60, extent, channels, columns, "calibrate")
    learned = learn(metric, [trial(examples, answer)])
    size = batch or max(1, len(asked))
    starts = range(0, max(1, len(asked)), size)
    parts = [asked.select(range(start, min(start + size, len(asked)))) for start in starts]
    return measure(metric, [trial(part, answer) for part in parts], learned)


def means(values: Values) -> float:
    """The mean of what is defined."""
    return values.values[values.defined].mean().item()
