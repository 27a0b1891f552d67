"""Activation maximization in the code space of a decoder (DGN-AM: Nguyen et al. 2016, arXiv 1605.09304)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import decoders, features
from ambench.core import Skipped

from ._ascent import Ascended, Ascent
from ._climbing import Eye, Images
from ._codes import Codes
from ._gradient import GradientSynthesis, Scene
from ._objectives import Objective
from ._updates import Normalised

RATES = {"gaussian": 0.05, "relu": 8.0}  # the first is ours; the second the authors', whose codes reach far above 1
LAST_RATE = 1e-10


@dataclass(frozen=True)
class ActmaxLatent(GradientSynthesis):
    """Ascent on codes from which a decoder paints pictures, so that portraits stay among those that it can paint.

    `decoder`: `shapes` (the embedded one), or your own as `python:FILE:FACTORY`. What is sought is set as in `actmax`.
    In each of `steps` (None: 200) a code moves by a step of one mean size, `rate` (None: 8 for rectified codes, .05 for
    gaussian ones) falling to nothing, shrinks by `decay`, and is kept within the decoder's bounds. Kept with each
    portrait: its `code` [P, *code_shape] and `clamped_share` [P], how much of the picture the decoder painted outside
    [0, 1]. It was given what the decoder learned from, which is more than contrast images.

    >>> ActmaxLatent(steps=50).steps_for((3, 64, 64)), ActmaxLatent().steps_for((3, 64, 64))
    (50, 200)
    """

    citation = "Nguyen et al. 2016, arXiv 1605.09304"
    supervision = "contrast images, a decoder"

    decoder: str = "shapes"
    rate: float | None = None
    decay: float = 0.99

    def steps_for(self, input_shape: tuple[int, ...]) -> int:
        """Return how many steps an input of this shape gets."""
        return self.steps or 200

    def images(self, scene: Scene) -> Images:
        """Return codes of the decoder."""
        shape = scene.model.input_shape
        if len(shape) != 3:
            raise Skipped(f"decoders paint pictures [C, H, W], and model '{scene.model.name}' takes {list(shape)}")
        decoder = decoders.resolve(self.decoder, scene.model.device)
        if decoder.image_shape[0] != shape[0]:
            painted = f"decoder '{self.decoder}' paints pictures of {decoder.image_shape[0]} channels"
            raise Skipped(f"{painted}, and model '{scene.model.name}' takes {shape[0]}")
        if scene.contrast.dtype == torch.float64:
            decoder.network.double()
        return Codes(shape, decoder)

    def ascent(self, scene: Scene, images: Images, reader: features.Reader, objective: Objective) -> Ascent:
        """Return normalised steps on codes."""
        assert isinstance(images, Codes)
        steps = self.steps_for(images.shape)
        rate = RATES[images.decoder.kind] if self.rate is None else self.rate
        low, high = images.decoder.bounds
        return Ascent(
            render=images.render,
            move=lambda pictures, step: pictures,
            respond=Eye(reader, objective),
            steps=steps,
            update=Normalised(rate, min(LAST_RATE, rate), steps, self.decay, low, high),
        )

    def details(self, scene: Scene, images: Images, ended: Ascended) -> Mapping[str, Tensor]:
        """Return the codes, and how much of their pictures had to be clamped."""
        assert isinstance(images, Codes)
        with torch.no_grad():
            clamped = images.clamped_share(ended.parameters)
        return {"code": ended.parameters.float(), "clamped_share": clamped.float()}
