"""The kinds of explanation: portraits, directions, scores and heatmaps, predictions; and what one costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor

Pooling = Literal["mean", "max", "none", "class"]  # how a layer's grid becomes the features of an image
Reading = Literal["mean", "max", "none", "class", "peak"]  # how a direction's logit is read off them


@dataclass(frozen=True, eq=False)
class Portraits:
    """Synthesised inputs: images [P, *input], units [P] long, alive [P] bool, history [P, steps] of the objective.

    Restarts of one unit are several portraits of it. `seeks` is what they excite where that is no output unit: a
    direction in a layer for each concept, in the dataset's order, such as a hidden channel that stands for it.
    `details` are extra numbers [P, …], by name.
    """

    images: Tensor
    units: Tensor
    alive: Tensor
    history: Tensor
    seeks: Directions | None = None
    details: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Directions:
    """Unit vectors in a layer's feature space, one for each concept: vectors [K, C] or [K, C, *cells], bias [K].

    `pooling` says how a grid [C, *cells] becomes what the vector is multiplied with: `mean`, `max` over cells, `none`
    (the vector has cells itself) or a transformer's `class` token; `peak` takes the largest of the cells' logits. A
    zero vector is a dead direction. `missing` says why a concept, by number, has no direction at all: its pairs are
    left out, with that reason. `details` are extra numbers [K, …], by name.
    """

    vectors: Tensor
    bias: Tensor
    layer: str
    pooling: Reading = "mean"
    details: Mapping[str, Tensor] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scores:
    """An answer to "is the concept in this image?": scores [B, T], higher means yes."""

    scores: Tensor

    def select(self, rows: Tensor) -> Any:
        """Return the answer to some of the images."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Heatmaps(Scores):
    """An answer to "and where?" as well: values [B, T, *extent], raw and signed, float32."""

    values: Tensor


@dataclass(frozen=True, eq=False)
class Predictions(Scores):
    """The model's own answer: logits [B, U], and as scores those of the concepts asked."""

    logits: Tensor


@dataclass(frozen=True, eq=False)
class Cost:
    """What explaining took: fit_seconds (processor time on CPU), seconds_per_image [R] of R repeats (wall time, alone),
    model_passes (floating-point operations of one explanation over those of one forward; None for a network without
    countable ones), peak_rss_mib, and peak_gpu_mib (None without a GPU)."""

    fit_seconds: float
    seconds_per_image: Tensor
    model_passes: float | None
    peak_rss_mib: float
    peak_gpu_mib: float | None


Explanation = Portraits | Directions | Scores | Cost
