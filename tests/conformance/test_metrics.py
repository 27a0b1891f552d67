"""What holds of every registered metric, whatever it computes: a new file is tested because it exists."""

from __future__ import annotations

import doctest
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom
from torch import Tensor

import perturbed
import portrayed
import trials
from ambench import registry
from ambench.core import (
    Case,
    Cost,
    Directions,
    Heatmaps,
    InputError,
    Metric,
    Portraits,
    Predictions,
    Scores,
    Trial,
    Truth,
    Values,
)

EVERY = tuple(registry.names("metrics"))
READS = {name: registry.find("metrics", name).reads for name in EVERY}
OF_PROBES = tuple(name for name in EVERY if registry.find("metrics", name).families == ("probes",))  # own tests
OF_TWINS = tuple(
    name for name in EVERY if hasattr(registry.find("metrics", name), "twin")
)  # of two networks: own tests
OF_IMAGES = tuple(name for name in EVERY if issubclass(READS[name], Scores) and name not in (*OF_PROBES, *OF_TWINS))
WHERE = tuple(name for name in OF_IMAGES if issubclass(READS[name], Heatmaps))
OF_ATTACKS = ("flip_rate", "flipping_radius")  # they read what an attack kept: own tests
OF_PORTRAITS = tuple(name for name in EVERY if READS[name] is Portraits and name not in OF_ATTACKS)
OF_RESTARTS = ("diversity",)  # what it says of a portrait is about its unit's other restarts
OF_SEARCHES = ("evaluations_to_natural", "normalised_best", "search_area")  # they read a curve of evaluations
OF_SERIES = ("roughness", "spectral_distance")  # pictures are not theirs
STEADY = tuple(name for name in OF_IMAGES if hasattr(registry.find("metrics", name), "changes"))  # robustness
JUDGING = tuple(name for name in OF_IMAGES if registry.find("metrics", name).better != "neither")
FAITHFUL = tuple(name for name in OF_IMAGES if ".faithfulness." in registry.find("metrics", name).__module__)
TRUTHFUL = tuple(name for name in JUDGING if name not in (*STEADY, *FAITHFUL) and READS[name] is not Predictions)
QUICK = {"infidelity": "infidelity:draws=16", "sensitivity_max": "sensitivity_max:draws=3"}
COUNT, EXTENT = 24, (8, 6)


def load(name: str) -> Metric[Any]:
    return registry.load("metrics", QUICK.get(name, name))


def answer_for(name: str) -> trials.Answer:
    return trials.predicted if READS[name] is Predictions else trials.seen


def said(name: str, asked: Case, answer: trials.Answer, **more: Any) -> Values:
    values = trials.judged(load(name), asked, answer, **more)
    assert values is not None
    return values


def of_portraits(name: str, trial: Trial[Any]) -> Values:
    asked = portrayed.in_a_row(trial) if name in OF_SERIES else trial
    values = load(name).score(portrayed.searched(asked) if name in OF_SEARCHES else asked)
    assert values is not None
    return values


def same(one: Values, other: Values, exactly: bool) -> bool:
    """Whether values agree; those that `finish` weighs with sums over all images may differ in the last digits."""
    marks = torch.equal(one.defined, other.defined) and torch.equal(one.flat, other.flat)
    close = torch.equal if exactly else lambda a, b: torch.allclose(a, b, rtol=1e-12, atol=1e-12)
    return marks and close(one.values, other.values)


def rows_of(values: Values, rows: Sequence[int]) -> Values:
    return Values(*(getattr(values, name)[list(rows)] for name in ("values", "defined", "flat")))


# ------------------------------------------------------------------------------------------------ what it declares


@pytest.mark.parametrize("name", EVERY)
def test_it_declares_version_direction_range_and_chance(name: str) -> None:
    metric = load(name)
    assert isinstance(metric.version, int)
    assert metric.version >= 1
    assert metric.better in ("higher", "lower", "neither")
    low, high = metric.range
    assert low < high
    assert metric.chance is None or low <= metric.chance <= high
    assert set(metric.needs) <= {field.name for field in fields(Truth)}
    assert metric.citation
    assert issubclass(metric.reads, (Scores, Portraits, Cost)) or metric.reads.__name__ == "Directions"


