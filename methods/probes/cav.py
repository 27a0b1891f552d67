"""Concept activation vectors: a linear classifier's direction for a concept (Kim et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ambench.core import Directions

from ._classified import ClassifierProbe
from ._examples import balanced_accuracy
from ._folds import out_of_fold
from ._probe import Sample, directions, in_parts


@dataclass(frozen=True)
class Cav(ClassifierProbe):
    """A linear classifier of a layer's features, with and without the concept weighing the same (arXiv 1711.11279).

    `layer` (None: the model's default) is where features are read, `chunk` examples at a time. `pooling`: their `mean`
    or `max` over cells, which does not care where the concept is, `none`, which keeps a weight for each cell, or a
    transformer's `class` token. `solver`: logistic regression, linear `svm` (squared hinge), `sgd` (hinge, with TCAV's
    settings) or `ridge` (closed form). `inverse_penalty` (None: 1, and .001 without pooling; of the svm a tenth of
    that) is the C of scikit-learn, of the ridge 1 / alpha, on centred features of unit spread.

    >>> Cav(pooling="none", solver="ridge").supervision
    'concept images'
    """

    citation = "Kim et al. 2018, arXiv 1711.11279"
    supervision = "concept images"

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling, and `details["accuracy"]`, balanced, out of fold.

        A concept that the features do not separate gets a zero vector.
        """
        design = sample.design()
        vectors, bias = self.classifier.solve(design, sample.present).restored()
        accuracy = balanced_accuracy(out_of_fold(self.classifier, design, sample), sample.present)
        return directions(sample, vectors, bias, self.pooling, {"accuracy": accuracy})

    def solve_samples(self, sample: Sample, counts: Tensor) -> Sequence[Directions]:
        """Return the directions of S samples [S, N], all problems solved at once; no accuracies."""
        concepts = len(sample.concepts.names)
        present = sample.present.repeat(1, len(counts))  # [N, S K]
        often = counts.to(present.device).T.repeat_interleave(concepts, 1)
        planes = self.classifier.solve(sample.design(), present, often, resampled=True)
        return in_parts(sample, *planes.restored(), self.pooling, concepts)
