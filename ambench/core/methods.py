"""What explains a model: one class for each family of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core.data import Concepts
from ambench.core.explanations import Directions, Pooling, Portraits, Scores
from ambench.core.model import Model
from ambench.core.randomness import Randomness


class Method(ABC):
    """What explains a model. A method is a frozen dataclass in a file of its own name; its fields are its settings."""

    family: ClassVar[Literal["synthesis", "probes", "attribution"]]
    citation: ClassVar[str] = "ambench"
    supervision: ClassVar[str] = "nothing"  # what it was given: nothing | contrast images | concept images | masks …
    control: ClassVar[bool] = False  # its results are floors, not contenders
    stochastic: ClassVar[bool] = False  # another seed may change its answer


class SynthesisMethod(Method):
    """Makes portraits of output units."""

    family = "synthesis"

    @abstractmethod
    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return at least one portrait of each of the units [K]."""


class ProbeMethod(Method):
    """Finds a direction for each concept."""

    family = "probes"

    @abstractmethod
    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return K directions, in the order of `concepts.names`."""

    def reads(self, model: Model) -> Sequence[tuple[str, Pooling]]:
        """Return the layers and poolings that `fit` will read: whoever says so shares one forward with other probes."""
        return ()

    def refit(self, model: Model, concepts: Concepts, counts: Tensor, randomness: Randomness) -> Sequence[Directions]:
        """Return the directions of S other samples: counts [S, N] say how often each example is in each of them.

        This one fits each sample anew; a probe that can solve many problems at once does better.
        """
        every = torch.arange(len(concepts))
        samples = (every.repeat_interleave(count.cpu()) for count in counts)
        return [self.fit(model, concepts.select(rows), randomness) for rows in samples]


class AttributionMethod(Method):
    """Says of each image how much of the concept it shows, and where."""

    family = "attribution"

    @abstractmethod
    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Scores:
        """Return the answer for images [B, *input] and output units `targets` [B, T]; Heatmaps where there are maps."""
