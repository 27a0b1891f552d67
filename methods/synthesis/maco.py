"""Portraits with the spectrum of natural images, in which only phases are free (Fel et al. 2023, arXiv 2306.06805)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import features
from ambench.core import InputError, Skipped

from ._ascent import Ascended, Ascent
from ._climbing import Eye, Images
from ._crops import Crops
from ._gradient import GradientSynthesis, Scene
from ._objectives import Objective
from ._phases import Phases, magnitudes, usual_magnitudes
from ._updates import Adam


@dataclass(frozen=True)
class Maco(GradientSynthesis):
    """Ascent on the phases of waves whose magnitudes are the mean over contrast images (magnitude constrained).

    What is sought is set as in `actmax`. In each of the `steps` (None: 256) of NAdam with `rate`, the objective is the
    mean over `crops` random crops with `noise` added, their side going from `first_side` to `last_side` of the
    picture's. The paper's are 32 crops from .5 to .05 at 224 pixels, and a rate of 1; the defaults here are ours: at 64
    pixels small crops made pictures that excite a unit when looked at closely only. Kept with each portrait: its
    `transparency` [P, *extent], the summed size of the objective's slope at each pixel, and
    `spectrum` [1, C, …] with `natural_images` [1], from how many it was taken (0: none were there, and magnitudes fall
    with frequency instead).

    >>> Maco(crops=4).steps_for((3, 224, 224))
    256
    """

    citation = "Fel et al. 2023, arXiv 2306.06805"

    rate: float = 0.3
    crops: int = 8
    noise: float = 0.08
    first_side: float = 0.75
    last_side: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crops < 1:
            raise InputError(f"maco needs crops of at least 1, not {self.crops}")
        for name in ("first_side", "last_side"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"maco needs {name} above 0 and at most 1, not {getattr(self, name)}")

    def steps_for(self, input_shape: tuple[int, ...]) -> int:
        """Return how many steps an input of this shape gets."""
        return self.steps or 256

    def images(self, scene: Scene) -> Images:
        """Return phases behind the magnitudes of the contrast images."""
        shape = scene.model.input_shape
        if len(shape) != 3:
            raise Skipped(f"maco draws pictures [C, H, W], and model '{scene.model.name}' takes {list(shape)}")
        found = len(scene.concepts) > 0
        return Phases(shape, magnitudes(scene.contrast.double()) if found else usual_magnitudes(shape))

    def ascent(self, scene: Scene, images: Images, reader: features.Reader, objective: Objective) -> Ascent:
        """Return NAdam on the phases, seen through crops."""
        steps = self.steps_for(images.shape)
        crops = Crops(self.crops, self.first_side, self.last_side, self.noise, steps)
        return Ascent(
            render=images.render,
            move=lambda pictures, step: crops(pictures, step, scene.randomness.generator("crops", step)),
            respond=Eye(reader, objective),
            steps=steps,
            update=Adam(self.rate, nesterov=True),
            transparent=True,
        )

    def details(self, scene: Scene, images: Images, ended: Ascended) -> Mapping[str, Tensor]:
        """Return the spectrum and the number of images behind it."""
        assert isinstance(images, Phases)
        count = len(scene.contrast) if len(scene.concepts) else 0
        return {"spectrum": images.magnitude[None].float(), "natural_images": torch.tensor([count])}
