"""A direction learnt from the cells that a concept's mask covers (after Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench.activations import Held
from ambench.core import Concepts, Directions, InputError, Pooling, Skipped

from ._cells import Cells, coverage
from ._classifier import Classifier, Solver
from ._design import Design
from ._examples import FEWEST, FOLDS, balanced_accuracy, folds
from ._probe import Probe, Sample


@dataclass(frozen=True)
class SegmentationCav(Probe):
    """A linear classifier of a layer's cells, inside a concept's mask against outside it.

    Ours, after arXiv 2511.04312; a precedent is Net2Vec (arXiv 1801.03454). A cell is inside from a share `covered` of
    it up, outside where nothing of it is; the rest is left out, and there are about four cells outside for each inside.
    A concept too small to cover any cell by that share is stood for by its best cell. An image's score is the largest
    of its cells' (`score`: or their mean). `spatial` instead learns a weight for each cell, from images times the mask
    against images times what is left. `solver` and `inverse_penalty` as in `cav`, `layer` and `chunk` too.

    >>> SegmentationCav().supervision
    'concept images and masks'
    """

    citation = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312; Fong & Vedaldi 2018, arXiv 1801.03454"
    supervision = "concept images and masks"

    layer: str | None = None
    score: Literal["peak", "mean"] = "peak"
    covered: float = 0.25
    spatial: bool = False
    solver: Solver = "logistic"
    inverse_penalty: float | None = None
    chunk: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.covered <= 1:
            raise InputError(f"covered is a share of a cell above 0 and at most 1, not {self.covered}")
        self._classifier  # noqa: B018 - refuses a penalty that is none

    @property
    def features(self) -> Pooling:
        """Cells, not pooled."""
        return "none"

    @property
    def _classifier(self) -> Classifier:
        return Classifier(self.solver, self.inverse_penalty, "none" if self.spatial else "mean")

    def require(self, concepts: Concepts) -> None:
        """Raise Skipped for a concept that fewer than five examples show; what is outside is in the same images."""
        for name, shown in zip(concepts.names, concepts.present.sum(0).tolist(), strict=True):
            if shown < FEWEST:
                raise Skipped(f"a segmentation probe needs {FEWEST} examples with '{name}'; there are {shown}")

    def arranged(self, sample: Sample) -> Sample:
        """Return a sample by name where stochastic gradients would learn something else from another order."""
        return sample.by_name() if self.solver == "sgd" else sample

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] if `spatial`; `details["accuracy"]` is of cells, out of fold.

        `details["rescued"]` counts images whose concept covers no cell by the share asked for, `details["dropped"]`
        those that show a concept without a mask of it. Raises Skipped without masks that cover a cell.
        """
        if self.spatial:
            return self._spatial(sample)
        cells = Cells.of(sample, self.covered)
        design = Design.of(Held(cells.features))
        vectors, bias = self._classifier.solve(design, cells.inside, cells.used).restored()
        details = {
            "accuracy": self._accuracy(design, cells, sample),
            "rescued": cells.rescued,
            "dropped": cells.dropped,
        }
        return Directions(vectors.float(), bias.float(), sample.layer, self.score, details)

    def _accuracy(self, design: Design, cells: Cells, sample: Sample) -> Tensor:
        """Return the balanced accuracy [K] on cells of images that a probe fitted to the others has not seen."""
        fold = folds(sample.concepts)[cells.image]  # [M, K]: an image's cells stay together
        learnt = torch.cat([fold != number for number in range(FOLDS)], 1)
        counts = learnt & cells.used.repeat(1, FOLDS)
        planes = self._classifier.solve(design, cells.inside.repeat(1, FOLDS), counts, rough=True)
        logits = planes.logits.masked_fill(learnt, 0).reshape(len(fold), FOLDS, -1).sum(1)
        return balanced_accuracy(logits, cells.inside, cells.used)

    def _spatial(self, sample: Sample) -> Directions:
        """Return directions with a weight for each cell: what lies under the mask against what does not."""
        cover = coverage(sample).double()  # [N, K, cells]
        grid = sample.activations.whole().double()
        sample.check(grid.flatten(1), slice(None))
        flat = grid.flatten(2)  # [N, C, cells]
        vectors, bias = [], []
        for number in range(cover.shape[1]):
            shown = cover[:, number].any(1)
            under = cover[shown, number][:, None]
            parts = torch.cat([flat[shown] * under, flat[shown] * (1 - under)])
            label = torch.arange(len(parts), device=parts.device)[:, None] < len(parts) // 2
            solved = self._classifier.solve(Design.of(Held(parts)), label).restored()
            vectors.append(solved[0].reshape(grid.shape[1:]))
            bias.append(solved[1][0])
        return Directions(torch.stack(vectors).float(), torch.stack(bias).float(), sample.layer, "none")
