"""Activation maximization without gradients, for networks that have none (Pospelov et al. 2024, arXiv 2401.10748)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench.core import Concepts, InputError, Model, Portraits, Randomness, SynthesisMethod

from ._black_box import BlackBox
from ._budget import Budget, Found, Groups, Party
from ._covariance import Evolutions, usual_population
from ._random_search import RandomSearch
from ._sought import sought
from ._spaces import space_of
from ._tensor_train import Chain, TensorTrains

BATCH = 100  # codes that a search without generations of its own asks for at a time


@dataclass(frozen=True)
class ActmaxFree(SynthesisMethod):
    """Search for the best of `evaluations` inputs a portrait: the network answers, and is asked nothing else.

    `search`: `random` (uniform draws, the floor), `cma` (an evolution strategy) or `protes` (a tensor train that
    learns which grid points are worth drawing). `space`: `fourier`, images of at most `frequencies` cycles a side,
    each coefficient in [-4, 4]; or a decoder's name (`shapes`, `python:FILE:FACTORY`), whose codes are searched up to
    4 standard deviations from their mean. `objective`: the unit's `logit`, or its log-`probability`, which saturates.

    `population`: codes a generation (None: 4 + 3 ln d for `cma`, else 100). Of `protes` alone: `points` on the grid,
    the `elite` of a generation that it learns from in `climbs` steps of Adam with `rate`, the train's `rank`, and
    whether the grid is split into `binary` choices. For a network that is not the same twice, `passes` above 1 are
    averaged, each an evaluation, and the ten best inputs read 30 times more before one is chosen. Each unit gets
    `restarts` portraits; `chunk` inputs go through the network at a time.

    A portrait's history is the best so far after each evaluation. Its details are the `evaluations` spent, the
    `value` of what is returned, `blind_mean` (of uniform draws, the last twentieth of the budget, at most 100),
    `in_logits` (whether these are logits) and, shared evenly by all portraits, `optimiser_seconds` and
    `model_seconds` of the processor.

    >>> from ambench import toy
    >>> from ambench.core import Randomness
    >>> model, concepts = toy.network(), toy.Squares().concepts("fit")
    >>> found = ActmaxFree(evaluations=200).synthesise(model, torch.tensor([0]), concepts, Randomness((0,)))
    >>> found.history.shape, bool(found.history[0, -1] > found.history[0, 0]), found.details["evaluations"]
    (torch.Size([1, 200]), True, tensor([200]))
    """

    citation = "Pospelov et al. 2024, arXiv 2401.10748"
    stochastic = True

    search: Literal["random", "cma", "protes"] = "cma"
    space: str = "fourier"
    objective: Literal["logit", "probability"] = "logit"
    evaluations: int = 2000
    frequencies: int = 4
    population: int | None = None
    points: int = 64
    elite: int = 10
    rank: int = 5
    climbs: int = 1
    rate: float = 0.05
    binary: bool = False
    passes: int = 1
    restarts: int = 1
    chunk: int = 64

    def __post_init__(self) -> None:
        names = ("evaluations", "population", "elite", "rank", "climbs", "passes", "restarts", "chunk")
        fewest = dict.fromkeys(names, 1) | {"frequencies": 0, "points": 2}
        fewest |= {"population": 2} if self.search == "cma" else {}
        for name, least in fewest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"actmax_free needs {name} of at least {least}, not {value}")
        if self.binary and self.points & (self.points - 1):
            raise InputError(f"actmax_free splits a power of two of points into binary choices, not {self.points}")
        if self.space != "fourier":
            object.__setattr__(self, "supervision", "decoder")
        if self._budget.codes < 1:
            raise InputError(
                f"actmax_free needs more than {self.evaluations} evaluations for {self.passes} passes: "
                f"{self._budget.kept_back} are kept for reading the best again"
            )

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` portraits of each of the units [K] in turn: images [K * restarts, *input] in [0, 1].

        A portrait depends on its unit and restart, not on the other units. InputError: a unit that is not there.
        """
        objective = sought(model, units, concepts, self.objective, None).objective
        wanted = [(unit, restart) for unit in units.tolist() for restart in range(self.restarts)]
        rows = Groups(torch.arange(len(wanted)), tuple(wanted))  # blind draws serve all units: one forward for them
        shared = Groups(torch.tensor([restart for _, restart in wanted]), tuple(range(self.restarts)))
        space = space_of(self.space, model, self.frequencies)
        places = torch.arange(len(units), device=model.device).repeat_interleave(self.restarts)
        box = BlackBox(model, space, objective.select(places), randomness, self.chunk)
        streams = [randomness.generator("blind", restart) for restart in shared.keys]
        blind = Party(RandomSearch(self.population or BATCH, space.dimensions, streams), shared)
        led = blind if self.search == "random" else self._led(space.dimensions, rows, randomness)
        return self._portraits(box, self._budget.spend(box, led, blind, rows))

    @property
    def _budget(self) -> Budget:
        return Budget(self.evaluations, self.passes)

    def _led(self, dimensions: int, rows: Groups, randomness: Randomness) -> Party:
        streams = [randomness.generator("search", key) for key in rows.keys]
        if self.search == "cma":
            return Party(Evolutions(self.population or usual_population(dimensions), dimensions, streams), rows)
        population = self.population or BATCH
        chain = Chain(population, self.elite, self.rank, self.points, self.rate, self.climbs, self.binary)
        return Party(TensorTrains(chain, dimensions, streams), rows)

    def _portraits(self, box: BlackBox, found: Found) -> Portraits:
        device, count = box.model.device, len(found.codes)
        shared = {"optimiser_seconds": found.seconds, "model_seconds": box.seconds}
        details = {
            "evaluations": found.evaluations,
            "value": found.values.float(),
            "blind_mean": found.blind.float(),
            "in_logits": torch.full((count,), self.objective == "logit"),
        } | {name: torch.full((count,), seconds / count) for name, seconds in shared.items()}
        return Portraits(
            box.render(found.codes).float(),
            box.objective.targets,
            found.alive.to(device),
            found.curve.float().to(device),
            details={name: tensor.to(device) for name, tensor in details.items()},
        )
