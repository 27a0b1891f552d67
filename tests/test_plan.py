"""Which cells a suite has, and what is refused before any of them runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ambench import toy
from ambench.core import Cost, InputError, Portraits
from ambench.plan import Cell, Given, cells
from ambench.registry import names
from ambench.suite import Suite, embedded

SQUARES = "python:ambench.toy:Squares"
METHOD = "from ambench.toy import *\nfrom ambench.promises import Oracle as Base\nclass Mine(Base):\n    pass\n"


def suite(**changes: object) -> Suite:
    grid = {"models": "cnn", "methods": "gradcam", "datasets": "shapes", **changes}
    conditions = {key: grid.pop(key) for key in ("seed", "limit") if key in grid}
    return Suite.parse({"grids": [grid], **conditions})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": "gradcan"}, "did you mean 'gradcam'?"),
        ({"methods": "gradcam:rellu=1"}, "did you mean 'relu'?"),
        ({"methods": "actmax:steps=many"}, "steps='many'"),
        ({"metrics": "transfr"}, "did you mean 'transfer'?"),
        ({"datasets": "shape"}, "did you mean 'shapes'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        cells(suite(**changes))
    assert sentence in str(caught.value)


def test_a_metric_that_fits_no_cell_is_named() -> None:
    with pytest.raises(InputError, match="metric 'transfer' reads Portraits"):
        cells(suite(metrics=["transfer", "fit_seconds"]))
    assert cells(suite(methods=["gradcam", "actmax:steps=4"], metrics=["transfer", "fit_seconds"]))


def test_each_method_gets_the_metrics_that_can_read_it() -> None:
    found = cells(suite(methods=["actmax:steps=4", "gradcam", "prediction"], metrics="all"))
    reads = {name: cls.reads for name, cls in names("metrics").items()}
    portraits = {name for name, kind in reads.items() if kind is Portraits}
    costs = {name for name, kind in reads.items() if kind is Cost}
    given = {(cell.kind, cell.method): set(cell.metrics) for cell in found}
    assert portraits <= given["quality", "actmax:steps=4"]
    assert not portraits & given.get(("quality", "gradcam"), set())
    assert {"shape_bias", "coverage"} <= given["quality", "prediction"]
    assert all(given["cost", method] == costs for method in ("actmax:steps=4", "gradcam", "prediction"))


def test_two_spellings_of_one_method_are_one_cell() -> None:
    found = cells(suite(methods=["gradcam", "gradcam:relu=true", "gradcam"], metrics="fit_seconds"))
    assert [cell.method for cell in found] == ["gradcam"]


def test_what_two_grids_ask_of_one_pair_is_one_cell() -> None:
    grid = {"models": "cnn", "methods": "gradcam", "datasets": "shapes"}
    grids = [{**grid, "metrics": "fit_seconds"}, {**grid, "metrics": ["model_passes", "fit_seconds"]}]
    assert [cell.metrics for cell in cells(Suite.parse({"grids": grids}))] == [("fit_seconds", "model_passes")]


def test_costs_are_taken_once_and_qualities_with_every_seed() -> None:
    found = cells(suite(methods="actmax:steps=4", metrics=["activation_gain", "fit_seconds"], seed=[3, 1]))
    assert [(cell.kind, cell.seed) for cell in found] == [("quality", 3), ("quality", 1), ("cost", 3)]


def test_the_other_models_of_a_synthesis_cell_are_its_panel() -> None:
    found = cells(suite(models=["cnn", "vit", "cnn-texture"], methods=["actmax:steps=4", "prediction"]))
    panels = {(cell.kind, cell.model, cell.method): cell.panel for cell in found}
    assert panels["quality", "vit", "actmax:steps=4"] == ("cnn", "cnn-texture")
    assert panels["quality", "vit", "prediction"] == ()
    assert panels["cost", "vit", "actmax:steps=4"] == ()


def test_every_field_changes_the_id() -> None:
    cell = Cell("quality", "cnn", "gradcam", "shapes", ("iou",))
    changed = [
        replace(cell, kind="cost"),
        replace(cell, model="vit"),
        replace(cell, method="cav"),
        replace(cell, dataset="cue_conflict"),
        replace(cell, metrics=("iou", "transfer")),
        replace(cell, seed=1),
        replace(cell, limit=1),
        replace(cell, batch_size=1),
        replace(cell, device="cuda"),
        replace(cell, panel=("vit",)),
        replace(cell, code="0"),
    ]
    assert len({cell.id, *(other.id for other in changed)}) == len(vars(cell)) + 1
    assert cell.id == replace(cell).id


def test_another_text_of_the_methods_file_is_another_cell(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        path = tmp_path / f"method{number}.py"
        path.write_text(METHOD + f"# {number}\n", encoding="utf-8")
        found += cells(suite(methods=f"python:{path}:Mine", metrics="fit_seconds"))
    assert found[0].code != found[1].code


def test_other_weights_of_a_model_handed_in_are_another_cell() -> None:
    asked = suite(models="toy", datasets=SQUARES, metrics="fit_seconds")
    one, two = (cells(asked, Given(models={"toy": toy.network(width)}))[0] for width in (1.0, 2.0))
    assert one.id != two.id


def test_the_embedded_suite_crosses_what_it_says() -> None:
    found = cells(embedded())
    crossed = {(cell.model, cell.method, cell.dataset) for cell in found}
    assert len(crossed) == 2 * 13 + 2 * 3 + 4
    assert len({cell.id for cell in found}) == len(found)