@pytest.mark.parametrize("name", EVERY)
def test_its_docstring_has_an_example_that_runs(name: str) -> None:
    cls = registry.find("metrics", name)
    examples = doctest.DocTestFinder().find(cls, globs=vars(importlib.import_module(cls.__module__)))
    assert sum(len(example.examples) for example in examples) >= 2
    runner = doctest.DocTestRunner(verbose=False)
    assert sum(runner.run(example).failed for example in examples) == 0


# ------------------------------------------------------------------------------------------------ who else is there


@pytest.mark.parametrize("name", OF_IMAGES)
def test_order_of_images_changes_nothing(name: str) -> None:
    asked = trials.case(COUNT, EXTENT)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).tolist()
    whole = said(name, asked, answer_for(name))
    turned = said(name, asked.select(order), answer_for(name))
    assert same(turned, rows_of(whole, order), exactly=type(load(name)).finish is Metric.finish)


@pytest.mark.parametrize("batch", [1, 5, 23])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_batch_size_changes_nothing(name: str, batch: int) -> None:
    asked = trials.case(COUNT, EXTENT)
    whole = said(name, asked, answer_for(name))
    assert same(said(name, asked, answer_for(name), batch=batch), whole, exactly=True)
    assert whole.defined.any()


@pytest.mark.parametrize("name", OF_IMAGES)
def test_repeated_images_score_what_they_scored(name: str) -> None:
    asked = trials.case(COUNT, EXTENT)
    twice = said(name, asked.select([*range(COUNT), *range(COUNT)]), answer_for(name))
    whole = said(name, asked, answer_for(name))
    exactly = type(load(name)).finish is Metric.finish
    assert same(rows_of(twice, range(COUNT)), whole, exactly)
    assert same(rows_of(twice, range(COUNT, 2 * COUNT)), whole, exactly)


@pytest.mark.parametrize("name", OF_PORTRAITS)
def test_a_portraits_value_does_not_depend_on_its_neighbours(name: str) -> None:
    whole = of_portraits(name, trials.portraits(range(12)))
    units = [7, 2, 11, 1, 5, 10, 8, 4]  # all restarts of two of the three
    for order in (units,) if name in OF_RESTARTS else (units, [7, 2, 11, 0]):
        part = of_portraits(name, trials.portraits(order))
        assert same(part, rows_of(whole, order), exactly=True)
    assert whole.defined.all()
    assert len(set(whole.values.flatten().tolist())) > 1


@pytest.mark.parametrize("name", OF_PORTRAITS)
def test_a_portrait_may_seek_a_direction_that_is_its_unit(name: str) -> None:
    model = replace(
        portrayed.toy.network(), classes=()
    )  # without classes a unit has no rivals, as a direction has none
    direction = Directions(torch.eye(3), torch.zeros(3), "features")  # of a colour's unit, whose logit is 40 times - 2
    unit, sought = (of_portraits(name, portrayed.colours(model, seeks)) for seeks in (None, direction))
    assert same(sought, unit, exactly=False)


@pytest.mark.parametrize("name", OF_PORTRAITS)
def test_dead_portraits_are_counted_and_their_pictures_do_not_matter(name: str) -> None:
    trial, alive = portrayed.colours(), torch.arange(12) % 4 != 1
    dead = replace(trial, explanation=replace(trial.explanation, alive=alive))
    other = trial.case.images.where(alive[:, None, None, None], trial.case.images.flip(1) / 2)
    case, portraits = replace(trial.case, images=other), replace(dead.explanation, images=other)
    values = of_portraits(name, dead)
    assert same(of_portraits(name, replace(dead, case=case, explanation=portraits, shared={})), values, exactly=True)
    assert torch.equal(values.flat[:, 0], ~alive)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_scoring_changes_neither_answer_nor_truth(name: str) -> None:
    asked = trials.case(COUNT, EXTENT)
    answer = answer_for(name)(asked.images, asked)
    tensors = [
        asked.images,
        asked.targets,
        *(v for v in (*vars(asked.truth).values(), *vars(answer).values()) if v is not None),
    ]
    before = [tensor.clone() for tensor in tensors]
    said(name, asked, lambda images, case: answer if len(images) == COUNT else answer_for(name)(images, case))
    assert all(torch.equal(*pair) for pair in zip(before, tensors, strict=True))


