"""How a climb turns a slope into a step; each rule treats every portrait as if it were alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Advance = Callable[[Tensor, int], None]  # the slope of the loss, the number of the step -> parameters, in place
Schedule = Literal["constant", "cosine"]
SMALLEST_SLOPE = 1e-12  # a mean size below it is no slope


class Update(ABC):
    """A rule for the steps of a climb."""

    @abstractmethod
    def begin(self, parameters: Tensor) -> Advance:
        """Return what makes one step on these parameters [P, …], with nothing remembered yet."""


@dataclass(frozen=True)
class Adam(Update):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), its rate constant or falling along a quarter cosine over `steps`."""

    rate: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    steps: int = 0
    schedule: Schedule = "constant"
    nesterov: bool = False  # NAdam (Dozat 2016)

    def begin(self, parameters: Tensor) -> Advance:
        """Return torch's own Adam or NAdam on these parameters."""
        optimiser: torch.optim.Optimizer
        if self.nesterov:
            optimiser = torch.optim.NAdam([parameters], lr=self.rate, betas=self.betas)
        else:
            optimiser = torch.optim.Adam([parameters], lr=self.rate, betas=self.betas, fused=True)

        def advance(slope: Tensor, step: int) -> None:
            for group in optimiser.param_groups:
                group["lr"] = self.rate_at(step)
            parameters.grad = slope
            optimiser.step()
            parameters.grad = None

        return advance

    def rate_at(self, step: int) -> float:
        """Return the rate of a step.

        >>> Adam(rate=0.1, steps=4, schedule="cosine").rate_at(2)
        0.05
        """
        if self.schedule == "constant" or not self.steps:
            return self.rate
        return round(self.rate * (1 + math.cos(math.pi * step / self.steps)) / 2, 12)


@dataclass(frozen=True)
class Normalised(Update):
    """Steps of one mean size: `decay * (q - rate * slope / mean|slope|)`, clipped (Nguyen et al. 2016).

    The rule of arXiv 1605.09304. The rate falls in a straight line from `first_rate` to `last_rate` over `steps`; `low`
    and `high` bound each code unit (None: nothing does). A portrait without a slope takes no step, nor does it shrink.
    """

    first_rate: float
    last_rate: float
    steps: int
    decay: float = 1.0
    low: Tensor | float | None = None
    high: Tensor | float | None = None

    def begin(self, parameters: Tensor) -> Advance:
        """Return the rule on these parameters; nothing is remembered from step to step."""

        def advance(slope: Tensor, step: int) -> None:
            size = slope.abs().flatten(1).mean(1).view(-1, *[1] * (slope.ndim - 1))  # [P, 1, …]
            pushed = size > SMALLEST_SLOPE
            ahead = self.decay * (parameters - self.rate_at(step) * slope / size.clamp_min(SMALLEST_SLOPE))
            if self.low is not None:
                ahead = torch.maximum(ahead, torch.as_tensor(self.low).to(ahead))
            if self.high is not None:
                ahead = torch.minimum(ahead, torch.as_tensor(self.high).to(ahead))
            parameters.copy_(torch.where(pushed, ahead, parameters))

        return advance

    def rate_at(self, step: int) -> float:
        """Return the rate of a step.

        >>> Normalised(8.0, 0.0, steps=5).rate_at(1)
        6.0
        """
        share = step / (self.steps - 1) if self.steps > 1 else 0.0
        return self.first_rate + (self.last_rate - self.first_rate) * share


@dataclass(frozen=True, eq=False)
class SignedStep(Update):
    """Steps of one size in every pixel, kept in a box around a picture and in [0, 1] (arXiv 1706.06083).

    `centre` [P, …]; `radius` and `size` in units of the picture's range. A pixel without a slope stays.
    """

    centre: Tensor
    radius: float
    size: float

    def begin(self, parameters: Tensor) -> Advance:
        """Return the rule on these parameters."""

        def advance(slope: Tensor, step: int) -> None:
            ahead = parameters - self.size * slope.sign()
            parameters.copy_(self.inside(ahead))

        return advance

    def inside(self, pictures: Tensor) -> Tensor:
        """Return the nearest pictures in the box."""
        boxed = torch.maximum(torch.minimum(pictures, self.centre + self.radius), self.centre - self.radius)
        return boxed.clamp(0, 1)
