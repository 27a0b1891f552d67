"""Two runs: what counts as worse, what does not, and what cannot be compared at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ambench.compare import compare
from ambench.core import InputError
from ambench.results import Results
from ambench.store import Store
from synthetic import METRICS, PLANS, Plan, cell, cost, manifest, numbers, results


def changed(plans: tuple[Plan, ...], method: str, **change: Any) -> list[Plan]:
    return [replace(plan, **change) if plan.method == method else plan for plan in plans]


@pytest.fixture
def base(tmp_path: Path) -> Results:
    return results(tmp_path / "base", PLANS)


def test_a_run_compared_with_itself_is_fine_and_every_difference_is_exactly_0(base: Results) -> None:
    verdict = base.compare(base)
    assert verdict.exit_code == 0
    assert {change.test.mean for change in verdict.changes} == {0.0}
    assert {change.fate for change in verdict.changes} == {"same"}
    assert len(verdict.changes) == len([row for row in base.records if row.concept == "all"])
    for nothing in (verdict.only_base, verdict.only_run, verdict.refused, verdict.costs, verdict.failed):
        assert nothing == ()


def test_a_method_made_noisier_downwards_is_named_with_its_metrics_and_n(base: Results, tmp_path: Path) -> None:
    broken = results(tmp_path / "run", changed(PLANS, "gradcam", level=0.45, draw=1, noise=0.2))
    verdict = compare(base, broken)
    assert verdict.exit_code == 1
    assert {(c.base.method, c.base.metric) for c in verdict.regressions} == {
        ("gradcam", "iou"),
        ("gradcam", "hard_accuracy"),
    }
    text = verdict.render()
    assert "gradcam on cnn, shapes: iou fell from" in text
    assert "gradcam on cnn, shapes: hard_accuracy fell from" in text
    assert "n = 40 images" in text


def test_a_better_method_does_not_fail_the_verdict(base: Results, tmp_path: Path) -> None:
    verdict = compare(base, results(tmp_path / "run", changed(PLANS, "gradcam", level=0.8, draw=1)))
    assert verdict.exit_code == 0
    assert {change.base.metric for change in verdict.improvements} == {"iou", "hard_accuracy"}


def test_where_lower_is_better_a_rise_is_worse(base: Results, tmp_path: Path) -> None:
    verdict = compare(base, results(tmp_path / "run", changed(PLANS, "actmax", level=0.9)))
    fates = {change.base.metric: change.fate for change in verdict.changes if change.base.method == "actmax"}
    assert fates == {"iou": "better", "hard_accuracy": "better", "score_drift": "worse", "shape_bias": "changed"}
    assert verdict.exit_code == 1


def test_a_metric_without_a_direction_cannot_get_worse(tmp_path: Path) -> None:
    plan = Plan("a", metrics=("shape_bias",))
    verdict = compare(results(tmp_path / "a", [plan]), results(tmp_path / "b", [replace(plan, level=0.1)]))
    assert [change.fate for change in verdict.changes] == ["changed"]
    assert verdict.exit_code == 0


def test_a_difference_within_the_smallest_effect_is_the_same_however_certain(tmp_path: Path) -> None:
    plan = Plan("a", metrics=("iou",))
    one, other = results(tmp_path / "a", [plan]), results(tmp_path / "b", [replace(plan, level=0.491)])
    (change,) = compare(one, other).changes
    assert (change.fate, change.p < 0.01, change.smallest_effect) == ("same", True, 0.01)
    (change,) = compare(one, other, smallest_effect=0.005).changes
    assert change.fate == "worse"


def test_without_bounds_the_smallest_effect_is_a_share_of_the_images_spread(tmp_path: Path) -> None:
    plan = Plan("a", metrics=("score_drift",))
    run = results(tmp_path / "a", [plan])
    (change,) = compare(run, run).changes
    spread = numbers(plan, "score_drift").mean(1).std(ddof=1)
    assert change.smallest_effect == pytest.approx(0.05 * spread)


def test_ranges_of_other_widths_scale_the_smallest_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "iou", {**METRICS["iou"], "range_low": -1.0})  # type: ignore[index]
    run = results(tmp_path / "a", [Plan("a", metrics=("iou",))])
    assert compare(run, run).changes[0].smallest_effect == pytest.approx(0.02)


def test_new_draws_of_the_same_methods_seldom_raise_an_alarm(tmp_path: Path) -> None:
    methods = [Plan(f"m{i}", metrics=("iou",), n=20) for i in range(5)]
    base = results(tmp_path / "base", methods)
    alarms = 0
    for draw in range(1, 21):
        run = results(tmp_path / f"run{draw}", [replace(plan, draw=draw) for plan in methods])
        alarms += any(change.counts for change in compare(base, run, smallest_effect=0.0).changes)
    assert alarms <= 3  # 1 is expected; one base for all draws, so alarms come together


def test_holm_counts_the_rows_of_one_metric_model_and_dataset(base: Results) -> None:
    families = {change.base.metric: change.family for change in base.compare(base).changes}
    assert families == {"iou": 6, "hard_accuracy": 7, "score_drift": 1, "shape_bias": 1}


def test_images_are_paired_by_id_and_those_of_one_side_listed(tmp_path: Path) -> None:
    long, short = (results(tmp_path / str(n), [Plan("a", metrics=("iou",), n=n)]) for n in (40, 36))
    # the same image has other noise in a shorter draw, so only the pairing is looked at
    (change,) = compare(long, short).changes
    assert change.test.n == 36
    assert change.base_only == ("image-036", "image-037", "image-038", "image-039")
    assert change.run_only == ()
    text = compare(long, short).render()
    assert "shapes, only in the base: image-036, image-037, image-038, image-039" in text


def test_the_paired_difference_is_that_of_the_common_images(tmp_path: Path) -> None:
    plan = Plan("a", metrics=("iou",), n=30)
    other = replace(plan, draw=3)
    (change,) = compare(results(tmp_path / "a", [plan]), results(tmp_path / "b", [other])).changes
    assert change.test.mean == pytest.approx((numbers(other, "iou") - numbers(plan, "iou")).mean())


def test_no_common_image_is_said_and_not_compared(tmp_path: Path) -> None:
    one = cell(Plan("a", metrics=("iou",)))
    apart = replace(one, values=one.values.assign(id=["other-" + name for name in one.values["id"]]))
    both = cell(Plan("b", metrics=("iou",)))
    verdict = compare(results(tmp_path / "a", [], one, both), results(tmp_path / "b", [], apart, both))
    assert [change.base.method for change in verdict.changes] == ["b"]
    assert verdict.refused == ("a on cnn, shapes: iou: no image is in both runs",)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revision": "2"}, "revision 1 of shapes in the base, 2 in the run"),
        ({"version": 2}, "version 1 of iou in the base, 2 in the run"),
    ],
)
def test_another_revision_or_metric_version_is_not_compared(tmp_path: Path, change: Any, reason: str) -> None:
    plans = (Plan("a", metrics=("iou",)), Plan("b", metrics=("iou",)))
    base = results(tmp_path / "base", plans)
    verdict = compare(base, results(tmp_path / "run", changed(plans, "a", level=0.0, **change)))
    assert [c.base.method for c in verdict.changes] == ["b"]
    assert verdict.refused == (f"a on cnn, shapes: iou: {reason}",)
    with pytest.raises(InputError, match=reason):
        compare(base, results(tmp_path / "other", [replace(plan, **change) for plan in plans]))


def test_runs_that_share_nothing_are_a_usage_error(base: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing in the two runs can be compared: no row has the same model"):
        compare(base, results(tmp_path / "run", [Plan("gradcam", model="vit")]))


def test_an_unfinished_run_is_a_usage_error(base: Results, tmp_path: Path) -> None:
    cells = [cell(plan) for plan in PLANS]
    half = Store.create(tmp_path / "half", manifest(cells))
    half.finish(cells[0])
    with pytest.raises(InputError, match="lacks 6 of its 7 cells"):
        compare(base, Results.from_store(half))


def test_rows_of_one_side_are_listed_and_fail_nothing(base: Results, tmp_path: Path) -> None:
    verdict = compare(base, results(tmp_path / "run", [*PLANS[:3], Plan("newcomer")]))
    assert verdict.exit_code == 0
    assert {row.method for row in verdict.only_base} == {"saliency", "random_map", "edges", "prediction"}
    assert {row.method for row in verdict.only_run} == {"newcomer"}
    assert "newcomer on cnn, shapes: iou, hard_accuracy" in verdict.render()


def test_a_new_setting_is_compared_where_the_method_is_alone(tmp_path: Path) -> None:
    plan = Plan("a", metrics=("iou",))
    base = results(tmp_path / "base", [plan])
    verdict = compare(base, results(tmp_path / "run", [replace(plan, settings='{"new": 1}', level=0.2)]))
    assert [change.fate for change in verdict.changes] == ["worse"]


@pytest.mark.parametrize(("before", "after", "same"), [("{}", '{"new": 1}', True), ('{"k": 1}', '{"k": 2}', False)])
def test_a_setting_that_a_metric_gained_is_at_its_default_one_that_changed_is_another_question(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    plain = cell(Plan("a", metrics=("iou", "hard_accuracy")))
    one, other = (
        replace(
            plain,
            records=[replace(row, metric_settings=said if row.metric == "iou" else "{}") for row in plain.records],
        )
        for said in (before, after)
    )
    verdict = compare(results(tmp_path / "base", [], one), results(tmp_path / "run", [], other))
    assert ("iou" in {change.base.metric for change in verdict.changes}) == same
    assert len(verdict.refused) == (0 if same else 1)


def test_methods_of_one_name_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    wide = replace(cell(Plan("a", metrics=("iou",), settings='{"k": 1}')), id="one")
    deep = replace(cell(Plan("a", metrics=("iou",), settings='{"k": 2}', level=0.7)), id="two")
    cells = [replace(c, records=[replace(row, cell=c.id) for row in c.records]) for c in (wide, deep)]
    run = results(tmp_path / "run", [], *cells)
    verdict = compare(run, run)
    assert sorted(change.base.settings for change in verdict.changes) == ['{"k": 1}', '{"k": 2}']
    assert {change.test.mean for change in verdict.changes} == {0.0}


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("status", ["failed", "oom", "timeout", "skipped"])
def test_a_cell_that_had_a_value_and_now_has_none_fails_the_verdict(base: Results, tmp_path: Path, status: str) -> None:
    verdict = compare(base, results(tmp_path / "run", changed(PLANS, "cav", status=status, error="the\nreason")))
    assert verdict.exit_code == 1
    assert f"cav on cnn, shapes, iou, hard_accuracy: {status}: the reason" in verdict.render()


def test_a_cell_that_failed_before_fails_no_verdict(tmp_path: Path) -> None:
    plans = (*PLANS[:2], Plan("broken", status="failed", error="as ever"))
    run = results(tmp_path / "run", plans)
    verdict = compare(run, run)
    assert verdict.exit_code == 0
    assert {row.method for row in verdict.still_failed} == {"broken"}


def test_a_new_cell_that_fails_fails_the_verdict(base: Results, tmp_path: Path) -> None:
    run = results(tmp_path / "run", [*PLANS, Plan("newcomer", status="failed", error="it broke")])
    assert compare(base, run).exit_code == 1


# ------------------------------------------------------------------------------------------------ costs


def with_costs(path: Path, seconds: float, passes: float, chip: str = "a chip") -> Results:
    return results(path, PLANS[:1], cost(PLANS[0], seconds, passes), devices={"cpu": chip})


@pytest.mark.parametrize(
    ("seconds", "passes", "exit_code", "asked_exit_code"),
    [(0.1, 30.0, 0, 0), (0.14, 44.0, 0, 0), (0.2, 30.0, 0, 1), (0.1, 60.0, 1, 1), (0.01, 3.0, 0, 0)],
)
def test_counted_costs_fail_beyond_the_ratio_and_measured_ones_only_when_asked(
    tmp_path: Path, seconds: float, passes: float, exit_code: int, asked_exit_code: int
) -> None:
    base, run = with_costs(tmp_path / "base", 0.1, 30.0), with_costs(tmp_path / "run", seconds, passes)
    assert compare(base, run).exit_code == exit_code
    assert compare(base, run, fail_on_measured_cost=True).exit_code == asked_exit_code


def test_costs_of_two_devices_are_not_compared(tmp_path: Path) -> None:
    base = with_costs(tmp_path / "base", 0.1, 30.0)
    verdict = compare(base, with_costs(tmp_path / "run", 9.0, 900.0, "another chip"))
    assert verdict.exit_code == 0
    assert verdict.costs == ()
    assert verdict.refused == ("costs are not compared: a chip in the base, another chip in the run",)


def test_a_cost_of_nothing_has_no_ratio(tmp_path: Path) -> None:
    verdict = compare(with_costs(tmp_path / "base", 0.0, 0.0), with_costs(tmp_path / "run", 1.0, 1.0))
    assert [change.ratio for change in verdict.costs] == [None, None]
    assert verdict.exit_code == 0


def test_a_verdict_cannot_move_the_terminals_cursor(tmp_path: Path) -> None:
    run = results(tmp_path / "run", [Plan("a\x1b[2Jb", status="failed", error="\x07bell"), Plan("c")])
    text = compare(run, run).render()
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_comparing_does_not_touch_numpys_global_state(base: Results) -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    base.compare(base)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]
