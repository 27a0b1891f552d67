"""The climb that all synthesis shares: render parameters, move the image, read, push uphill (Erhan et al. 2009)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import InputError

from ._redirect import RedirectedReLU

RISE = 1e-6  # a smaller gain, relative to 1 + |start|, is none


@dataclass(frozen=True, eq=False)
class Ascended:
    """Where a climb ended: parameters [P, …], objective of each step [P, steps], alive [P]."""

    parameters: Tensor
    history: Tensor
    alive: Tensor


@dataclass(frozen=True, eq=False)
class Ascent:
    """Adam on parameters, each row an image of its own.

    `render` turns parameters into images [P, *input], `move` changes the images of one step, `respond` gives the
    objectives [P]. For the first `redirected_steps`, closed ReLUs hand the gradient on.
    """

    render: Callable[[Tensor], Tensor]
    move: Callable[[Tensor, int], Tensor]
    respond: Callable[[Tensor], Tensor]
    steps: int
    rate: float = 0.05
    redirected_steps: int = 0

    def climb(self, start: Tensor, scale: Tensor) -> Ascended:
        """Return where the climb from `start` [P, …] ends, the objective measured in units of `scale` [P].

        The last image counts, not the best. A row that meets a non-finite number stays at its last finite state.
        """
        parameters = start.clone().requires_grad_()
        optimiser = torch.optim.Adam([parameters], lr=self.rate)
        record = _Record(start, self.steps)
        for step in range(self.steps):
            values, slope = self._slope(parameters, step, record.going / scale)
            record.note(step, parameters.detach(), values, slope)
            parameters.grad = torch.where(_rows(record.going, slope), slope, torch.zeros_like(slope))
            optimiser.step()
        with torch.no_grad():
            return self._finish(start, parameters.detach(), record)

    def _slope(self, parameters: Tensor, step: int, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the objective [P] and the slope [P, …] of the loss, which is minus its weighted sum."""
        with torch.enable_grad(), RedirectedReLU() if step < self.redirected_steps else nullcontext():
            values = self.respond(self.move(self.render(parameters), step))
            if not values.requires_grad:
                raise InputError("the objective has no gradient with respect to the input; the network must have one")
            (slope,) = torch.autograd.grad(values, parameters, -weights.to(values))
        return values.detach(), slope

    def _finish(self, start: Tensor, end: Tensor, record: _Record) -> Ascended:
        first, last = self.respond(self.render(start)), self.respond(self.render(record.state(end)))
        lost = ~last.isfinite()
        last = torch.where(lost, record.history[:, -1], last)
        alive = record.moved & (last - first > RISE * (1 + first.abs()))
        record.going &= ~lost
        return Ascended(record.state(end), record.history, alive)


class _Record:
    """What has happened to each row so far."""

    def __init__(self, start: Tensor, steps: int) -> None:
        self.held = start  # the last parameters whose objective was finite
        self.going = torch.ones(len(start), dtype=torch.bool, device=start.device)
        self.moved = torch.zeros_like(self.going)
        self.history = start.new_zeros(len(start), steps)

    def note(self, step: int, parameters: Tensor, values: Tensor, slope: Tensor) -> None:
        finite = self.going & values.isfinite()
        self.held = torch.where(_rows(finite, parameters), parameters, self.held)
        before = self.history[:, step - 1] if step else torch.zeros_like(values)
        self.history[:, step] = torch.where(finite, values, before)
        self.going = finite & slope.flatten(1).isfinite().all(1)
        self.moved |= self.going & slope.flatten(1).any(1)

    def state(self, end: Tensor) -> Tensor:
        """Return the end of the rows still going and the last finite state of the others."""
        return torch.where(_rows(self.going, end), end, self.held)


def _rows(flags: Tensor, like: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (like.ndim - 1))
