"""What a classifier says of examples that it was not fitted to."""

from __future__ import annotations

import torch
from torch import Tensor

from ._classifier import Classifier
from ._design import Design
from ._examples import FOLDS, folds
from ._probe import Sample


def out_of_fold(
    classifier: Classifier, design: Design, sample: Sample, present: Tensor | None = None, used: Tensor | None = None
) -> Tensor:
    """Return the logit of each example for each concept [N, K], by a classifier fitted to the other folds.

    `present` [N, K] (None: the concepts') is what is told apart, among the examples `used` [N, K] bool.
    """
    shown = sample.present if present is None else present
    fold = folds(sample.concepts, shown)
    learnt = torch.cat([fold != number for number in range(FOLDS)], 1)  # [N, FOLDS K]
    counts = learnt if used is None else learnt & used.repeat(1, FOLDS)
    planes = classifier.solve(design, shown.repeat(1, FOLDS), counts, rough=True)
    return planes.logits.masked_fill(learnt, 0).reshape(len(fold), FOLDS, -1).sum(1)
