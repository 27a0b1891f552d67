"""Methods that go wrong in every way there is, one that does not, and a metric; workers import this file by its path."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from ambench.core import AttributionMethod, Better, Concepts, Heatmaps, Metric, Model, Randomness, Trial, Values


@dataclass(frozen=True)
class Honest(AttributionMethod):
    """The colour itself; says in `log` who computed what, and takes its time."""

    log: str = ""
    seconds: float = 0.0
    number: int = 0

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, H, W]."""
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(f"{self.number} {os.getpid()}\n")
        time.sleep(self.seconds)
        self.go_wrong(images)
        maps = images[:, :3] * (1 + randomness.uniform(1, 1, 1))  # the noise belongs to the image
        return Heatmaps(maps.flatten(2).amax(2), maps)

    def go_wrong(self, images: Tensor) -> None:
        """Do not."""


class Exits(Honest):
    """Its process ends."""

    def go_wrong(self, images: Tensor) -> None:
        os._exit(3)


class Crashes(Honest):
    """Its process dies of a memory fault."""

    def go_wrong(self, images: Tensor) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


@dataclass(frozen=True)
class Killed(Honest):
    """Its process is killed, as a machine without memory does, by batches larger than `most`."""

    most: int = 0

    def go_wrong(self, images: Tensor) -> None:
        if len(images) > self.most:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Hungry(Honest):
    """Memory runs out with batches larger than `most`."""

    most: int = 0

    def go_wrong(self, images: Tensor) -> None:
        if len(images) > self.most:
            raise MemoryError(f"{len(images)} images")


@dataclass(frozen=True)
class Fading(AttributionMethod):
    """The colour itself, at half its strength once there is a file at `by`."""

    by: str = ""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, H, W]."""
        maps = images[:, :3] * (0.5 if Path(self.by).exists() else 1.0)
        return Heatmaps(maps.flatten(2).amax(2), maps)


class Wrong(Honest):
    """Raises."""

    def go_wrong(self, images: Tensor) -> None:
        raise ValueError("it cannot work")


@dataclass(frozen=True)
class Strength(Metric[Heatmaps]):
    """The mean of the map."""

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def score(self, trial: Trial[Heatmaps]) -> Values:
        return Values.of(trial.explanation.values.flatten(2).mean(2))


def no_network() -> Model:
    """Raise what nobody expects."""
    raise LookupError("there is no network")