# ------------------------------------------------------------------------------------------------ inputs of all kinds


@pytest.mark.parametrize(
    ("channels", "extent"), [(1, (8, 6)), (3, (6, 9)), (4, (8, 8)), (2, (40,)), (1, (5, 4, 3))], ids=str
)
@pytest.mark.parametrize("name", OF_IMAGES)
def test_channels_and_extents_of_all_kinds(name: str, channels: int, extent: tuple[int, ...]) -> None:
    volume = name in STEADY and len(extent) == 3  # noise is the one change that suits it
    asked = trials.case(COUNT, extent, channels)
    values = trials.judged(load(f"{name}:augmentations=noise" if volume else name), asked, answer_for(name))
    assert values.values.shape == values.defined.shape == values.flat.shape == asked.targets.shape
    assert values.values.dtype == torch.float64
    assert values.defined.any()
    assert values.values.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("name", WHERE)
def test_masks_of_numbers_are_masks_of_bools(name: str, dtype: torch.dtype) -> None:
    asked = trials.case(COUNT, EXTENT)
    truth = asked.truth
    numbers = {n: getattr(truth, n).to(dtype) for n in ("present", "masks", "distractors", "object")}
    other = replace(asked, truth=replace(truth, **numbers))
    assert same(said(name, other, trials.seen), said(name, asked, trials.seen), exactly=True)


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if name not in STEADY])
def test_no_images_are_no_values(name: str) -> None:
    asked = trials.case(COUNT, EXTENT).select([])
    values = said(name, asked, answer_for(name))
    assert values.values.shape == (0, 2)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_an_answer_that_is_not_finite_is_refused_by_name(name: str, broken: float) -> None:
    asked = trials.case(COUNT, EXTENT)

    def answer(images: Tensor, case: Case) -> Scores:
        found = answer_for(name)(images, case)
        for tensor in (value for value in vars(found).values() if case.ids[0].startswith("test")):
            tensor[3].fill_(broken)
        return found

    with pytest.raises(InputError, match="image 'test-3'") as caught:
        said(name, asked, answer)
    if READS[name] is not Predictions:
        assert f"concept '{trials.NAMES[0]}'" in str(caught.value)  # the first that image 3 is asked for


@pytest.mark.parametrize("name", OF_IMAGES)
def test_it_returns_none_exactly_when_its_truth_is_missing(name: str) -> None:
    asked = trials.case(COUNT, EXTENT)
    metric, optional = load(name), [f.name for f in fields(Truth) if f.name != "present"]
    for missing in optional:
        truth = replace(asked.truth, **{missing: None})
        values = trials.judged(metric, replace(asked, truth=truth), answer_for(name))
        assert (values is None) == (missing in metric.needs), missing
    bare = replace(
        asked, truth=Truth(asked.truth.present, **{n: getattr(asked.truth, n) for n in metric.needs if n != "present"})
    )
    assert trials.judged(metric, bare, answer_for(name)) is not None


# ------------------------------------------------------------------------------------------------ calibration

CALIBRATED = tuple(name for name in OF_IMAGES if type(load(name)).observe is not Metric.observe)


def learned_from(name: str, asked: Case) -> list[Tensor]:
    learned = trials.learn(load(name), [trials.trial(asked, trials.seen)])
    return [value for value in vars(learned).values() if isinstance(value, Tensor)]


