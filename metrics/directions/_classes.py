"""Which classes a concept's scores may be read of."""

from __future__ import annotations

from torch import Tensor

from ambench.core import Directions


def classes_seen(tested: Directions) -> Tensor:
    """Return which pairs of class and concept [N, K] hold: the class has images, and the concept's probe is no coin."""
    images, chance = tested.details["images"], tested.details["chance"]
    return (images[:, None] > 0) & ~chance.bool()[None]
