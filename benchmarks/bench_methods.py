"""Every registered method on one embedded network, on one thread: what `pytest benchmarks` times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import pytest
import torch

from ambench import models, registry
from ambench.core import (
    AttributionMethod,
    Case,
    Concepts,
    Method,
    Model,
    ProbeMethod,
    Randomness,
    Skipped,
    SynthesisMethod,
)

IMAGES = 8
STEPS = 16  # of synthesis: enough to time a step


@dataclass(frozen=True, eq=False)
class Bench:
    """What all methods are timed on."""

    model: Model
    concepts: Concepts
    case: Case
    units: torch.Tensor


@cache
def bench() -> Bench:
    model = models.resolve("cnn")
    dataset = registry.load("datasets", f"shapes:fit=128,test={IMAGES}")
    case = next(iter(dataset)).select(range(IMAGES))
    units = torch.tensor([model.units[name] for name in dataset.names])
    return Bench(model, dataset.concepts("fit"), case, units)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", registry.names("methods"))
def test_method(benchmark: Any, name: str) -> None:
    method = registry.load("methods", name)
    if "steps" in {field.name for field in fields(method)} and isinstance(method, SynthesisMethod):
        method = replace(method, steps=STEPS)
    benchmark.group = method.family
    try:
        benchmark.pedantic(explain, (method, bench()), rounds=5, warmup_rounds=1)
    except Skipped as reason:
        pytest.skip(str(reason))


def explain(method: Method, here: Bench) -> object:
    """Do what the method does: explain eight images, or fit all concepts, or synthesise all of them."""
    randomness = Randomness((0, "benchmark"), here.case.ids)
    if isinstance(method, AttributionMethod):
        return method.attribute(here.model, here.case.images, here.units[here.case.targets], here.concepts, randomness)
    if isinstance(method, ProbeMethod):
        return method.fit(here.model, here.concepts, randomness)
    assert isinstance(method, SynthesisMethod)
    return method.synthesise(here.model, here.units, here.concepts, randomness)
