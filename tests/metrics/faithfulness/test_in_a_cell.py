"""Faithfulness through the harness: families, batches, what is shared between methods, and what is made anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import ambench
from ambench import answer as answers
from ambench import judge, registry, sharing, workbench
from ambench.core import (
    AttributionMethod,
    Concepts,
    Directions,
    Heatmaps,
    Model,
    Portraits,
    ProbeMethod,
    Randomness,
    SynthesisMethod,
)
from ambench.judge import Verdict
from ambench.plan import Cell, Given
from ambench.toy import Squares, network

METRICS = (
    "insertion",
    "deletion",
    "road",
    "infidelity:draws=16",
    "sensitivity_max:draws=2",
    "randomisation:stages=2",
    "complexity_rise:draws=1",
)
EXPLAINED: list[tuple[str, tuple[str, ...]]] = []
FITTED: list[str] = []


@dataclass(frozen=True)
class Watched(AttributionMethod):
    """Saliency that notes what it explains."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        EXPLAINED.append((model.weights, randomness.ids))
        return registry.load("methods", "saliency").attribute(model, images, targets, concepts, randomness)


@dataclass(frozen=True)
class WatchedProbe(ProbeMethod):
    """Mean differences of features; notes what it is fitted to."""

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        FITTED.append(model.weights)
        return registry.load("methods", "pattern_cav").fit(model, concepts, randomness)


@dataclass(frozen=True)
class WatchedPortraits(SynthesisMethod):
    """Pure colours, brighter where the network's first weight is larger; notes what it is made for."""

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        FITTED.append(model.weights)
        images = 0.9 * torch.eye(3)[units][:, :, None, None].expand(-1, -1, 16, 16)
        return Portraits(images, units, torch.ones(3, dtype=torch.bool), torch.zeros(3, 1))


GIVEN = Given(
    models={"toy": network()},
    methods={"watched": Watched(), "probe": WatchedProbe(), "portraits": WatchedPortraits()},
    datasets={"squares": Squares(count=30)},
)


def judged(method: str, *metrics: str, batch: int = 64, given: Given = GIVEN) -> dict[str, Verdict]:
    bench = workbench.load(Cell("quality", "toy", method, "squares", metrics, batch_size=batch), given)
    found = answers.answer(bench, None)
    return {verdict.spec: verdict for verdict in judge.judge(bench, found)}


# ------------------------------------------------------------------------------------------------ every family


@pytest.mark.parametrize("method", ["saliency", "watched", "probe", "portraits", "random_map:grid=pixel"])
def test_every_family_has_every_value_whatever_the_batch(method: str) -> None:
    whole, part = judged(method, *METRICS), judged(method, *METRICS, batch=7)
    assert set(whole) == set(METRICS)
    for spec, verdict in whole.items():
        assert verdict.reason is None, (spec, verdict.reason)
        assert verdict.values is not None
        other = part[spec].values
        assert other is not None
        assert torch.equal(verdict.values.defined, other.defined)
        tolerance = 0.05 if spec.startswith("complexity") else 1e-5  # a value on the edge of a bin may change sides
        torch.testing.assert_close(verdict.values.values, other.values, rtol=0, atol=tolerance)
        count = min(30, registry.load("metrics", spec).limit or 30)
        assert verdict.values.values.shape == (count, 3)
        assert verdict.values.defined[count // 2 :].any()


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["saliency", "probe"])
def test_a_gpu_says_what_a_processor_says(method: str) -> None:
    cells = [Cell("quality", "toy", method, "squares", METRICS, device=device) for device in ("cpu", "cuda")]
    found = []
    for cell in cells:
        model = network()
        model.network.to(cell.device)
        given = replace(GIVEN, models={"toy": model})
        bench = workbench.load(cell, given)
        found.append({v.spec: v for v in judge.judge(bench, answers.answer(bench, None))})
    for spec in METRICS:
        one, other = (verdicts[spec].values for verdicts in found)
        torch.testing.assert_close(one.values, other.values.cpu(), rtol=0, atol=0.05 if "complexity" in spec else 1e-3)


def test_rows_say_what_they_are() -> None:
    results = ambench.evaluate(network(), ["saliency", "pattern_cav"], Squares(count=30), list(METRICS), jobs=0)
    frame: pd.DataFrame = results.to_frame()
    assert set(frame.status) == {"ok"}
    assert set(frame[frame.concept == "all"].metric) == set(METRICS)


