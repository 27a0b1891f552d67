"""The direction along which features change with a concept: the difference of class means (Pahde et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.activations import BLOCK, Activations
from ambench.core import Directions, Pooling

from ._design import Check, Design, pieces
from ._examples import FOLDS, balanced_accuracy, folds
from ._probe import Probe, Sample, directions, in_parts


@dataclass(frozen=True)
class PatternCav(Probe):
    """Covariance of features and label over the label's variance, at unit length (arXiv 2202.03482).

    For labels that say yes or no that is the mean with the concept less the mean without it: mean-difference CAV and
    FastCAV (arXiv 2505.17883) are the same direction under other names. A classifier cancels noise that comes with the
    concept, a pattern does not; it also takes in whatever else differs on average, the context among it. The bias puts
    zero half way between the means. `layer`, `pooling` and `chunk` as in `cav`.

    >>> PatternCav(pooling="max").supervision
    'concept images'
    """

    citation = "Pahde et al. 2022, arXiv 2202.03482; Schmalwasser et al. 2025, arXiv 2505.17883 (FastCAV)"
    supervision = "concept images"

    layer: str | None = None
    pooling: Pooling = "mean"
    chunk: int = 64

    @property
    def features(self) -> Pooling:
        """Its pooling."""
        return self.pooling

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C] or [K, C, *cells] (`none`), and `details["accuracy"]`, balanced, out of fold."""
        fold, size = folds(sample.concepts), max(1, BLOCK // ((1 + FOLDS) * sample.activations.width))
        parts = [_with_accuracy(sample, fold, concepts) for concepts in pieces(fold.shape[1], size)]
        vectors, bias, accuracy = (torch.cat(part) for part in zip(*parts, strict=True))
        return directions(sample, vectors, bias, self.pooling, {"accuracy": accuracy})

    def solve_samples(self, sample: Sample, counts: Tensor) -> Sequence[Directions]:
        """Return the directions of S samples [S, N] from one product; no accuracies."""
        concepts = sample.present.shape[1]
        often = counts.to(sample.present.device).T.repeat_interleave(concepts, 1)  # [N, S K]
        found = read_patterns(sample.activations, sample.present.repeat(1, len(counts)), often, sample.check)
        design, vectors, intercepts = found
        return in_parts(sample, *design.restore(vectors, intercepts), self.pooling, concepts)


def read_patterns(
    activations: Activations, present: Tensor, counts: Tensor, check: Check | None = None
) -> tuple[Design, Tensor, Tensor]:
    """Return the design, and Q differences of means [F, Q] with their intercepts [Q], from one reading.

    They are those of `present` [N, Q] bool where an example is `counts` [N, Q] times in a problem.
    """
    sides, places = _sides(present, counts)
    design, means = Design.with_sums(activations, sides, check)
    return design, *_differences(means, places)


def _patterns(design: Design, present: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same for a design that is there."""
    sides, places = _sides(present, counts)
    return _differences(design.combine(sides), places)


def _with_accuracy(sample: Sample, fold: Tensor, concepts: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit vectors [k, F] and biases of some concepts, and how well those of other folds judge each fold."""
    present, fold = sample.present[:, concepts], fold[:, concepts]
    learnt = torch.cat([torch.ones_like(present), *(fold != number for number in range(FOLDS))], 1)
    found = read_patterns(sample.activations, present.repeat(1, 1 + FOLDS), learnt, sample.check)
    design, vectors, intercepts = found
    count = present.shape[1]
    logits = design.times(vectors[:, count:]) + intercepts[count:]  # [N, FOLDS k]
    logits = logits.masked_fill(learnt[:, count:], 0).reshape(len(fold), FOLDS, -1).sum(1)
    whole = design.restore(vectors[:, :count], intercepts[:count])
    return *whole, balanced_accuracy(logits, present)


def _sides(present: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sides of Q problems as shares of the examples [N, M], each once, and where they are [2 Q].

    Problems that share a side, as a concept against many sets does, have one mean of it.
    """
    marks = torch.cat([counts * present, counts * ~present], 1)
    distinct, places = torch.unique(marks, dim=1, return_inverse=True)
    often = distinct.double()
    return often / often.sum(0).clamp_min(1), places


def _differences(means: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences [F, Q] of means [F, M], and the intercepts [Q] that put zero half way between them."""
    shown, hidden = places.chunk(2)
    length = means.norm(dim=0).square()
    difference = means.T[shown].sub_(means.T[hidden])
    return difference.T, (length[hidden] - length[shown]) / 2
