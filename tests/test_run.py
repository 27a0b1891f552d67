"""One cell becomes rows, whatever happens in it."""

import pytest

import toys
from ambench.plan import Cell
from ambench.run import run_cell


def _rows(result):
    return {(record.metric, record.concept): record for record in result.records}


def test_a_cell_has_a_row_for_each_concept_and_one_for_all():
    result = run_cell(toys.cell(), given=toys.GIVEN)
    rows = _rows(result)
    assert set(rows) == {(m, c) for m in ("brightness", "threshold") for c in ("red", "green", "all")}
    assert rows["brightness", "red"].value == pytest.approx(0.9, abs=1e-6)  # the square's own level
    assert rows["brightness", "red"].n == 10  # half of the 20 images show it
    assert rows["brightness", "red"].n_undefined == 10
    assert rows["threshold", "all"].value == 1.0
    assert {record.status for record in result.records} == {"ok"}
    assert {record.weights for record in result.records} == {"toy"}


def test_values_hold_one_line_an_image_and_concept():
    values = run_cell(toys.cell(), given=toys.GIVEN).values
    assert len(values) == 20 * 2 * 2
    inside = values[(values.metric == "brightness") & values.defined]
    assert inside.value.mean() == pytest.approx(0.9, abs=1e-6)
    assert set(values.id) == {f"test-{i}" for i in range(20)}


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_batch_size_changes_nothing(batch_size):
    whole = run_cell(toys.cell(), given=toys.GIVEN).values
    split = run_cell(toys.cell(batch_size=batch_size), given=toys.GIVEN).values
    assert whole.equals(split)


@pytest.mark.parametrize(("limit", "images"), [(1, 1), (7, 7), (10, 10), (15, 15), (400, 20)])
def test_limit_counts_images_across_the_datasets_own_cases(limit, images):
    values = run_cell(toys.cell(limit=limit), given=toys.GIVEN).values
    assert sorted(set(values.id), key=lambda n: int(n[5:])) == [f"test-{i}" for i in range(images)]


@pytest.mark.parametrize("batch_size", [3, 64])
def test_a_metrics_own_limit_binds_it_alone(batch_size):
    values = run_cell(toys.cell(metrics=("brightness", "brightness-4"), batch_size=batch_size), given=toys.GIVEN).values
    assert set(values[values.metric == "brightness-4"].id) == {f"test-{i}" for i in range(4)}
    assert values[values.metric == "brightness"].id.nunique() == 20


def test_a_methods_error_becomes_a_row_for_each_metric():
    result = run_cell(toys.cell("broken-value"), given=toys.GIVEN)
    assert [(r.metric, r.status) for r in result.records] == [("brightness", "failed"), ("threshold", "failed")]
    assert result.records[0].error == "ZeroDivisionError: the method divided by zero"
    assert result.status == "failed"


def test_skipped_keeps_the_reason():
    result = run_cell(toys.cell("broken-skip"), given=toys.GIVEN)
    assert {r.status for r in result.records} == {"skipped"}
    assert result.records[0].error == "toys have no reason to be explained"


def test_a_faulty_metric_costs_its_own_row_and_no_other():
    result = run_cell(toys.cell(metrics=("faulty", "brightness")), given=toys.GIVEN)
    rows = _rows(result)
    assert rows["faulty", "all"].status == "failed"
    assert "this metric is broken" in rows["faulty", "all"].error
    assert rows["brightness", "all"].status == "ok"
    assert result.status == "failed"


def test_out_of_memory_is_tried_again_with_half_the_batch():
    result = run_cell(toys.cell("broken-large", batch_size=8), given=toys.GIVEN)
    assert result.status == "ok"
    assert result.values.equals(run_cell(toys.cell(), given=toys.GIVEN).values)


def test_out_of_memory_twice_is_a_row_that_says_so():
    result = run_cell(toys.cell("broken-memory"), given=toys.GIVEN)
    assert {r.status for r in result.records} == {"oom"}


def test_an_explanation_is_kept_and_not_made_again(tmp_path):
    toys.FITS.clear()
    first = run_cell(toys.cell("axes"), tmp_path, toys.GIVEN)
    again = run_cell(toys.cell("axes", metrics=("threshold",)), tmp_path, toys.GIVEN)
    assert len(toys.FITS) == 1
    assert _rows(first)["threshold", "all"].value == _rows(again)["threshold", "all"].value


def test_a_torn_explanation_is_made_again(tmp_path):
    run_cell(toys.cell("axes"), tmp_path, toys.GIVEN)
    (kept,) = (tmp_path / "explanations").iterdir()
    kept.write_bytes(kept.read_bytes()[:40])
    toys.FITS.clear()
    assert run_cell(toys.cell("axes"), tmp_path, toys.GIVEN).status == "ok"
    assert len(toys.FITS) == 1


def test_another_seed_is_another_explanation(tmp_path):
    run_cell(toys.cell("axes"), tmp_path, toys.GIVEN)
    run_cell(toys.cell("axes", seed=1), tmp_path, toys.GIVEN)
    assert len(list((tmp_path / "explanations").iterdir())) == 2


def test_a_cost_cell_measures_what_an_explanation_takes():
    metrics = ("seconds_per_image", "model_passes", "peak_gpu_mib")
    result = run_cell(Cell("cost", "seer", "axes", "squares", metrics), given=toys.GIVEN)
    rows = _rows(result)
    assert rows["seconds_per_image", "all"].n == 5
    repeats = result.values[result.values.metric == "seconds_per_image"].value
    assert rows["seconds_per_image", "all"].value == repeats.median() > 0
    assert rows["model_passes", "all"].value == pytest.approx(
        1 + (256 + 4) / 384
    )  # forward: 3 x 2 x 64 products; map: 2 x 2 x 64; score: 2 x 2
    assert rows["peak_gpu_mib", "all"].value is None


def test_pictures_show_image_mask_and_map():
    pictures = run_cell(toys.cell(), given=toys.GIVEN).pictures
    assert pictures["maps"].dtype.is_floating_point is False
    assert pictures["maps"].shape[0] == 3