def test_metrics_of_probes_say_nothing_of_other_methods() -> None:
    assert {"stability", "planted_cosine", "control_gap", "control_cosine"} <= set(OF_PROBES)
    asked = trials.case(COUNT, EXTENT)
    for name in (name for name in OF_PROBES if issubclass(READS[name], Scores)):
        assert trials.judged(load(name), asked, trials.seen) is None


def test_some_metrics_calibrate() -> None:
    assert {"normal_accuracy", "hard_accuracy", "decision_retention", "iou"} <= set(CALIBRATED)


@pytest.mark.parametrize("name", CALIBRATED)
def test_what_is_learned_depends_on_the_calibration_part_and_on_nothing_else(name: str) -> None:
    examples = trials.case(60, EXTENT, part="calibrate")
    before = learned_from(name, examples)
    for seed in range(3):  # test images come and go
        said(name, trials.case(COUNT, EXTENT, part=f"test-{seed}"), trials.seen)
    assert all(torch.equal(*pair) for pair in zip(before, learned_from(name, examples), strict=True))
    others = (learned_from(name, trials.case(60, EXTENT, part=f"other-{seed}")) for seed in range(5))
    assert any(not torch.equal(before[0], other[0]) for other in others)


@pytest.mark.parametrize("name", CALIBRATED)
def test_what_is_learned_does_not_depend_on_the_order_or_batches_of_the_examples(name: str) -> None:
    examples = trials.case(60, EXTENT, part="calibrate")
    before = learned_from(name, examples)
    assert all(
        torch.equal(*pair) for pair in zip(before, learned_from(name, examples.select(range(59, -1, -1))), strict=True)
    )
    parts = [trials.trial(examples.select(range(start, start + 20)), trials.seen) for start in (0, 20, 40)]
    learned = trials.learn(load(name), parts)
    assert torch.equal(before[0], next(iter(vars(learned).values())))


# ------------------------------------------------------------------------------------------------ better and worse


def truth_of(sign: int) -> trials.Answer:
    """The whole truth as score and map (1), nothing (0), or the contrary (-1)."""

    def answer(images: Tensor, case: Case) -> Heatmaps:
        masks, present = case.truth.masks.float(), case.truth.present.float()
        graded = torch.linspace(0.0, 0.1, masks[0, 0].numel()).view(
            masks.shape[2:]
        )  # all tied would be no order at all
        maps = {1: masks, 0: torch.zeros_like(masks), -1: 1 - masks + graded}[sign]
        return Heatmaps(sign * present, maps)

    return answer


def steady(sign: int) -> trials.Answer:
    """An answer that stays what it is and moves with the image (1), none (0), or one that turns round (-1)."""

    def answer(images: Tensor, case: Case) -> Heatmaps:
        changed = images.shape != case.images.shape or not torch.equal(images, case.images)
        factor = -1 if sign < 0 and changed else abs(sign)
        maps = images.mean(1, keepdim=True).expand(-1, case.targets.shape[1], *images.shape[2:])
        return Heatmaps(factor * (2 * case.truth.present.float() - 1), factor * maps)

    return answer


def contributions(sign: int) -> trials.Answer:
    """What each pixel adds to the logit of the trials' network (1), nothing (0), or the contrary (-1)."""

    def answer(images: Tensor, case: Case) -> Heatmaps:
        maps = trials.seen(images - 0.5, case).values
        return Heatmaps(maps.flatten(2).amax(2), sign * maps)

    return answer


ANSWERS = dict.fromkeys(TRUTHFUL, truth_of) | dict.fromkeys((*STEADY, "sensitivity_max"), steady)
ANSWERS |= dict.fromkeys(("insertion", "deletion", "road"), contributions)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_right_answer_beats_none_and_none_beats_its_contrary(name: str) -> None:
    asked, answers = trials.case(COUNT, (16, 12)), ANSWERS[name]
    right, none, wrong = (said(name, asked, answers(sign)) for sign in (1, 0, -1))
    up = {"higher": 1, "lower": -1}[load(name).better]
    best, worst = trials.means(right), trials.means(wrong)
    assert up * best > up * worst
    if none.defined.any():
        assert up * best > up * trials.means(none) > up * worst
        assert torch.equal(none.flat, none.defined)
    chance = load(name).chance
    if chance is not None:
        silent = none.values[none.defined]
        assert silent.tolist() == pytest.approx([chance] * len(silent), abs=1e-12)


