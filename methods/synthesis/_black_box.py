"""A network that is only asked: codes in, each row's objective out, no gradient anywhere."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ambench import features
from ambench.core import Model, Randomness

from ._budget import Groups
from ._natural import precision
from ._objectives import Objective
from ._spaces import Space


@dataclass(eq=False)
class BlackBox:
    """The objectives of P rows, one output unit each, for codes of a space.

    Rows that try the same codes share a forward. A network that is not the same twice is read several times and the
    mean counts; each group then has forwards of its own, so that its noise depends on `randomness` alone.
    """

    model: Model
    space: Space
    objective: Objective
    randomness: Randomness
    chunk: int
    seconds: float = field(default=0.0, init=False)  # spent in rendering and in the network

    def __call__(self, codes: Tensor, groups: Groups, passes: int, turn: int) -> Tensor:
        """Return the objectives [P, k] float64 of codes [R, k, d]; what is not finite is NaN."""
        clock = time.process_time if self.model.device.type == "cpu" else time.perf_counter
        began = clock()
        keys = groups.keys if passes > 1 else ("all",)
        parts = codes.reshape(len(keys), -1, codes.shape[2])
        answers = [self._mean_logits(part, passes, turn, key) for key, part in zip(keys, parts, strict=True)]
        logits = torch.cat(answers).view(*codes.shape[:2], -1)[groups.of]  # [P, k, U]
        targets = self.objective.targets.cpu().repeat_interleave(codes.shape[1])
        values = self.objective.read(logits.flatten(0, 1), targets).view(-1, codes.shape[1])
        self.seconds += clock() - began
        return torch.where(values.isfinite(), values, torch.nan)

    def render(self, codes: Tensor) -> Tensor:
        """Return the inputs [m, *input] of codes [m, d], where the network is and in its precision."""
        return self.space.render(codes.to(self.model.device, precision(self.model)))

    def _mean_logits(self, codes: Tensor, passes: int, *key: Hashable) -> Tensor:
        """Return the logits [m, U] of codes [m, d], the mean of some passes, on the CPU."""
        totals = [self._total(part, passes, *key, number) for number, part in enumerate(torch.split(codes, self.chunk))]
        return torch.cat(totals) / passes

    def _total(self, codes: Tensor, passes: int, *key: Hashable) -> Tensor:
        images, total = self.render(codes), torch.zeros((), dtype=torch.float64)
        for number in range(passes):
            with torch.random.fork_rng([images.device] if images.is_cuda else []):  # a noisy network draws from it
                torch.manual_seed(self.randomness.generator("pass", *key, number).initial_seed())
                total = total + features.logits(self.model, images, self.chunk).double().cpu()
        return total
