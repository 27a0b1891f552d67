"""A probe that has never seen the concept: trained on what fools the probe that has (Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench.core import Directions, InputError

from ._classified import ClassifierProbe
from ._false_positives import FalsePositives
from ._probe import Sample, directions


@dataclass(frozen=True)
class FpCav(ClassifierProbe):
    """A CAV whose positives are the images without the concept that `cav`, fitted to others, took for it.

    The negatives are the other images without it: no image that shows the concept is used. If it scores like the
    probe itself, then being accurate says little about the concept (arXiv 2511.04312). A concept with fewer false
    positives than `fewest` gets no direction, and its row says how many there were. `hard_negatives` takes the quarter
    with the highest scores as positives instead: there are always enough of those, but they need have fooled nobody.
    `layer`, `pooling`, `solver`, `inverse_penalty` and `chunk` are those of the `cav` that it stands beside.

    >>> FpCav(layer="layer2").control
    True
    """

    citation = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"
    supervision = "concept images"
    control = True

    fewest: int = 30
    hard_negatives: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fewest < 2:
            raise InputError(f"fewest is a number of examples from 2 up, not {self.fewest}")

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling; Skipped if no concept has enough false positives.

        `details["false_positives"]` counts them, `details["cosine"]` is that with the probe itself.
        """
        found = FalsePositives.of(self.classifier, sample, self.fewest, self.hard_negatives)
        details: dict[str, Tensor] = {"false_positives": found.counts, "cosine": found.cosine}
        made = directions(sample, found.vectors, found.bias, self.pooling, details)
        return Directions(made.vectors, made.bias, made.layer, made.pooling, made.details, found.missing)
