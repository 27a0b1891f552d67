"""SmoothGrad: the gradient over noisy copies of the image (Smilkov et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness

from ._averaged import gradients_at
from ._maps import largest, summed, where_answered


@dataclass(frozen=True)
class Smoothgrad(AttributionMethod):
    """A moment of the gradient over noisy copies (arXiv 1706.03825); where the noise is zero it is the gradient itself.

    Every copy is noisy and none is clipped: the deviation of the Gaussian noise is `noise` times the image's own
    range, its largest value less its smallest. `moment`: the `mean` of the gradients, the mean of their `square`s or
    their `variance`, each before the channels are joined; `mode`: `absolute` takes the largest magnitude over the
    channels, `signed` their sum. `chunk` inputs go through the network at a time, which changes nothing but memory.

    >>> Smoothgrad(samples=16, noise=0.04).moment
    'mean'
    """

    citation = "Smilkov et al. 2017, arXiv 1706.03825"
    stochastic = True

    samples: int = 25
    noise: float = 0.15
    moment: Literal["mean", "square", "variance"] = "mean"
    mode: Literal["absolute", "signed"] = "absolute"
    chunk: int = 32

    def __post_init__(self) -> None:
        for name, value in (("samples", self.samples), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"smoothgrad needs {name} of at least 1, not {value}")
        if not self.noise >= 0:
            raise InputError(
                f"smoothgrad needs a noise of at least 0, as a share of the image's range, not {self.noise}"
            )

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], negative only where signed; a map's score is the mean of its top 5 %."""
        asked = features.target_logits(model, images, targets, self.chunk)  # [B, T]
        flat = images.flatten(1)
        deviation = self.noise * (flat.amax(1) - flat.amin(1)).view(-1, *[1] * (images.ndim - 1))  # [B, 1, …]

        def noisy(rows: Tensor, numbers: Tensor) -> Tensor:
            mine = randomness.select(rows.tolist())
            draws = torch.stack([mine.normal(*images.shape[1:], repeat=number) for number in numbers.tolist()])
            return images[rows] + deviation[rows] * draws.to(images)  # [N, G, *input]

        moments = _Moments(images.new_zeros(len(images), targets.shape[1], *images.shape[1:]))
        for rows, numbers, slopes in gradients_at(model, targets, self.samples, noisy, self.chunk):
            moments.add(rows, int(numbers[0]), slopes)
        values = moments.of(self.moment, self.samples)
        maps = where_answered((largest if self.mode == "absolute" else summed)(values), asked)
        return Heatmaps(explanations.top_share(maps), maps.float())


class _Moments:
    """Mean and summed squared deviation of gradients that come in parts, image by image (Chan et al. 1979)."""

    def __init__(self, zeros: Tensor) -> None:
        self._mean = zeros  # [B, T, *input]
        self._spread = zeros.clone()

    def add(self, rows: Tensor, before: int, slopes: Tensor) -> None:
        """Take in some images' next gradients [N, G, T, *input], `before` of each being known already."""
        count = len(slopes)
        mean, known = slopes.mean(0), self._mean[rows]
        apart = mean - known
        self._mean[rows] = known + apart * (count / (before + count))
        self._spread[rows] += (slopes - mean).square().sum(0) + apart.square() * (before * count / (before + count))

    def of(self, moment: str, count: int) -> Tensor:
        """Return the moment of all `count` gradients [B, T, *input]."""
        variance = self._spread / count
        return {"mean": self._mean, "variance": variance, "square": variance + self._mean.square()}[moment]
