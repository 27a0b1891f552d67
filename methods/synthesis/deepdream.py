"""DeepDream: a photograph in which a whole layer is made louder, coarse details first (Mordvintsev et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from ambench import features
from ambench.core import Concepts, InputError, Layer, Model, Portraits, Randomness, Skipped, SynthesisMethod

from ._ascent import Ascended, Ascent
from ._climbing import Climbers, Eye
from ._natural import contrast, outputs, precision, spread
from ._objectives import Objective, energy, logit
from ._sought import Sought, sought
from ._transforms import Transforms
from ._updates import Adam

LEVELLING = (nn.LayerNorm, nn.GroupNorm, _InstanceNorm)  # their outputs have the same mean square whatever comes in
EDGE = 1e-3  # values nearer to 0 or 1 have no useful log-odds


@dataclass(frozen=True, eq=False)
class Detail:
    """Pictures [P, C, *extent] behind log-odds, to which details of a coarser size are added.

    >>> grey = torch.full((1, 1, 4, 4), 0.5)
    >>> Detail(grey, (2, 2)).render(torch.zeros(1, 1, 2, 2)).unique()
    tensor([0.5000])
    """

    pictures: Tensor
    size: tuple[int, ...]

    def start(self) -> Tensor:
        """Return no detail [P, C, *size]."""
        return self.pictures.new_zeros(*self.pictures.shape[:2], *self.size)

    def render(self, detail: Tensor) -> Tensor:
        """Return the pictures with the details enlarged and added [P, C, *extent]."""
        extent = self.pictures.shape[2:]
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(extent)]
        added = F.interpolate(detail, size=list(extent), mode=mode, align_corners=False)
        return torch.sigmoid(torch.logit(self.pictures, eps=EDGE) + added)


@dataclass(frozen=True)
class Deepdream(SynthesisMethod):
    """Ascent on the mean square of a layer from natural images on (Mordvintsev, Olah & Tyka 2015).

    A dream has no unit, so for each concept it starts at the images without it to which its unit responds most, one
    for each of the `restarts`: what the layer adds is then held against the unit (ours). Without a `layer`, it is the
    default one, or the one before it if that is a normalisation over channels, which is always equally loud. Details
    are climbed in `octaves`, the first `shrink ** (octaves - 1)` times as large as the picture, each for `steps` of
    Adam with `rate`, the picture shifted by up to `jitter` sides in each step; `chunk` portraits climb at a time.

    >>> Deepdream(octaves=3, shrink=0.5).sizes((16, 12))
    [(4, 3), (8, 6), (16, 12)]
    """

    citation = "Mordvintsev, Olah & Tyka 2015"
    supervision = "contrast images"
    stochastic = True

    layer: str | None = None
    octaves: int = 3
    shrink: float = 1 / 1.4
    steps: int = 32
    rate: float = 0.05
    jitter: float = 1 / 16
    restarts: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name in ("octaves", "steps", "restarts", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"deepdream needs {name} of at least 1, not {value}")
        if not 0 < self.shrink <= 1:
            raise InputError(f"deepdream needs shrink above 0 and at most 1, not {self.shrink}")

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` dreams for each of the units [K] in turn: images [K * restarts, *input] in (0, 1)."""
        if len(model.input_shape) < 2:
            raise Skipped(f"deepdream adds coarse and fine details, and {list(model.input_shape)} has no extent")
        layer = self.layer_of(model)
        dreamt = Objective(layer.name, torch.zeros(len(units), device=model.device), energy(layer))
        natural = contrast(concepts, model)
        climbers = Climbers.of(model, units, Sought(dreamt), spread(model, dreamt, natural), self.restarts)
        pictures = self._photographs(model, units, concepts)
        parts: list[Ascended] = []
        with features.Reader(model, layer.name) as reader:
            for octave, size in enumerate(self.sizes(model.input_shape[1:])):
                detail = Detail(pictures, size)
                parts.append(self._climb(climbers, detail, reader, randomness.child("octave", octave)))
                pictures = detail.render(parts[-1].parameters)
        return _portraits(pictures, climbers.units, parts)

    def layer_of(self, model: Model) -> Layer:
        """Return the layer that is made louder; without one named, the last that no normalisation levels."""
        if self.layer is not None:
            return model.at(self.layer)
        names = list(model.layers)
        before = names[: names.index(model.at(None).name) + 1]
        free = [name for name in before if not isinstance(model.layers[name].module, LEVELLING)]
        return model.at(free[-1] if free else None)

    def sizes(self, extent: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the size of the details of each octave, coarsest first."""
        factors = [self.shrink**octave for octave in reversed(range(self.octaves))]
        return [tuple(max(1, round(side * factor)) for side in extent) for factor in factors]

    def _photographs(self, model: Model, units: Tensor, concepts: Concepts) -> Tensor:
        """Return the images without each concept that excite its unit most, [K * restarts, *input], grey for want."""
        wanted = sought(model, units, concepts, "logit", None).objective
        grey = torch.full(model.input_shape, 0.5, device=model.device, dtype=precision(model))
        picked = []
        for concept, unit in enumerate(wanted.targets):
            images = concepts.negatives(concept) if len(concepts) else concepts.images
            strengths = logit(outputs(model, None, images), unit.expand(len(images))) if len(images) else images
            order = strengths.argsort(descending=True, stable=True)[: self.restarts].tolist()
            chosen = [images[row].to(grey) for row in order]
            picked += [chosen[place % len(chosen)] if chosen else grey for place in range(self.restarts)]
        return torch.stack(picked)

    def _climb(self, climbers: Climbers, detail: Detail, reader: features.Reader, randomness: Randomness) -> Ascended:
        transforms = Transforms(self.jitter)

        def ascent(objective: Objective, rows: slice) -> Ascent:
            return Ascent(
                render=replace(detail, pictures=detail.pictures[rows]).render,
                move=lambda pictures, step: transforms(pictures, randomness.generator("transform", step)),
                respond=Eye(reader, objective),
                steps=self.steps,
                update=Adam(self.rate),
            )

        return climbers.climb(detail.start(), self.chunk, ascent)


def _portraits(pictures: Tensor, units: Tensor, parts: list[Ascended]) -> Portraits:
    history = torch.cat([part.history for part in parts], 1)
    alive = torch.stack([part.alive for part in parts]).any(0)
    steps = parts[0].history.shape[1]
    ends = [torch.where(part.died < 0, steps, part.died) for part in parts]
    died = torch.where(alive, -1, torch.stack(ends).amax(0))
    return Portraits(pictures.float(), units, alive, history.float(), details={"died_at_step": died})
