"""A probe without what fools it: the rejection of its false positives' direction (Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Directions, InputError, Skipped
from ambench.explanations import normalised

from ._classified import ClassifierProbe
from ._false_positives import FalsePositives
from ._probe import Sample, directions


@dataclass(frozen=True)
class CuredCav(ClassifierProbe):
    """`cav` less its projection on `fp_cav`, at unit length (arXiv 2511.04312).

    In few dimensions the two are nearly the same by construction, and what is left is noise: above a cosine of
    `most_alike` a concept has no direction, and its row says so. The other settings are those of `fp_cav`.

    >>> CuredCav().fewest
    30
    """

    citation = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"
    supervision = "concept images"

    fewest: int = 30
    most_alike: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fewest < 2:
            raise InputError(f"fewest is a number of examples from 2 up, not {self.fewest}")
        if not 0 < self.most_alike <= 1:
            raise InputError(f"most_alike is a cosine above 0 and at most 1, not {self.most_alike}")

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling; `details["cosine"]` is that of `cav` with `fp_cav`.

        Raises Skipped where no concept has a false-positive direction that leaves anything of the probe.
        """
        found = FalsePositives.of(self.classifier, sample, self.fewest)
        missing = dict(found.missing)
        for number, cosine in enumerate(found.cosine.tolist()):
            if number not in missing and abs(cosine) > self.most_alike:
                name = sample.concepts.names[number]
                missing[number] = f"the probe of '{name}' and of its false positives are one (cosine {cosine:.3f})"
        if len(missing) == len(found.counts):
            raise Skipped("; ".join(missing.values()))
        vectors, bias = _rejected(found)
        there = torch.tensor([number not in missing for number in range(len(vectors))], device=vectors.device)
        details = {"false_positives": found.counts, "cosine": found.cosine}
        made = directions(sample, vectors * there[:, None], bias * there, self.pooling, details)
        return Directions(made.vectors, made.bias, made.layer, made.pooling, made.details, missing)


def _rejected(found: FalsePositives) -> tuple[Tensor, Tensor]:
    """Return what is left of the probes [K, F], and their biases.

    The logit v z + b loses <v, f> times the fooler's logit f z + c, so that where that is 0 nothing changes.
    """
    left = found.probe - found.cosine[:, None] * found.vectors
    return normalised(left, found.probe_bias - found.cosine * found.bias)