def expected_of_noise(name: str, metric: Metric[Any], asked: Case) -> float:
    """What a map of noise scores on average: the chance declared, the flat map's value, or a formula where it differs."""
    masks = asked.truth.masks.flatten(2)
    total = masks.shape[2]
    inside = masks.sum(2)[asked.truth.present & masks.any(2) & ~masks.all(2)].numpy()  # pixels of each concept
    if name == "average_precision":
        harmonic, share = sum(1 / place for place in range(1, total + 1)), (inside - 1) / (total - 1)
        return float(np.mean(share + harmonic / total * (1 - share)))
    if name == "iou":
        kept = round(metric.share * total)
        hits = np.arange(kept + 1)[:, None]
        return float((hypergeom.pmf(hits, total, inside, kept) * hits / (kept + inside - hits)).sum(0).mean())
    return trials.means(said(name, asked, truth_of(0)))


@pytest.mark.parametrize("name", [name for name in TRUTHFUL if name != "dataset_iou"])  # its level is learnt from noise
def test_noise_scores_chance(name: str) -> None:
    asked = trials.case(1000, EXTENT)
    spec = "iou:share=0.2" if name == "iou" else name  # what is learned from noise is another share each time
    values = trials.judged(load(spec), asked, trials.unlike)
    scored = values.values[values.defined]
    error = scored.std() / len(scored) ** 0.5
    assert abs(scored.mean() - expected_of_noise(name, load(spec), asked)) < 3 * error


@pytest.mark.parametrize("name", OF_IMAGES)
def test_values_stay_in_the_range(name: str) -> None:
    metric, (low, high) = load(name), load(name).range
    for answer in (trials.unlike, answer_for(name)):
        if READS[name] is Predictions and answer is trials.unlike:
            continue
        values = said(name, trials.case(500, EXTENT), answer)  # of two concepts each
        numbers = values.values[values.defined]
        if type(metric).finish is not Metric.finish:
            numbers = numbers.mean(0, keepdim=True)  # a weighted value is only a share of the mean
        assert low - 1e-12 <= numbers.min()
        assert numbers.max() <= high + 1e-12


# ------------------------------------------------------------------------------------------------ versions

_RAMP = torch.arange(16.0).view(1, 1, 4, 4)
_MASK = (_RAMP == 15) | (_RAMP == 12)
KNOWN: dict[str, tuple[int, Callable[[], Trial[Any]], float]] = {  # another value needs another version
    "pixel_auroc": (1, lambda: trials.one(_RAMP, _MASK), 26 / 28),
    "average_precision": (1, lambda: trials.one(_RAMP, _MASK), 3 / 4),
    "iou:share=0.25": (1, lambda: trials.one(_RAMP, _MASK), 2 / 4),
    "energy_inside": (1, lambda: trials.one(_RAMP - 11, _MASK), 5 / 10),
    "pointing_game": (1, lambda: trials.one(_RAMP.clamp(max=12), _MASK), 2 / 4),
    "distractor_mass": (1, lambda: trials.one(_RAMP - 11, _MASK, distractors=(_RAMP > 13)[:, 0]), 3 / 10),
    "deletion:steps=2": (1, lambda: perturbed.two_pixels(0.0, 0.3, 1.0), 4 / 10),
    "insertion:steps=2,blur=1000": (1, lambda: perturbed.two_pixels(0.0, 0.7, 1.0), 6 / 10),
}


@pytest.mark.parametrize("spec", KNOWN)
def test_a_changed_formula_changes_the_version(spec: str) -> None:
    version, given, value = KNOWN[spec]
    metric = load(spec)
    assert metric.version == version
    assert metric.score(given()).values.item() == pytest.approx(value, abs=1e-12)
