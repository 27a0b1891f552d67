"""Activation maximization in a small box around a photograph: can a change that nobody sees reach the unit?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import features
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, SynthesisMethod

from ._ascent import Ascended, Ascent
from ._climbing import Climbers, Eye
from ._natural import contrast, precision
from ._objectives import Objective
from ._sought import sought
from ._updates import SignedStep

LEVELS = 255  # the radius counts in steps of 8-bit pixels


@dataclass(frozen=True)
class Adversarial(SynthesisMethod):
    """Signed steps on the unit's logit inside L-infinity balls around images without the concept (arXiv 1706.06083).

    For each unit, `restarts` of the examples that do not show its concept, and that the model does not take for it, are
    changed by at most r/255 in any value: `steps` steps of r/1020, from the photograph itself, or from a random place
    in the ball (`random_start`); r is `radius`, and half of that, `halvings` times over. The use of activation
    maximization is Zhu & Cangelosi's (2025, arXiv 2508.07281), the iteration that of Madry et al. (2018).

    The portraits are the pictures of the largest radius. Kept with each: `flips` [P, R] whether the model then answers
    with the unit (a concept without rivals: whether its logit is positive), `flips_rounded` [P, R] the same after
    rounding to 8 bits, `flipping_radius` [P] the smallest r that flips it (-1: none does), `gain` [P, R] of the logit,
    `radii` [1, R], and `excluded` [P], how many photographs of the unit were left out because the model took them for
    it already.

    >>> Adversarial(radius=8, halvings=3).radii
    (1.0, 2.0, 4.0, 8.0)
    """

    citation = "Madry et al. 2018, arXiv 1706.06083; Zhu & Cangelosi 2025, arXiv 2508.07281"
    supervision = "contrast images"

    radius: float = 8.0
    halvings: int = 3
    steps: int = 20
    restarts: int = 8
    random_start: bool = False
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"adversarial needs {name} of at least 1, not {value}")
        if not 0 <= self.radius <= LEVELS or self.halvings < 0:
            given = f"{self.radius:g} and {self.halvings}"
            raise InputError(f"adversarial needs a radius from 0 to 255 and at least 0 halvings of it, not {given}")

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether it starts somewhere at random."""
        return self.random_start

    @property
    def radii(self) -> tuple[float, ...]:
        """The radii in steps of 8-bit pixels, smallest first."""
        return tuple(self.radius / 2**halved for halved in reversed(range(self.halvings + 1)))

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` changed pictures of each of the units [K] in turn: images [K * restarts, *input]."""
        wanted = sought(model, units, concepts, "logit", None)
        ones = torch.ones(len(units), device=model.device)
        climbers = Climbers.of(model, units, wanted, ones, self.restarts)
        natural, excluded = self._photographs(model, climbers, concepts)
        starts = self._starts(natural, climbers, randomness)
        with features.Reader(model, None) as reader:
            ended = [self._climb(climbers, reader, natural, starts, radius / LEVELS) for radius in self.radii]
        last = ended[-1]
        details = self._verdicts(model, climbers.units, natural, [end.parameters for end in ended])
        details |= {"excluded": excluded, "died_at_step": last.died}
        return Portraits(last.parameters.float(), climbers.units, last.alive, last.history.float(), details=details)

    def _photographs(self, model: Model, climbers: Climbers, concepts: Concepts) -> tuple[Tensor, Tensor]:
        """Return a photograph for each portrait [P, *input], and how many the model took for its unit already [P]."""
        picked, excluded = [], []
        for concept, unit in enumerate(climbers.units[:: self.restarts].tolist()):
            images = concepts.negatives(concept) if len(concepts) else contrast(concepts, model)
            images = images.to(model.device, precision(model))
            taken = answers_with(model, images, torch.full((len(images),), unit, device=model.device))
            left = images[~taken] if not taken.all() else images
            picked += [left[place % len(left)] for place in range(self.restarts)]
            excluded += [int(taken.sum())] * self.restarts
        return torch.stack(picked), torch.tensor(excluded, device=model.device)

    def _starts(self, natural: Tensor, climbers: Climbers, randomness: Randomness) -> Tensor:
        """Return where in the unit ball each climb starts [P, *input], to be scaled by the radius."""
        if not self.random_start:
            return torch.zeros_like(natural)
        units = climbers.units.tolist()
        keys = [("start", unit, place % self.restarts) for place, unit in enumerate(units)]
        drawn = [torch.rand(natural.shape[1:], generator=randomness.generator(*key)) for key in keys]
        return (2 * torch.stack(drawn) - 1).to(natural)

    def _climb(
        self, climbers: Climbers, reader: features.Reader, natural: Tensor, starts: Tensor, radius: float
    ) -> Ascended:
        def ascent(objective: Objective, rows: slice) -> Ascent:
            return Ascent(
                render=lambda pictures: pictures,
                move=lambda pictures, step: pictures,
                respond=Eye(reader, objective),
                steps=self.steps,
                update=SignedStep(natural[rows], radius, radius / 4),
            )

        return climbers.climb((natural + radius * starts).clamp(0, 1), self.chunk, ascent)

    def _verdicts(self, model: Model, units: Tensor, natural: Tensor, changed: list[Tensor]) -> dict[str, Tensor]:
        """Return what each radius achieved."""
        before = features.logits(model, natural).gather(1, units[:, None])[:, 0]
        after = [features.logits(model, pictures).gather(1, units[:, None])[:, 0] for pictures in changed]
        flips = torch.stack([answers_with(model, pictures, units) for pictures in changed], 1)  # [P, R]
        rounded = [(pictures * LEVELS).round() / LEVELS for pictures in changed]
        radii = torch.tensor(self.radii, device=flips.device)
        smallest = torch.where(flips, radii, torch.inf).amin(1)
        return {
            "radii": radii[None],
            "flips": flips,
            "flips_rounded": torch.stack([answers_with(model, pictures, units) for pictures in rounded], 1),
            "flipping_radius": torch.where(smallest.isinf(), -1, smallest),
            "gain": torch.stack([one - before for one in after], 1).float(),
        }


def answers_with(model: Model, images: Tensor, units: Tensor) -> Tensor:
    """Return whether the model answers each image with its unit [N]: the first of its classes, or a positive logit.

    Without named classes all units are classes.
    """
    logits = features.logits(model, images)
    rivals = torch.tensor(model.class_units or range(logits.shape[1]), device=logits.device)
    own = logits.gather(1, units[:, None])[:, 0]
    first = rivals[logits[:, rivals].argmax(1)] == units
    return torch.where(torch.isin(units, rivals), first, own > 0)
