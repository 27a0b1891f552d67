"""Images with what they show: examples for methods, truth for metrics, and the cases of a test part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor

Part = Literal["fit", "calibrate"]


@dataclass(frozen=True, eq=False)
class Concepts:
    """All that a method may learn from: images [N, *input], what they show [N, K] bool, masks [N, K, *extent] or None.

    `keeps` names, per concept, the augmentations that leave it what it is (None: all of them do). `contexts` [N, K]
    bool tells where each concept is usual (None: unknown); only methods whose supervision says so may read it. `bounds`
    are the least and the greatest value: 0 and 1, or those of the examples where inputs keep units of their own.
    """

    names: tuple[str, ...]
    images: Tensor
    present: Tensor
    masks: Tensor | None = None
    ids: tuple[str, ...] = ()
    keeps: Mapping[str, tuple[str, ...]] | None = None
    contexts: Tensor | None = None
    bounds: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def mean(self) -> Tensor:
        """The mean value of each channel [C], the middle of the bounds where there are no images."""
        if not len(self.images):
            return torch.full((self.images.shape[1],), sum(self.bounds) / 2, device=self.images.device)
        return self.images.mean([0, *range(2, self.images.ndim)])  # [C]

    def positives(self, concept: int) -> Tensor:
        """Return the images that show concept number `concept` [n, *input]."""
        return self.images[self.present[:, concept]]

    def negatives(self, concept: int) -> Tensor:
        """Return the images that do not show it [n, *input]."""
        return self.images[~self.present[:, concept]]

    def map(self, change: Callable[[Tensor], Tensor]) -> Concepts:
        """Return the same examples with `change` applied to every tensor they have."""
        masks, contexts = (None if part is None else change(part) for part in (self.masks, self.contexts))
        present = change(self.present)
        return replace(self, images=change(self.images), present=present, masks=masks, contexts=contexts)

    def to(self, device: torch.device | str) -> Concepts:
        """Return the same examples on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def select(self, rows: Tensor) -> Concepts:
        """Return some of the examples, in the order of `rows` [n] long; one may be there several times."""
        ids = tuple(self.ids[row] for row in rows.tolist()) if self.ids else ()
        return replace(self.map(lambda tensor: tensor[rows.to(tensor.device)]), ids=ids)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a metric may check against; methods never receive it. None means that the dataset does not know.

    present [B, T] bool; masks [B, T, *extent] bool; distractors [B, *extent] bool: certainly none of the concepts;
    object [B, *extent] bool: the whole thing shown; surface [B, *extent] bool: where its texture shows;
    hard [B, T] bool: context and concept disagree; weight [B, T]: how much more often such a pair occurs where the
    examples come from than here; shape, texture [B]: class index by each cue.
    """

    present: Tensor
    masks: Tensor | None = None
    distractors: Tensor | None = None
    object: Tensor | None = None
    surface: Tensor | None = None
    hard: Tensor | None = None
    weight: Tensor | None = None
    shape: Tensor | None = None
    texture: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Truth:
        """Return the truth with `change` applied to every tensor it has."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: change(value) for name, value in known.items()})


@dataclass(frozen=True, eq=False)
class Case:
    """Some images of a dataset's test part and what is asked of them.

    images [B, *input] in [0, 1], or in units of their own (`Concepts.bounds`); targets [B, T] long: which of the
    dataset's K concepts are asked of each image; ids [B]: unique and stable names of the images.
    """

    images: Tensor
    targets: Tensor
    truth: Truth
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: Sequence[int]) -> Case:
        """Return some of the images, in the order of `rows`."""
        index = torch.as_tensor(list(rows), dtype=torch.long)
        return Case(
            self.images[index.to(self.images.device)],
            self.targets[index.to(self.targets.device)],
            self.truth.map(lambda tensor: tensor[index.to(tensor.device)]),
            tuple(self.ids[row] for row in rows),
        )

    def to(self, device: torch.device | str) -> Case:
        """Return the same case on another device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device)

        return replace(self, images=move(self.images), targets=move(self.targets), truth=self.truth.map(move))


@dataclass(frozen=True, eq=False)
class Pairs:
    """The same n images with a concept and without it [n, *input], and where it is [n, *extent]."""

    shown: Tensor
    hidden: Tensor
    mask: Tensor


class Dataset(ABC):
    """Three disjoint parts: `fit` (what methods see), `calibrate` (thresholds), and the test part, by iteration.

    A dataset is a frozen dataclass whose fields are its settings; iterating twice gives the same cases.
    """

    name: ClassVar[str]
    citation: ClassVar[str] = "ambench"

    @property
    @abstractmethod
    def revision(self) -> str:
        """Version of the data: same revision and settings, same pixels."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The K concepts, in the order that `Case.targets` counts them."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that `Truth.shape` and `Truth.texture` index (empty: they are not known)."""
        return ()

    @abstractmethod
    def concepts(self, part: Part) -> Concepts:
        """Return the examples of one of the two parts that methods and thresholds may use."""

    @abstractmethod
    def __iter__(self) -> Iterator[Case]:
        """Yield the test part."""

    def pairs(self, concept: str, count: int) -> Pairs | None:
        """Return at most `count` images that differ in one concept only; None where the dataset has none."""
        return None
