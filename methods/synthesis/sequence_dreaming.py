"""Portraits of time series: smoothed ascent on a class, near its middle or on its border (Schlegel et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import features
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped, SynthesisMethod, nearest

from ._ascent import Ascended, Ascent
from ._borders import border
from ._climbing import Climbers, Cost, Eye
from ._objectives import Objective
from ._ranges import STIR, Range
from ._smoothing import Smoothing, gaussian, smooth
from ._sought import Sought, sought
from ._updates import Adam


@dataclass(frozen=True)
class SequenceDreaming(SynthesisMethod):
    """Ascent on univariate series that are smoothed on the way (Schlegel, Keim & Sutter 2024, arXiv 2408.10628).

    `mode`: `plain` climbs the unit's logit; `centred` is held near the class's mean in the model's default layer, at a
    price of `centre_weight` times the mean squared distance; `border` seeks a tie of the unit with its `rival` (a name;
    None: the strongest other class), both ahead of all others (the last two ours, after the paper). Every series pays
    `energy_weight` times its summed squares and `variation_weight` times its mean step, in the data's own units.

    Between steps, outside the gradient, values are kept between the least and the greatest of the examples; every
    `smooth_every` steps the series is smoothed (`exponential` with `alpha` on the new value, a moving `average` with
    `reach` on either side, `gaussian` with `sigma`, or `none`), every `restart_every` steps (0: never) blurred with
    `sigma` and stirred instead. `rate` of Adam and the stirring are shares of that range. In a last share `settling`
    of the steps (None: .2 for the border, whose tie every blur would undo, else 0) neither is done; where there is one,
    the rate falls to 0 along a cosine. Each unit gets `restarts` series.

    >>> SequenceDreaming().supervision, SequenceDreaming(mode="centred").supervision
    ('contrast images', 'concept images')
    """

    citation = "Schlegel, Keim & Sutter 2024, arXiv 2408.10628"
    supervision = "contrast images"
    stochastic = True

    mode: Literal["plain", "centred", "border"] = "plain"
    rival: str | None = None
    steps: int = 500
    rate: float = 0.05
    energy_weight: float = 1e-3
    variation_weight: float = 1e-2
    centre_weight: float = 1e-2
    smoothing: Smoothing = "exponential"
    smooth_every: int = 10
    alpha: float = 0.9
    reach: int = 2
    sigma: float = 2.0
    restart_every: int = 50
    settling: float | None = None
    restarts: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "smooth_every"):
            if getattr(self, name) < 1:
                raise InputError(f"sequence_dreaming needs {name} of at least 1, not {getattr(self, name)}")
        if not 0 < self.alpha <= 1 or self.sigma <= 0 or self.reach < 0:
            raise InputError("alpha is above 0 and at most 1, sigma above 0, and reach a number of samples from 0 up")
        if self.restart_every < 0:
            raise InputError(f"restart_every is a number of steps, or 0 for never, not {self.restart_every}")
        if self.settling is not None and not 0 <= self.settling <= 1:
            raise InputError(f"settling is a share of the steps from 0 to 1, not {self.settling}")
        if self.mode == "centred":
            object.__setattr__(self, "supervision", "concept images")  # only then are classes looked at

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` portraits of each of the units [K] in turn: series [K * restarts, 1, T].

        A portrait depends on its unit and restart, not on the other units. InputError: a unit or rival that is not
        there; Skipped: a model of other inputs, or no example of what a unit stands for (`centred`).
        """
        if len(model.input_shape) != 2 or model.input_shape[0] != 1:
            shape = list(model.input_shape)
            raise Skipped(f"sequence_dreaming makes series [1, T], and model '{model.name}' takes {shape}")
        inputs = Range.of(concepts, model.input_shape)
        wanted = Sought(self._objective(model, sought(model, units, concepts, "logit", None).objective))
        climbers = Climbers.of(model, units, wanted, torch.ones(len(units), device=model.device), self.restarts)
        layers, costs = self._centres(model, climbers.units, concepts)
        with features.Reader(model, None, *layers) as reader:
            ended = climbers.climb(
                climbers.starts(inputs, randomness),
                None,
                lambda objective, rows: self._ascent(inputs, Eye(reader, objective, costs), climbers, randomness),
            )
        return _portraits(inputs, climbers, ended)

    def _objective(self, model: Model, logits: Objective) -> Objective:
        if self.mode != "border":
            return logits
        classes = [name for name, unit in model.units.items() if unit in (model.class_units or model.units.values())]
        if self.rival is not None and self.rival not in classes:
            raise InputError(f"model '{model.name}' has no class '{self.rival}'; {nearest(self.rival, classes)}")
        rival = None if self.rival is None else model.units[self.rival]
        return Objective(None, logits.targets, border(model.class_units, rival))

    def _centres(self, model: Model, units: Tensor, concepts: Concepts) -> tuple[tuple[str, ...], tuple[Cost, ...]]:
        """Return the layers to be read, and what a distance from the class's middle there costs [P]."""
        if self.mode != "centred":
            return (), ()
        layer, numbers = model.at(None), [_number(model, unit, concepts) for unit in units.tolist()]
        seen = features.pool(features.read(model, concepts.images)[layer.name], "mean")  # [N, C]
        middles = torch.stack([seen[concepts.present[:, number].to(seen.device)].mean(0) for number in numbers])

        def cost(outputs: Mapping[str | None, Tensor]) -> Tensor:
            found = features.pool(layer.as_grid(outputs[layer.name]), "mean")
            return self.centre_weight * (found - middles).square().mean(1)

        return (layer.name,), (cost,)

    def _ascent(self, inputs: Range, eye: Eye, climbers: Climbers, randomness: Randomness) -> Ascent:
        keys = [(unit, place % self.restarts) for place, unit in enumerate(climbers.units.tolist())]
        lively = self.steps - round(self._settling * self.steps)
        stirred = range(self.restart_every, self.steps, self.restart_every) if self.restart_every else range(0)
        stirs = torch.stack(
            [
                STIR * torch.randn(len(stirred), *inputs.shape, generator=randomness.generator("stir", unit, number))
                for unit, number in keys
            ],
            1,
        )  # [stirs, P, 1, T]

        def between(shares: Tensor, step: int) -> Tensor:
            done = step + 1
            if done > lively:
                return shares.clamp(0, 1)
            if done in stirred:
                shares = gaussian(shares, self.sigma) + stirs[stirred.index(done)].to(shares)
            elif done % self.smooth_every == 0 and done < self.steps:
                shares = smooth(shares, self.smoothing, self.alpha, 2 * self.reach + 1, self.sigma)
            return shares.clamp(0, 1)

        return Ascent(
            render=inputs.render,
            move=lambda series, step: series,
            respond=eye,
            steps=self.steps,
            update=Adam(self.rate, steps=self.steps, schedule="cosine" if self._settling else "constant"),
            penalise=self._price,
            between=between,
        )

    @property
    def _settling(self) -> float:
        return self.settling if self.settling is not None else 0.2 if self.mode == "border" else 0.0

    def _price(self, series: Tensor) -> Tensor:
        """Return what the values and steps of series [P, 1, T] cost [P]; a series of one sample makes no step."""
        steps = series.diff(dim=-1).abs().flatten(1).sum(1) / series.shape[-1]
        return self.energy_weight * series.square().flatten(1).sum(1) + self.variation_weight * steps


def _number(model: Model, unit: int, concepts: Concepts) -> int:
    """Return the concept that a unit stands for; Skipped where no example shows it."""
    for number, name in enumerate(concepts.names):
        if model.units.get(name) == unit and concepts.present[:, number].any():
            return number
    raise Skipped(
        f"sequence_dreaming:mode=centred needs examples of what output {unit} of model '{model.name}' stands for"
    )


def _portraits(inputs: Range, climbers: Climbers, ended: Ascended) -> Portraits:
    series, details = inputs.render(ended.parameters).float(), {"died_at_step": ended.died}
    return Portraits(series, climbers.units, ended.alive, ended.history.float(), details=details)
