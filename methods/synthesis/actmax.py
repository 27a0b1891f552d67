"""Activation maximization: an image to which one output unit responds as strongly as possible (Erhan et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import features
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, SynthesisMethod

from ._ascent import Ascended, Ascent
from ._fourier import Fourier
from ._objectives import Objective, objectives
from ._pixels import Pixels
from ._transforms import Transforms

CONTRAST_IMAGES = 256  # enough to know how far an objective spreads over natural images
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Actmax(SynthesisMethod):
    """Gradient ascent on the input, all units in one batch (Simonyan et al. 2013, arXiv 1312.6034).

    `objective`: the unit's `logit` or its log-`probability`; `parametrisation`: `fourier` (waves, decorrelated
    colours) or `pixel`, neither with a penalty; `steps` (None: 256 below 128 pixels, else 512) of Adam with `rate`.
    Before each step the picture is shifted by up to `jitter` sides, zoomed by 1 +- `zoom` and turned by up to
    `rotation_degrees`. In the first `redirected_steps` closed ReLUs pass the gradient on. Each unit gets `restarts`
    portraits; `chunk` of them climb at a time (None: all), which changes nothing but memory.

    >>> Actmax(steps=128).steps_for((3, 64, 64)), Actmax().steps_for((3, 224, 224))
    (128, 512)
    """

    citation = "Erhan et al. 2009; Simonyan et al. 2013, arXiv 1312.6034"
    supervision = "contrast images"
    stochastic = True

    objective: Literal["logit", "probability"] = "logit"
    parametrisation: Literal["fourier", "pixel"] = "fourier"
    steps: int | None = None
    rate: float = 0.05
    jitter: float = 1 / 16
    zoom: float = 0.1
    rotation_degrees: float = 10.0
    redirected_steps: int = 16
    restarts: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("restarts", self.restarts), ("chunk", self.chunk)):
            if value is not None and value < 1:
                raise InputError(f"actmax needs {name} of at least 1, not {value}")

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` portraits of each of the units [K] in turn: images [K * restarts, *input] in (0, 1).

        A portrait depends on its unit and restart, not on the other units. InputError: a unit that is not there.
        """
        wanted = units.to(model.device).repeat_interleave(self.restarts)  # [P]
        objective = objectives(model)[self.objective]
        scale = _spread(model, objective, wanted, concepts)  # [P]
        images = self._images(model.input_shape)
        starts = self._starts(images, wanted, model, randomness)
        size = self.chunk or len(wanted)
        with features.Reader(model, None) as reader:
            parts = [
                self._ascent(images, reader, objective, some, randomness).climb(start, spread)
                for some, start, spread in zip(
                    *(torch.split(part, size) for part in (wanted, starts, scale)), strict=True
                )
            ]
        return _portraits(images, wanted, parts)

    def steps_for(self, input_shape: tuple[int, ...]) -> int:
        """Return how many steps an input of this shape gets."""
        return self.steps or (256 if max(input_shape[1:], default=0) < 128 else 512)

    def _images(self, shape: tuple[int, ...]) -> Fourier | Pixels:
        waves = self.parametrisation == "fourier" and len(shape) > 1
        return Fourier(shape) if waves else Pixels(shape)

    def _starts(self, images: Fourier | Pixels, wanted: Tensor, model: Model, randomness: Randomness) -> Tensor:
        keys = [(unit, place % self.restarts) for place, unit in enumerate(wanted.tolist())]
        starts = [images.start(randomness.generator("portrait", unit, restart)) for unit, restart in keys]
        return torch.stack(starts).to(model.device, _dtype(model))

    def _ascent(
        self,
        images: Fourier | Pixels,
        reader: features.Reader,
        objective: Objective,
        units: Tensor,
        randomness: Randomness,
    ) -> Ascent:
        transforms = Transforms(self.jitter, self.zoom, self.rotation_degrees)
        return Ascent(
            render=images.render,
            move=lambda pictures, step: transforms(pictures, randomness.generator("transform", step)),
            respond=lambda pictures: objective(reader(pictures), units),
            steps=self.steps_for(images.shape),
            rate=self.rate,
            redirected_steps=self.redirected_steps,
        )


def _spread(model: Model, objective: Objective, units: Tensor, concepts: Concepts) -> Tensor:
    """Return the standard deviation of each unit's objective over contrast images [P], 1 without two of them."""
    natural = _contrast(concepts, model)
    logits = features.logits(model, natural)  # [N, U]
    _check(units, model, logits.shape[1])
    if len(natural) < 2:
        return torch.ones(len(units), device=model.device)
    values = torch.stack([objective(logits, unit.expand(len(logits))) for unit in units])  # [P, N]
    return values.std(1).clamp_min(SMALLEST_SPREAD)


def _contrast(concepts: Concepts, model: Model) -> Tensor:
    """Return some images that show none of the concepts, any where all show one, a black one without examples."""
    if not len(concepts):
        return torch.zeros(1, *model.input_shape, device=model.device, dtype=_dtype(model))
    none = ~concepts.present.any(1)
    images = concepts.images[none] if none.sum() > 1 else concepts.images
    return images[:: -(-len(images) // CONTRAST_IMAGES)].to(model.device, _dtype(model))


def _dtype(model: Model) -> torch.dtype:
    """Return the precision that the network computes in."""
    return next((p.dtype for p in model.network.parameters() if p.is_floating_point()), torch.float32)


def _check(units: Tensor, model: Model, count: int) -> None:
    for unit in units.tolist():
        if not 0 <= unit < count:
            raise InputError(f"model '{model.name}' has no output unit {unit}; it has units 0 to {count - 1}")


def _portraits(images: Fourier | Pixels, units: Tensor, parts: list[Ascended]) -> Portraits:
    pictures = torch.cat([images.render(part.parameters) for part in parts])
    history = torch.cat([part.history for part in parts])
    return Portraits(pictures.float(), units, torch.cat([part.alive for part in parts]), history.float())
