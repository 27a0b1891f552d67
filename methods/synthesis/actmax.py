"""Activation maximization: an image to which one unit responds as strongly as possible (Erhan et al. 2009)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ambench import features
from ambench.core import InputError, Model, Randomness

from . import _penalties as penalties
from ._ascent import Ascent
from ._climbing import Cost, Eye, Images
from ._fourier import Fourier
from ._gradient import GradientSynthesis, Scene
from ._natural import outputs
from ._objectives import Objective
from ._pixels import Pixels, RawPixels
from ._transforms import Transforms
from ._updates import Adam, Schedule

# Weights of (total variation, extreme values, values out of bounds) where none are given. Fourier waves are a prior in
# themselves; the others get those of Mahendran & Vedaldi (2016) in units of [0, 1], times 1e-2 (ours, not tuned).
DEVIATION = 80 / 255
PIXELS = (1e-2 * (6.5 / DEVIATION) ** 2, 1e-2 * DEVIATION**-6, 0.0)
WEIGHTS = {"fourier": (0.0, 0.0, 0.0), "pixel": PIXELS, "raw": (*PIXELS[:2], 10.0)}


@dataclass(frozen=True)
class Actmax(GradientSynthesis):
    """Gradient ascent on the input, all units in one batch (Simonyan et al. 2013, arXiv 1312.6034).

    `objective`: the unit's `logit` or its log-`probability`; or at a `layer` (None: the default one) what stands for
    the concept there: the `channel` that tells it best (mean over cells; a transformer's block output, or the hidden
    features of its feed-forward part if that is the layer), that channel's middle `neuron` or its value in the
    `class_token`, or the direction in which mean features change with the concept, as `dot`, `cosine` or `dotcos`.
    With `channel=n`, concept k gets channel n + k instead of the one that tells it best. A hidden feature behind a GELU
    that is closed for a grey picture stays closed, as its slope there leads back to zero: name the layer before it.
    `parametrisation`: `fourier` (waves, decorrelated colours), `pixel` (log-odds) or `raw`; `size` in pixels, if it is
    not the model's. `steps` (None: 256 below 128 pixels, else 512) of Adam with `rate`, constant or falling by a
    `schedule`. In each step, `copies` of the picture are shifted by up to `jitter` sides, zoomed by 1 +- `zoom` and
    turned by up to `rotation_degrees`. In the first `redirected_steps` closed ReLUs pass the gradient on.
    Costs, each with its weight: `variation`, `extremes` and `bounds` (None: what suits the parametrisation), `energy`,
    `contrast` and `style` (distance to natural images, `style` at the `style_layer`), `diversity` (likeness to the
    unit's other portraits there). Each unit gets `restarts` portraits; `chunk` of them climb at a time (None: all),
    which changes nothing but memory.

    Transformers are often given `parametrisation=pixel,rate=0.1,first_beta=0.5,second_beta=0.99,schedule=cosine,
    steps=400,copies=8,variation=5e-4` (Ghiasi et al. 2022, arXiv 2212.06727).

    >>> Actmax(steps=128).steps_for((3, 64, 64)), Actmax().steps_for((3, 224, 224))
    (128, 512)
    """

    citation = "Erhan et al. 2009; Simonyan et al. 2013, arXiv 1312.6034"

    parametrisation: Literal["fourier", "pixel", "raw"] = "fourier"
    size: int | None = None
    rate: float = 0.05
    first_beta: float = 0.9
    second_beta: float = 0.999
    schedule: Schedule = "constant"
    copies: int = 1
    jitter: float = 1 / 16
    zoom: float = 0.1
    rotation_degrees: float = 10.0
    redirected_steps: int = 16
    variation: float | None = None
    variation_power: float = 2.0
    extremes: float | None = None
    bounds: float | None = None
    energy: float = 0.0
    contrast: float = 0.0
    style: float = 0.0
    style_layer: str | None = None
    diversity: float = 0.0

    def images(self, scene: Scene) -> Images:
        """Return waves or pixels of the model's input shape, or of another size."""
        shape = scene.model.input_shape
        if self.size is not None:
            shape = (shape[0], *[self.size] * len(shape[1:]))
            _try(scene.model, shape)
        if self.parametrisation == "raw":
            return RawPixels(shape)
        return Fourier(shape) if self.parametrisation == "fourier" and len(shape) > 1 else Pixels(shape)

    def layers(self, model: Model) -> tuple[str, ...]:
        """Return the layer whose texture is compared."""
        return (model.at(self.style_layer).name,) if self.style or self.diversity else ()

    def ascent(self, scene: Scene, images: Images, reader: features.Reader, objective: Objective) -> Ascent:
        """Return Adam on moved pictures."""
        steps = self.steps_for(images.shape)
        return Ascent(
            render=images.render,
            move=self.movement(scene.randomness),
            respond=Eye(reader, objective, self.costs(scene)),
            steps=steps,
            update=Adam(self.rate, (self.first_beta, self.second_beta), steps, self.schedule),
            penalise=self.penalty(scene),
            redirected_steps=self.redirected_steps,
        )

    def movement(self, randomness: Randomness) -> Callable[[Tensor, int], Tensor]:
        """Return what moves the pictures of a step: `copies` draws, each shared by all pictures."""
        transforms = Transforms(self.jitter, self.zoom, self.rotation_degrees)

        def move(pictures: Tensor, step: int) -> Tensor:
            keys = [("transform", step), *(("transform", step, copy) for copy in range(1, self.copies))]
            moved = [transforms(pictures, randomness.generator(*key)) for key in keys]
            return moved[0] if len(moved) == 1 else torch.cat(moved)

        return move

    def penalty(self, scene: Scene) -> Callable[[Tensor], Tensor] | None:
        """Return what pictures cost by their pixels, None where nothing does."""
        given = (self.variation, self.extremes, self.bounds)
        usual = WEIGHTS[self.parametrisation]
        variation, extremes, bounds = (w if v is None else v for v, w in zip(given, usual, strict=True))
        deviation = penalties.deviation_of(scene.contrast)
        terms: list[tuple[float, Callable[[Tensor], Tensor]]] = [
            (variation, lambda pictures: penalties.total_variation(pictures, self.variation_power)),
            (extremes, penalties.extremes),
            (bounds, penalties.out_of_bounds),
            (self.energy, penalties.energy),
            (self.contrast, lambda pictures: penalties.contrast_difference(pictures, deviation)),
        ]
        asked = [(weight, term) for weight, term in terms if weight]
        if not asked or len(scene.model.input_shape) < 2:  # tables have neither neighbours nor colours
            return None
        return lambda pictures: torch.stack([weight * term(pictures) for weight, term in asked]).sum(0)

    def costs(self, scene: Scene) -> tuple[Cost, ...]:
        """Return what pictures cost by their features."""
        names = self.layers(scene.model)
        if not names:
            return ()
        layer, group = scene.model.at(names[0]), self.restarts
        natural = penalties.gram(layer.as_grid(outputs(scene.model, layer.name, scene.contrast))).mean(0)

        def cost(read: Mapping[str | None, Tensor]) -> Tensor:
            grid = layer.as_grid(read[layer.name])
            total = self.style * penalties.style_difference(grid, natural)
            return total + self.diversity * penalties.likeness(grid, group) if self.diversity else total

        return (cost,)


def _try(model: Model, shape: tuple[int, ...]) -> None:
    """Raise InputError if the network does not take pictures of this shape."""
    try:
        features.logits(replace(model, input_shape=shape), torch.zeros(1, *shape, device=model.device))
    except (RuntimeError, AssertionError) as error:
        refused = str(error).strip().splitlines()[0]
        raise InputError(
            f"model '{model.name}' takes pictures {list(model.input_shape)} and refuses {list(shape)}: {refused}"
        ) from error