# ------------------------------------------------------------------------------------------------ what is asked for


def test_maps_are_not_made_for_calibration_unless_a_probe_needs_it() -> None:
    EXPLAINED.clear()
    judged("watched", "insertion", "deletion", "road")
    assert {name.split("-")[0] for _, ids in EXPLAINED for name in ids} == {"test"}
    EXPLAINED.clear()
    judged("watched", "insertion", "normal_accuracy")
    assert {name.split("-")[0] for _, ids in EXPLAINED for name in ids} == {"test", "calibrate"}


@pytest.mark.parametrize("method", ["probe", "portraits"])
def test_fits_and_portraits_are_made_anew_once_for_each_network(method: str) -> None:
    FITTED.clear()
    judged(method, "randomisation:stages=2,draws=2", "complexity_rise:draws=3", batch=5)
    assert FITTED[0] == network().weights
    assert len(FITTED) == len(set(FITTED)) == 1 + 2 * 2 + 1  # the last stages are the first networks of the other


def test_a_probe_of_random_features_is_no_longer_the_same_map() -> None:
    similar = judged("probe", "randomisation")["randomisation"].values
    assert similar is not None
    assert similar.values[similar.defined].mean() < 0.9


def test_a_probe_is_judged_by_its_own_direction() -> None:
    """The mean colour put in for all of red's own heat takes the probe's logit away."""
    bench = workbench.load(Cell("quality", "toy", "probe", "squares", ("deletion",)), GIVEN)
    found = answers.answer(bench, None)
    case = next(bench.cases())
    given = judge.trial(bench, found, case, found.localise(case.images, case))
    assert given.directions is found.explanation
    assert judge.trial(bench, answers.Answer(None, found.localise, 0.0), case, given.explanation).directions is None
    upright = judged("probe", "deletion")["deletion"].values
    turned = replace(found.explanation, vectors=-found.explanation.vectors, bias=-found.explanation.bias)

    @dataclass(frozen=True)
    class Turned(ProbeMethod):
        def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
            return turned

    given_turned = replace(GIVEN, methods={"probe": Turned()})
    other = judged("probe", "deletion", given=given_turned)["deletion"].values
    assert upright.values[upright.defined].mean() < 0.5 < other.values[other.defined].mean()


# ------------------------------------------------------------------------------------------------ what is shared


def test_a_store_belongs_to_one_network_and_the_names_and_pixels_of_one_case() -> None:
    model, case = network(), next(iter(Squares(count=8)))
    store = sharing.lasting(model, case)
    store["key"] = 1
    assert sharing.lasting(network(), next(iter(Squares(count=8)))) is store
    assert sharing.lasting(network(2.0), case) is not store
    assert sharing.lasting(model, replace(case, images=1 - case.images)) is not store
    assert sharing.lasting(model, replace(case, ids=tuple(reversed(case.ids)))) is not store
    assert sharing.lasting(model, case.select(range(4))) is not store
    with torch.no_grad():
        model.network[3].weight.data.mul_(2)
    assert sharing.lasting(model, case) is not store
    for number in range(sharing.CASES):
        sharing.lasting(network(), replace(case, ids=tuple(f"{number}-{name}" for name in case.ids)))
    assert sharing.lasting(network(), case) is not store  # long ago
    assert len(sharing._lasting) <= sharing.CASES


def test_two_methods_share_what_no_map_decides_and_nothing_else() -> None:
    """Together or alone, in either order: the same values, and the second method asks less of the network."""
    passed: dict[str, int] = {}

    def counted(method: str) -> dict[str, Any]:
        toy, seen = network(), []
        hook = toy.network.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
        given = replace(GIVEN, models={"toy": toy})
        found = judged(method, "insertion", "deletion", "infidelity:draws=16", given=given)
        hook.remove()
        passed[method] = sum(seen)
        return {spec: verdict.values.values.numpy() for spec, verdict in found.items()}

    sharing._lasting.clear()
    first, second = counted("random_map:grid=pixel"), counted("watched")
    sharing._lasting.clear()
    alone = counted("watched")
    assert all(np.array_equal(second[spec], alone[spec]) for spec in alone)
    assert not np.array_equal(first["infidelity:draws=16"], second["infidelity:draws=16"])
    saved = passed["watched"]
    sharing._lasting.clear()
    counted("random_map:grid=pixel")
    counted("watched")
    assert saved - passed["watched"] == 30 * 17 + 30 + 30 + 1  # falls, images, blurred images, the mean colour
