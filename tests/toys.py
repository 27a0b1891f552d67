"""A dataset, a model and plugins small enough to know every answer: bright squares on noise, and a network that sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ambench.core import (
    AttributionMethod,
    Case,
    Concepts,
    Dataset,
    Directions,
    Heatmaps,
    Layer,
    Metric,
    Model,
    Part,
    ProbeMethod,
    Randomness,
    Scores,
    Skipped,
    Trial,
    Truth,
    Values,
)
from ambench.plan import Cell, Given

SIDE = 8
NAMES = ("red", "green")  # concept k is a bright square in channel k


def draw(part: str, count: int) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Images [N, 3, 8, 8], presence [N, 2], masks [N, 2, 8, 8], ids: every combination of the two concepts in turn."""
    ids = tuple(f"{part}-{i}" for i in range(count))
    images = Randomness(("squares",), ids).uniform(3, SIDE, SIDE) * 0.2
    places = (Randomness(("places",), ids).uniform(2, 2) * (SIDE - 3)).long()
    numbers = torch.arange(count)
    present = torch.stack([numbers % 2 == 0, numbers // 2 % 2 == 0], 1)
    masks = torch.zeros(count, 2, SIDE, SIDE, dtype=torch.bool)
    for i, k in present.nonzero().tolist():
        top, left = places[i, k].tolist()
        masks[i, k, top : top + 3, left : left + 3] = True
        images[i, k][masks[i, k]] = 0.9
    return images, present, masks, ids


@dataclass(frozen=True)
class Squares(Dataset):
    name: ClassVar[str] = "squares"

    fit: int = 24
    calibrate: int = 12
    test: int = 20

    @property
    def revision(self) -> str:
        return "toy-1"

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    def concepts(self, part: Part) -> Concepts:
        images, present, masks, ids = draw(part, self.fit if part == "fit" else self.calibrate)
        return Concepts(NAMES, images, present, masks, ids)

    def __iter__(self) -> Iterator[Case]:
        images, present, masks, ids = draw("test", self.test)
        targets = torch.arange(2).expand(self.test, -1)
        case = Case(images, targets, Truth(present, masks), ids)
        yield case.select(range(self.test // 2))
        yield case.select(range(self.test // 2, self.test))


class Seer(nn.Module):
    """Its logits are the mean of the first two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.conv.weight.data = torch.eye(3)[:2, :, None, None].clone()

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images).relu().mean((2, 3))


def seer() -> Model:
    network = Seer().eval()
    layer = Layer("conv", network.conv, lambda grid: grid)
    return Model("seer", "toy", network, {"red": 0, "green": 1}, {"conv": layer}, "conv", (3, SIDE, SIDE), NAMES)


@dataclass(frozen=True)
class Channel(AttributionMethod):
    """The truth: the target's own channel."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        maps = images[torch.arange(len(images))[:, None], targets]  # [B, T, H, W]
        return Heatmaps(maps.flatten(2).amax(2), maps)


@dataclass(frozen=True)
class Broken(AttributionMethod):
    """Fails as it is told to."""

    how: str = "value"

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        if self.how == "skip":
            raise Skipped("toys have no reason to be explained")
        if self.how == "memory" or (self.how == "large" and len(images) > 4):
            raise MemoryError("out of memory")
        if self.how == "value":
            raise ZeroDivisionError("the method divided by zero")
        return Channel().attribute(model, images, targets, concepts, randomness)


FITS: list[str] = []


@dataclass(frozen=True)
class Axes(ProbeMethod):
    """The two channels as directions; notes every fit."""

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        FITS.append(model.name)
        return Directions(torch.eye(2), torch.tensor([-0.2, -0.2]), "conv", "mean", {"accuracy": torch.ones(2)})


@dataclass(frozen=True)
class Brightness(Metric[Heatmaps]):
    """Mean of the map inside the mask; undefined without one."""

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    needs = ("masks",)
    limit: int | None = None

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        masks = trial.case.truth.masks
        if masks is None:
            return None
        inside = (trial.explanation.values * masks).flatten(2).sum(2)
        area = masks.flatten(2).sum(2)
        return Values.of(inside / area.clamp_min(1), defined=area > 0)


@dataclass(frozen=True)
class Threshold(Metric[Scores]):
    """Whether the score is on the right side of a little above the highest of a calibration image without the concept."""

    reads = Scores
    better = "higher"
    range = (0.0, 1.0)
    limit: int | None = None

    def observe(self, trial: Trial[Scores]) -> Tensor:
        assert all(name.startswith("calibrate-") for name in trial.case.ids)
        return trial.explanation.scores

    def calibrate(self, ledger) -> Tensor:  # type: ignore[no-untyped-def]
        absent = ledger.observations.masked_fill(ledger.truth.present, -torch.inf)
        return absent.amax(0) + 0.1  # noise stays below .2, squares are at .9

    def score(self, trial: Trial[Scores]) -> Values:
        said = trial.explanation.scores > trial.calibration
        return Values.of((said == trial.case.truth.present).double())


@dataclass(frozen=True)
class Faulty(Metric[Heatmaps]):
    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)

    def score(self, trial: Trial[Heatmaps]) -> Values:
        raise RuntimeError("this metric is broken")


GIVEN = Given(
    models={"seer": seer()},
    methods={"channel": Channel(), "axes": Axes()}
    | {f"broken-{how}": Broken(how) for how in ("value", "skip", "memory", "large")},
    datasets={"squares": Squares()},
    metrics={
        "brightness": Brightness(),
        "brightness-4": Brightness(limit=4),
        "threshold": Threshold(),
        "faulty": Faulty(),
    },
)


def cell(method: str = "channel", metrics: tuple[str, ...] = ("brightness", "threshold"), **more: object) -> Cell:
    return Cell("quality", "seer", method, "squares", metrics, **more)  # type: ignore[arg-type]
