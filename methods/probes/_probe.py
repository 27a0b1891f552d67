"""What linear probes share: examples read once at a layer, and fits to them or to other samples of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ambench.activations import Activations, Held, Read, read
from ambench.core import Concepts, Directions, InputError, Model, Pooling, ProbeMethod, Randomness

from ._design import Design
from ._examples import refuse_broken, refuse_too_few


@dataclass(frozen=True, eq=False)
class Sample:
    """Examples of concepts and their activations at a layer; of another sample, some are there several times."""

    concepts: Concepts
    activations: Activations
    layer: str
    randomness: Randomness

    @property
    def present(self) -> Tensor:
        """Which example shows which concept [N, K], where the activations are."""
        return self.concepts.present

    def design(self) -> Design:
        """Return the standard features; raises InputError for an example whose features are not finite."""
        return Design.of(self.activations, self.check)

    def check(self, block: Tensor, rows: slice) -> None:
        """Raise InputError for an example whose features, a row of the block [n, F], are not finite."""
        refuse_broken(block, rows, self.concepts, self.layer)

    def by_name(self) -> Sample:
        """Return the sample in the order of the examples' names."""
        ids = self.concepts.ids
        return self.select(torch.tensor(sorted(range(len(ids)), key=ids.__getitem__))) if ids else self

    def select(self, rows: Tensor) -> Sample:
        """Return the sample of some rows [n]."""
        picked = Held(self.activations.whole()[rows.to(self.concepts.images.device)])
        return replace(self, concepts=self.concepts.select(rows), activations=picked)


class Probe(ProbeMethod):
    """A probe that learns from activations alone, pooled in one way at one layer."""

    layer: str | None
    chunk: int

    @property
    @abstractmethod
    def features(self) -> Pooling:
        """How the activations that it learns from are pooled."""

    @abstractmethod
    def solve(self, sample: Sample) -> Directions:
        """Return the directions that a sample's examples give."""

    def reads(self, model: Model) -> tuple[Read, ...]:
        """Return what it will read, so that several probes can share a forward."""
        return (Read(model.at(self.layer).name, self.features),)

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return the directions of all examples; Skipped with fewer than five examples on either side."""
        self.require(concepts)
        return self.solve(self.arranged(self.sample(model, concepts, randomness)))

    def require(self, concepts: Concepts) -> None:
        """Raise Skipped for a concept with too few examples: it takes five with it and five without."""
        refuse_too_few(concepts)

    def arranged(self, sample: Sample) -> Sample:
        """Return a sample in the order that it is learnt in: as it is, where the order makes no difference."""
        return sample

    def refit(self, model: Model, concepts: Concepts, counts: Tensor, randomness: Randomness) -> Sequence[Directions]:
        """Return the directions of S other samples, counts [S, N], from activations that are read once."""
        return self.solve_samples(self.sample(model, concepts, randomness), counts)

    def solve_samples(self, sample: Sample, counts: Tensor) -> Sequence[Directions]:
        """Return the directions of each of S samples [S, N], one after another."""
        every = torch.arange(counts.shape[1])
        picked = (every.repeat_interleave(count.long().cpu()) for count in counts)
        return [self.solve(self.arranged(sample.select(rows))) for rows in picked]

    def sample(self, model: Model, concepts: Concepts, randomness: Randomness) -> Sample:
        """Return the examples with their activations, `chunk` read at a time."""
        if self.chunk < 1:
            raise InputError("a probe needs a chunk of at least 1")
        wanted = self.reads(model)[0]
        found = read(model, concepts.images, [wanted], self.chunk)[wanted]
        return Sample(concepts, found, wanted.layer, randomness)


def directions(
    sample: Sample,
    vectors: Tensor,
    bias: Tensor,
    pooling: Pooling,
    details: Mapping[str, Tensor] | None = None,
) -> Directions:
    """Return unit vectors [K, F] as Directions of a sample's layer, with the features' own shape."""
    shaped = vectors.reshape(-1, *sample.activations.shape[1:])
    return Directions(shaped.float(), bias.float(), sample.layer, pooling, details or {})


def in_parts(sample: Sample, vectors: Tensor, bias: Tensor, pooling: Pooling, size: int) -> list[Directions]:
    """Return vectors [S K, F] as the Directions of S samples, `size` concepts each."""
    parts = zip(torch.split(vectors, size), torch.split(bias, size), strict=True)
    return [directions(sample, part, shift, pooling) for part, shift in parts]
