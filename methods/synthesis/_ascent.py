"""The climb that all synthesis shares: render parameters, move the image, read, push uphill (Erhan et al. 2009)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ambench.core import InputError

from ._redirect import RedirectedReLU
from ._updates import Adam, Update

RISE = 1e-6  # a smaller gain, relative to 1 + |start|, is none


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network said of P pictures: objective [P], and what their features cost [P] (None: nothing)."""

    objective: Tensor
    cost: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Ascended:
    """Where a climb ended: parameters [P, …], objective of each step [P, steps], alive [P].

    `died` [P] is the first step from which a portrait did not go on, -1 where it lived to the end; `transparency`
    [P, *extent] the size of the loss's slope at each pixel, in units of the objective, summed over channels and steps.
    """

    parameters: Tensor
    history: Tensor
    alive: Tensor
    died: Tensor
    transparency: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Ascent:
    """A climb of many parameters at once, each row an image of its own.

    `render` turns parameters into pictures [P, *input]; `move` changes the pictures of one step; `respond` says what
    the network sees in moved ones, `penalise` what the unmoved ones cost [P]. The loss of a row is its costs minus its
    objective in units of its scale; `between` changes the parameters after a step, outside the gradient. For the first
    `redirected_steps`, closed ReLUs hand the gradient on.
    """

    render: Callable[[Tensor], Tensor]
    move: Callable[[Tensor, int], Tensor]
    respond: Callable[[Tensor], Seen]
    steps: int
    update: Update = field(default_factory=Adam)
    penalise: Callable[[Tensor], Tensor] | None = None
    between: Callable[[Tensor, int], Tensor] | None = None
    redirected_steps: int = 0
    transparent: bool = False

    def climb(self, start: Tensor, scale: Tensor) -> Ascended:
        """Return where the climb from `start` [P, …] ends, the objective measured in units of `scale` [P].

        The last image counts, not the best. A row that meets a non-finite number stays at its last finite state.
        """
        parameters = start.clone().requires_grad_()
        advance = self.update.begin(parameters)
        record = _Record(start, self.steps)
        for step in range(self.steps):
            values, slope = self._slope(parameters, step, record, scale)
            record.note(step, parameters.detach(), values, slope)
            with torch.no_grad():
                advance(slope.masked_fill(~_rows(record.going, slope), 0), step)
                if self.between is not None:
                    parameters.copy_(self.between(parameters.detach(), step))
        with torch.no_grad():
            return self._finish(start, parameters.detach(), record)

    def _slope(self, parameters: Tensor, step: int, record: _Record, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the objective [P] and the slope [P, …] of the loss."""
        with torch.enable_grad(), RedirectedReLU() if step < self.redirected_steps else nullcontext():
            pictures = self.render(parameters)
            seen = self.respond(self.move(pictures, step))
            values = seen.objective
            if not values.requires_grad:
                raise InputError(
                    "the objective has no gradient with respect to the input; the network must have one, or "
                    "actmax_free, which needs none, takes its place"
                )
            outputs, weights = [values], [-(record.going / scale).to(values)]
            costs = [seen.cost, self.penalise(pictures) if self.penalise else None]
            for cost in (cost for cost in costs if cost is not None and cost.requires_grad):
                outputs.append(cost)
                weights.append(record.going.to(cost))
            if not self.transparent:
                return values.detach(), torch.autograd.grad(outputs, parameters, weights)[0]
            (through,) = torch.autograd.grad(outputs, pictures, weights)
            record.see_through(through * _rows(scale, through).to(through))
            return values.detach(), torch.autograd.grad(pictures, parameters, through)[0]

    def _finish(self, start: Tensor, end: Tensor, record: _Record) -> Ascended:
        first = self.respond(self.render(start)).objective
        last = self.respond(self.render(record.state(end))).objective
        lost = ~last.isfinite()
        last = torch.where(lost, record.history[:, -1], last)
        alive = record.moved & (last - first > RISE * (1 + first.abs()))
        record.died = torch.where(lost & (record.died < 0), self.steps, record.died)
        record.going &= ~lost
        return Ascended(record.state(end), record.history, alive, record.ends(alive), record.transparency)


class _Record:
    """What has happened to each row so far."""

    def __init__(self, start: Tensor, steps: int) -> None:
        self.held = start  # the last parameters whose objective was finite
        self.going = torch.ones(len(start), dtype=torch.bool, device=start.device)
        self.moved = torch.zeros_like(self.going)
        self.history = start.new_zeros(len(start), steps)
        self.died = torch.full((len(start),), -1, device=start.device)  # the step at which a row met no number
        self.still_since = torch.zeros_like(self.died)  # the step after the last one with a slope
        self.transparency: Tensor | None = None

    def note(self, step: int, parameters: Tensor, values: Tensor, slope: Tensor) -> None:
        finite = self.going & values.isfinite()
        self.held = torch.where(_rows(finite, parameters), parameters, self.held)
        before = self.history[:, step - 1] if step else torch.zeros_like(values)
        self.history[:, step] = torch.where(finite, values, before)
        low, high = slope.flatten(1).amin(1), slope.flatten(1).amax(1)  # both see a NaN
        still_going = finite & low.isfinite() & high.isfinite()
        self.died = torch.where(self.going & ~still_going, step, self.died)
        self.going = still_going
        pushed = self.going & ((low != 0) | (high != 0))
        self.still_since = torch.where(pushed, step + 1, self.still_since)
        self.moved |= pushed

    def see_through(self, slope: Tensor) -> None:
        """Add the size of a slope [P, C, *extent], summed over channels."""
        size = slope.abs().sum(1).nan_to_num(0.0, 0.0, 0.0)
        self.transparency = size if self.transparency is None else self.transparency + size

    def state(self, end: Tensor) -> Tensor:
        """Return the end of the rows still going and the last finite state of the others."""
        return torch.where(_rows(self.going, end), end, self.held)

    def ends(self, alive: Tensor) -> Tensor:
        """Return when each row came to its end: at a number that is none, else with its last slope; -1 if it lives."""
        return torch.where(self.died >= 0, self.died, torch.where(alive, -1, self.still_since))


def _rows(flags: Tensor, like: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (like.ndim - 1))
