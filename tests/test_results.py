"""Results: floors from the right controls, frames at both levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ambench.core import InputError
from ambench.record import ALL, KEYS, Record
from ambench.results import Results
from ambench.store import Store
from synthetic import PLANS, Plan, cell, cost, manifest, numbers, results, store


def floors(
    found: Results, metric: str = "iou", concept: str = ALL
) -> dict[tuple[str, str], tuple[float | None, str | None]]:
    rows = (row for row in found.records if row.metric == metric and row.concept == concept)
    return {(row.model, row.method): (row.floor, row.floor_control) for row in rows}


def value(found: Results, method: str, metric: str = "iou", model: str = "cnn", concept: str = ALL) -> float:
    wanted = (model, method, metric, concept)
    (row,) = (r for r in found.records if (r.model, r.method, r.metric, r.concept) == wanted)
    assert row.value is not None
    return row.value


@pytest.mark.parametrize("concept", ["all", "ring"])
def test_the_floor_is_the_best_control_of_the_same_concept(tmp_path: Path, concept: str) -> None:
    found = results(tmp_path, PLANS)
    edges = value(found, "edges", concept=concept)
    assert edges > value(found, "random_map", concept=concept)
    assert floors(found, concept=concept)["cnn", "gradcam"] == (edges, "edges")


def test_where_lower_is_better_the_floor_is_the_lowest_control(tmp_path: Path) -> None:
    drift = {"metrics": ("score_drift",)}
    plans = [replace(plan, **drift) for plan in PLANS if plan.method in ("gradcam", "random_map", "edges")]
    found = results(tmp_path, plans)
    assert floors(found, "score_drift")["cnn", "gradcam"] == (value(found, "random_map", "score_drift"), "random_map")


def test_controls_have_no_floor_and_the_models_own_answer_is_none(tmp_path: Path) -> None:
    found = floors(results(tmp_path, PLANS), "hard_accuracy")
    assert found["cnn", "edges"] == found["cnn", "random_map"] == (None, None)
    assert found["cnn", "gradcam"][1] == "edges"  # though the prediction is higher


def test_the_untrained_twin_is_a_floor_of_the_same_method_only(tmp_path: Path) -> None:
    untrained = [Plan("gradcam", model="cnn-untrained", level=0.8), Plan("cav", model="cnn-untrained", level=0.1)]
    found = results(tmp_path, [*PLANS, *untrained])
    twin = value(found, "gradcam", model="cnn-untrained")
    assert floors(found)["cnn", "gradcam"] == (twin, "cnn-untrained")
    assert floors(found)["cnn", "cav"][1] == "edges"
    assert floors(found)["cnn", "saliency"][1] == "edges"
    assert floors(found)["cnn-untrained", "gradcam"] == (None, None)


def test_another_seed_dataset_revision_or_version_gives_no_floor(tmp_path: Path) -> None:
    control = Plan("edges", control=True)
    for number, change in enumerate(({"seed": 1}, {"revision": "2"}, {"version": 2})):
        found = results(tmp_path / str(number), [Plan("gradcam"), replace(control, **change)])
        assert floors(found)["cnn", "gradcam"] == (None, None)


def test_costs_and_metrics_without_a_direction_have_no_floor(tmp_path: Path) -> None:
    bias = ("shape_bias",)
    plans = [Plan("gradcam", metrics=bias), Plan("edges", control=True, metrics=bias)]
    control = cost(plans[1], 0.1, 2.0)
    control = replace(control, records=[replace(row, control=True) for row in control.records])
    found = results(tmp_path, plans, cost(plans[0], 0.2, 3.0), control)
    assert {row.floor for row in found.records} == {None}


def test_a_failed_control_is_no_floor(tmp_path: Path) -> None:
    found = results(tmp_path, [Plan("gradcam"), Plan("edges", control=True, status="failed", error="it broke")])
    assert floors(found)["cnn", "gradcam"] == (None, None)


def test_the_frame_of_cells_has_one_row_a_record(tmp_path: Path) -> None:
    found = results(tmp_path, PLANS[:2])
    frame = found.to_frame()
    assert list(frame.columns) == list(KEYS)
    assert len(frame) == len(found.records)
    assert list(results(tmp_path / "empty", []).to_frame().columns) == list(KEYS)


def test_the_frame_of_images_averages_to_the_records(tmp_path: Path) -> None:
    frame = results(tmp_path, PLANS).to_frame("image")
    rows = frame[(frame["method"] == "gradcam") & (frame["metric"] == "iou") & (frame["concept"] == "ring")]
    assert rows["value"].mean() == pytest.approx(numbers(PLANS[2], "iou")[:, 0].mean())
    assert len(rows) == PLANS[2].n


def test_another_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'image'"):
        results(tmp_path, []).to_frame("images")  # type: ignore[arg-type]


def test_failed_rows_are_found_and_skipped_ones_are_not(tmp_path: Path) -> None:
    plans = [Plan("a", status="failed", error="x"), Plan("b", status="skipped", error="y"), Plan("c")]
    found = results(tmp_path, plans)
    assert {row.method for row in found.failed} == {"a"}
    assert len(found.failed) == 2


def test_an_unfinished_run_says_what_is_missing(tmp_path: Path) -> None:
    cells = [cell(plan) for plan in PLANS[:2]]
    half = Store.create(tmp_path / "run", manifest(cells))
    half.finish(cells[0])
    assert Results.open(tmp_path / "run").unfinished == (cells[1].id,)


def test_gathered_values_are_the_stored_ones(tmp_path: Path) -> None:
    found = results(tmp_path, PLANS)
    plan = PLANS[1]
    gathering = found.gathering
    assert gathering.concepts([plan.id], "iou") == ["glyph", "ring"]
    clusters = gathering.gather([plan.id], "iou", ["ring", "glyph", "elsewhere"])
    np.testing.assert_array_equal(clusters.sums[:, :2], numbers(plan, "iou"))
    assert clusters.counts.tolist() == [[1.0, 1.0, 0.0]] * plan.n
    assert len(gathering.gather(["nobody"], "iou", ["ring"])) == 0
    assert len(results(tmp_path / "empty", []).gathering.gather([plan.id], "iou", ["ring"])) == 0


def test_records_of_a_results_object_are_those_of_its_store_but_for_floors(tmp_path: Path) -> None:
    run = store(tmp_path / "run", [cell(plan) for plan in PLANS])

    def bare(row: Record) -> Record:
        return replace(row, floor=None, floor_control=None)

    assert [bare(row) for row in Results.from_store(run).records] == run.records()
