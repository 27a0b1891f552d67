"""Activation maximization that pays for co-activations of shallow features which natural images do not have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import features
from ambench.core import InputError, Layer, Model

from ._ascent import Ascended, Ascent
from ._climbing import Cost, Eye, Images
from ._co_activations import CoActivations, pooled
from ._fourier import Fourier
from ._gradient import GradientSynthesis, Scene
from ._natural import outputs
from ._objectives import Objective
from ._pixels import Pixels
from ._transforms import Transforms
from ._updates import Adam

OUTLYING = 3.0  # deviations above what the others let expect


@dataclass(frozen=True)
class ActmaxJoint(GradientSynthesis):
    """Ascent whose pictures stay where the joint statistics of a shallow layer are natural (after M. Mongia).

    Features of the `shallow` layer (None: the middle one of the network's stages) are averaged over `parts` x `parts`
    regions, D in all, and a shrunk Gaussian is fitted to those of the examples. `penalty` pays `weight` (None: 1) for
    each unit of squared Mahalanobis distance per feature beyond what 99 % of held-out natural images keep within;
    `reduce` (weight None: 10) pushes down the features that lie more than 3 deviations above what all others let
    expect. With weight 0 it is `actmax`. The objective is not divided by its spread, because the weights are meant for
    logits; steps, rate and movements are those of `actmax`. Kept: `distance_per_feature` [P] of each portrait, and
    `usual_distance_per_feature` [1].

    >>> ActmaxJoint(variant="reduce").weighs
    10.0
    """

    citation = "ambench definition, after a draft by M. Mongia; Ledoit & Wolf 2004"
    supervision = "contrast images"

    variant: Literal["penalty", "reduce"] = "penalty"
    shallow: str | None = None
    parts: int = 2
    weight: float | None = None
    rate: float = 0.05
    jitter: float = 1 / 16
    zoom: float = 0.1
    rotation_degrees: float = 10.0
    redirected_steps: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts < 1:
            raise InputError(f"actmax_joint needs parts of at least 1, not {self.parts}")

    @property
    def weighs(self) -> float:
        """The weight of the cost."""
        return {"penalty": 1.0, "reduce": 10.0}[self.variant] if self.weight is None else self.weight

    def images(self, scene: Scene) -> Images:
        """Return waves of the model's input shape."""
        shape = scene.model.input_shape
        return Fourier(shape) if len(shape) > 1 else Pixels(shape)

    def scale(self, scene: Scene, objective: Objective) -> Tensor:
        """Return ones: the weights of the costs are meant for logits."""
        return torch.ones(len(objective), device=scene.model.device)

    def layers(self, model: Model) -> tuple[str, ...]:
        """Return the shallow layer."""
        return (self.shallow_layer(model).name,)

    def shallow_layer(self, model: Model) -> Layer:
        """Return the layer whose features are watched: of the modules like the default layer's, the middle one."""
        if self.shallow is not None:
            return model.at(self.shallow)
        last = model.at(None)
        kin = [name for name in model.layers if name.count(".") == last.name.count(".")]
        alike = [name for name in kin if type(model.at(name).module) is type(last.module)]
        before = alike[: alike.index(last.name) + 1]
        return model.at(before[(len(before) - 1) // 2])

    def ascent(self, scene: Scene, images: Images, reader: features.Reader, objective: Objective) -> Ascent:
        """Return Adam on moved pictures whose shallow features cost what they stand out."""
        transforms = Transforms(self.jitter, self.zoom, self.rotation_degrees)
        costs = (self._cost(scene),) if self.weighs else ()
        return Ascent(
            render=images.render,
            move=lambda pictures, step: transforms(pictures, scene.randomness.generator("transform", step)),
            respond=Eye(reader, objective, costs),
            steps=self.steps_for(images.shape),
            update=Adam(self.rate),
            redirected_steps=self.redirected_steps,
        )

    def details(self, scene: Scene, images: Images, ended: Ascended) -> Mapping[str, Tensor]:
        """Return how far the portraits lie off, in units of one feature."""
        layer, known, parts = self._statistics(scene)
        with torch.no_grad():
            pictures = images.render(ended.parameters)
        seen = pooled(layer.as_grid(outputs(scene.model, layer.name, pictures)), parts).double()
        size = seen.shape[1]
        return {
            "distance_per_feature": (known.to(seen).distance(seen) / size).float(),
            "usual_distance_per_feature": (known.usual / size).float()[None],
        }

    def _cost(self, scene: Scene) -> Cost:
        layer, found, parts = self._statistics(scene)
        known = found.to(scene.contrast)

        def cost(read: Mapping[str | None, Tensor]) -> Tensor:
            seen = pooled(layer.as_grid(read[layer.name]), parts)  # [m P, D]
            if self.variant == "penalty":
                beyond = (known.distance(seen) - known.usual).clamp_min(0)
            else:
                outlying = known.conditional_scores(seen.detach()) > OUTLYING
                beyond = (seen / known.conditional_deviations()).masked_fill(~outlying, 0.0).sum(1)
            return self.weighs * beyond / seen.shape[1]

        return cost

    def _statistics(self, scene: Scene) -> tuple[Layer, CoActivations, int]:
        found: tuple[Layer, CoActivations, int] = scene.once("co-activations", lambda: self._learn(scene))
        return found

    def _learn(self, scene: Scene) -> tuple[Layer, CoActivations, int]:
        layer = self.shallow_layer(scene.model)
        if len(scene.concepts) < 2:
            raise InputError("actmax_joint learns what occurs together in natural images, and there are no examples")
        images = scene.concepts.images.to(scene.contrast)
        grid = layer.as_grid(outputs(scene.model, layer.name, images))
        parts = self._affordable(grid)
        return layer, CoActivations.of(pooled(grid, parts)), parts

    def _affordable(self, grid: Tensor) -> int:
        """Return how many regions a side there are images for: half as many images as features at least."""
        parts = self.parts
        while parts > 1 and len(grid) < pooled(grid[:1], parts).shape[1] / 2:
            parts -= 1
        if len(grid) < pooled(grid[:1], parts).shape[1] / 2:
            warnings.warn(f"{len(grid)} images are few for the statistics of {grid.shape[1]} features", stacklevel=2)
        return parts
