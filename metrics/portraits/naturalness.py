"""How far a portrait is from what natural images are like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from ambench.core import Better, Metric, Portraits, Randomness, Skipped, Trial, Values, generator

from ._frechet import distance
from ._natural import features_of, layer_of, natural_features
from ._waves import slopes

FEWEST = 4  # natural images: two to learn from, two held out
FRECHET_IMAGES = 10  # a channel: with fewer of them the distance says how many there were


@dataclass(frozen=True)
class Naturalness(Metric[Portraits]):
    """How far a portrait's features lie from those of natural images; down, >= 0, about 1 for natural images.

    `measure` features: the squared Mahalanobis distance of a layer's features (`layer`, None: the model's own; averaged
    over cells) over the number of channels, with mean and shrunk covariance (Ledoit-Wolf) of half of the natural
    images, the method's examples; percentile: the share of the other half that is nearer. spectrum: how many standard
    deviations of natural images lie between their mean slope of log power over log frequency and the portrait's; a flat
    portrait has none. frechet: the Frechet distance of all portraits together to all natural images, one row, skipped
    with fewer than ten of either a channel, because it grows as numbers fall.

    Name another `layer` where a method has itself learned what is natural there. A dead portrait is judged as uniform
    noise would be.

    >>> from ambench import toy
    >>> from ambench.core import Case, Truth
    >>> concepts = toy.Squares().concepts("fit")
    >>> images = torch.cat([concepts.images[:1], torch.eye(3)[:1, :, None, None].expand(1, 3, 16, 16)])
    >>> portraits = Portraits(images, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> case = Case(images, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> trial = Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> natural, red_all_over = Naturalness().score(trial).values[:, 0].tolist()
    >>> natural < 2 and red_all_over > 100
    True
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    citation: ClassVar[str] = "Ledoit & Wolf 2004; van der Schaaf & van Hateren 1996; Heusel et al. 2017"

    measure: Literal["features", "percentile", "spectrum", "frechet"] = "features"
    layer: str | None = None

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None with fewer than four natural images; `frechet`: [1, K].

        Raises Skipped where model, input or number of images do not allow the measure.
        """
        if len(trial.concepts) < FEWEST:
            return None
        measures: dict[str, Callable[[Trial[Portraits]], Values]] = {
            "features": lambda trial: self._features(trial)[0],
            "percentile": lambda trial: self._features(trial)[1],
            "spectrum": _spectrum,
            "frechet": self._frechet,
        }
        return measures[self.measure](_with_noise(trial))

    def _features(self, trial: Trial[Portraits]) -> tuple[Values, Values]:
        """Return the distances over the number of channels, and which share of held-out images is nearer."""
        layer = layer_of(trial.model, self.layer)
        near, held_out = trial.share(("naturalness", layer), lambda: _reference(trial, layer))
        found = near(features_of(trial.model, trial.case.images, layer))  # [P]
        nearer = (held_out < found[:, None]).double() + (held_out == found[:, None]).double() / 2  # [P, n]
        spread = (held_out > 0).any().expand_as(found)  # features that never change tell nothing
        return _values(trial, found, spread), _values(trial, nearer.mean(1), spread)

    def _frechet(self, trial: Trial[Portraits]) -> Values:
        layer = layer_of(trial.model, self.layer)
        made, natural = features_of(trial.model, trial.case.images, layer), natural_features(trial, layer)
        wanted = FRECHET_IMAGES * natural.shape[1]
        if min(len(made), len(natural)) < wanted:
            raise Skipped(
                f"the Frechet distance at layer '{layer}' wants {wanted} portraits and natural images, ten for each "
                f"channel; there are {len(made)} and {len(natural)}"
            )
        values = distance(made, natural).expand(1, len(trial.concepts.names))
        return Values.of(values, flat=(~trial.explanation.alive).all().expand_as(values), ids=("all portraits",))


def _with_noise(trial: Trial[Portraits]) -> Trial[Portraits]:
    """Return the trial with uniform noise in the place of dead portraits."""
    images, dead, (low, high) = trial.case.images, ~trial.explanation.alive, trial.concepts.bounds
    noise = low + (high - low) * Randomness(("naturalness",), trial.case.ids).uniform(*images.shape[1:]).to(images)
    images = torch.where(dead.view(-1, *[1] * (images.ndim - 1)), noise, images)
    return replace(trial, case=replace(trial.case, images=images))


def _reference(trial: Trial[Portraits], layer: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return what measures the distance of features [B, C] to half of the natural images, and that of the others."""
    natural = natural_features(trial, layer)
    order = torch.randperm(len(natural), generator=generator("natural halves", len(natural))).to(natural.device)
    learned, held_out = natural[order[::2]], natural[order[1::2]]
    fitted = LedoitWolf().fit(learned.cpu().numpy())

    def near(features: Tensor) -> Tensor:
        squares = fitted.mahalanobis(features.cpu().numpy()) / features.shape[1]
        return torch.as_tensor(squares, dtype=torch.float64, device=features.device)

    return near, near(held_out)


def _spectrum(trial: Trial[Portraits]) -> Values:
    natural = trial.share("natural slopes", lambda: slopes(trial.concepts.images))
    natural = natural[natural.isfinite()]
    if len(natural) < FEWEST:
        raise Skipped(f"inputs {list(trial.case.images.shape[1:])} have too few waves for the slope of a spectrum")
    deviation = natural.std()
    away = (slopes(trial.case.images) - natural.mean()).abs() / deviation.clamp_min(1e-9)
    return _values(trial, away.nan_to_num(), away.isfinite() & (deviation >= 1e-9))


def _values(trial: Trial[Portraits], found: Tensor, defined: Tensor) -> Values:
    return Values.of(found[:, None], defined[:, None], ~trial.explanation.alive[:, None])
