"""A cell's things, loaded and fitted to one another: model, method, dataset, examples, units, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from ambench import models
from ambench.core import Case, Concepts, Dataset, Method, Metric, Model, Pairs, Part, ProbeMethod, Randomness, Truth
from ambench.naming import answers_categories
from ambench.plan import NOTHING_GIVEN, Cell, Given


@dataclass(frozen=True, eq=False)
class Workbench:
    """What one cell works with; `batch_size` may be halved by whoever runs it when memory runs out."""

    cell: Cell
    model: Model
    method: Method
    dataset: Dataset
    metrics: tuple[Metric[Any], ...]
    given: Given
    batch_size: int

    @property
    def randomness(self) -> Randomness:
        """The method's randomness in this cell: keyed by seed, method, model and dataset."""
        return Randomness((self.cell.seed, self.cell.method, self.cell.model, self.cell.dataset))

    @cached_property
    def concepts(self) -> Concepts:
        """The examples that the method may learn from, on the model's device."""
        return _examples(self.dataset, "fit").to(self.model.device)

    @cached_property
    def units(self) -> Tensor:
        """The output unit of each concept [K]; -1 where the model has none (probes do not ask for one)."""
        units = [self.model.units.get(name, -1) for name in self.dataset.names]
        return torch.tensor(units, device=self.model.device)

    @cached_property
    def panel(self) -> tuple[Model, ...]:
        """The suite's other models, on the same device."""
        names = [name for name in self.cell.panel if name != self.cell.model]
        return tuple(resolve_model(name, self.cell.device, self.given) for name in names)

    def cases(self) -> Iterator[Case]:
        """Yield the test part in batches, up to the cell's limit, on the model's device."""
        left = self.cell.limit
        for case in self.dataset:
            short = case if left is None or left >= len(case) else case.select(range(left))
            yield from batches(short, self.batch_size, self.model.device)
            left = None if left is None else left - len(short)
            if left == 0:
                return

    def calibration_cases(self) -> Iterator[Case]:
        """Yield the calibration part in batches; every concept is asked of every image."""
        case = as_case(_examples(self.dataset, "calibrate"))
        yield from batches(case, self.batch_size, self.model.device) if len(case) else ()


def load(cell: Cell, given: Given = NOTHING_GIVEN) -> Workbench:
    """Return a cell's workbench; raises InputError or Skipped with the reason."""
    model = resolve_model(cell.model, cell.device, given)
    method: Method = given.load("methods", cell.method)
    dataset = sized(given.load("datasets", cell.dataset), model)
    metrics = tuple(given.load("metrics", name) for name in cell.metrics)
    bench = Workbench(cell, model, method, dataset, metrics, given, cell.batch_size)
    missing = [name for name in dataset.names if name not in model.units]
    if not missing or isinstance(method, ProbeMethod):
        return bench
    if answers_categories(model, missing) and not len(bench.concepts):
        return replace(bench, model=models.with_categories(model, missing))
    randomness = Randomness((cell.seed, "probe units", cell.model, cell.dataset))
    grafted = models.with_probe_units(model, bench.concepts, missing, randomness)
    return replace(bench, model=grafted)


def resolve_model(name: str, device: str, given: Given) -> Model:
    """Return a model by name, or the object handed in under that name."""
    known = given.models.get(name)
    return known if isinstance(known, Model) else models.resolve(name, device)


def sized(dataset: Dataset, model: Model) -> Dataset:
    """Return the dataset with an input size left open (None) set to the model's, and its channels too."""
    if getattr(dataset, "size", 0) is not None or len(model.input_shape) != 3:
        return dataset
    channels, height, width = model.input_shape
    changes: dict[str, Any] = {"size": (height, width), "channels": channels}
    return replace(dataset, **changes)  # type: ignore[type-var]


def as_case(concepts: Concepts) -> Case:
    """Return examples as a case in which every concept is asked of every image."""
    targets = torch.arange(len(concepts.names)).expand(len(concepts), -1)  # [N, K]
    ids = concepts.ids or tuple(f"example-{i}" for i in range(len(concepts)))
    return Case(concepts.images, targets, Truth(concepts.present, concepts.masks), ids)


def batches(case: Case, size: int, device: torch.device) -> Iterator[Case]:
    """Yield a case in pieces of at most `size` images, on a device."""
    for start in range(0, len(case), size):
        yield case.select(range(start, min(start + size, len(case)))).to(device)


@lru_cache(maxsize=8)
def _examples(dataset: Dataset, part: Part) -> Concepts:
    """Datasets compare by their settings, so a worker that runs several cells reads or draws each part once."""
    return dataset.concepts(part)


@lru_cache(maxsize=8)
def pairs_of(dataset: Dataset, concept: str, count: int) -> Pairs | None:
    """Return a dataset's pairs; they too are drawn once for several cells."""
    return dataset.pairs(concept, count)
