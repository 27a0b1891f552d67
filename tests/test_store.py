"""A run's folder: what counts as finished, whatever was killed, cut off or tampered with."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ambench import atomic
from ambench.core import InputError
from ambench.record import SCHEMA_VERSION
from ambench.store import CELL_COLUMNS, CellResult, Store, file_name
from synthetic import PLANS, Plan, cell, manifest, store

CELLS = [cell(plan) for plan in PLANS[:2]]
OLD_RUN = Path(__file__).parent / "data" / "run_v1"


def test_what_is_finished_is_read_back(tmp_path: Path) -> None:
    made = store(tmp_path / "run", CELLS)
    read = Store.open(tmp_path / "run")
    assert read.finished() == {result.id for result in CELLS}
    assert read.records() == made.records() == [replace(r, run="synthetic") for c in CELLS for r in c.records]
    assert read.manifest.run == "synthetic"
    assert read.unfinished() == []


def test_values_come_back_bit_for_bit_with_the_columns_of_their_cell(tmp_path: Path) -> None:
    found = store(tmp_path / "run", CELLS).values()
    written = pd.concat([result.values for result in CELLS], ignore_index=True)
    for column in ("id", "concept", "metric", "value", "defined", "flat"):
        assert found[column].astype("object").tolist() == written[column].astype("object").tolist()
    for result in CELLS:
        own = found[found["cell"] == result.id]
        assert len(own) == len(result.values)
        for column in CELL_COLUMNS:
            assert set(own[column].astype("object")) == {getattr(result.records[0], column)}


def test_a_run_without_values_has_an_empty_table(tmp_path: Path) -> None:
    failed = cell(Plan(status="failed", error="it broke"))
    found = store(tmp_path / "run", [failed]).values()
    assert len(found) == 0
    assert {"cell", "id", "value", *CELL_COLUMNS} <= set(found.columns)


def test_pictures_are_png_files_that_hold_the_pixels_given(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    grey = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 4)
    made = store(tmp_path / "run", [replace(CELLS[0], pictures={"a": colours, "b/../c": grey})])
    first, second = made.pictures(CELLS[0].id)
    assert first.parent == second.parent == tmp_path / "run" / "pictures" / CELLS[0].id
    np.testing.assert_array_equal(np.asarray(Image.open(first)), colours.transpose(1, 2, 0))
    np.testing.assert_array_equal(np.asarray(Image.open(second)), grey[0].numpy())


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a picture is uint8"):
        store(tmp_path / "run", [replace(CELLS[0], pictures={"a": torch.zeros(3, 4, 4)})])  # type: ignore[dict-item]


def test_values_without_a_column_are_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lack the column flat"):
        store(tmp_path / "run", [replace(CELLS[0], values=CELLS[0].values.drop(columns="flat"))])


# ------------------------------------------------------------------------------------------------ names


@settings(deadline=None)
@given(st.text(max_size=300))
def test_a_file_name_is_one_component_that_stays_in_its_folder(name: str) -> None:
    safe = file_name(name)
    assert safe
    assert Path("folder", safe).name == safe
    assert safe.isascii()
    assert len(safe) <= 120


@settings(deadline=None)
@given(st.lists(st.text(alphabet="a/._ \\", max_size=6), min_size=2, max_size=2, unique=True))
def test_two_names_are_two_file_names(names: list[str]) -> None:
    assert file_name(names[0]) != file_name(names[1])


def test_a_cell_id_cannot_leave_the_run(tmp_path: Path) -> None:
    evil = replace(CELLS[0], id="../../evil", pictures={"../../../worse": torch.zeros(1, 2, 2, dtype=torch.uint8)})
    store(tmp_path / "run", [evil])
    assert [place.name for place in tmp_path.iterdir()] == ["run"]
    assert Store.open(tmp_path / "run").finished() == {"../../evil"}


# ------------------------------------------------------------------------------------------------ damage


def test_a_cell_counts_only_when_its_json_and_its_values_are_whole(tmp_path: Path) -> None:
    run = store(tmp_path / "run", CELLS)
    values = tmp_path / "run" / "values" / f"{CELLS[0].id}.parquet"
    values.write_bytes(values.read_bytes()[:-1])
    assert run.finished() == {CELLS[1].id}
    assert run.unfinished() == [CELLS[0].id]
    page = tmp_path / "run" / "cells" / f"{CELLS[1].id}.json"
    page.write_bytes(page.read_bytes()[: len(page.read_bytes()) // 2])
    assert run.finished() == set()
    assert run.records() == []
    assert len(run.values()) == 0


def test_values_of_another_cell_do_not_count(tmp_path: Path) -> None:
    run = store(tmp_path / "run", CELLS)
    one, other = (tmp_path / "run" / "values" / f"{c.id}.parquet" for c in CELLS)
    shutil.copy(other, one)
    assert run.finished() == {CELLS[1].id}


def test_cells_that_are_not_planned_do_not_count(tmp_path: Path) -> None:
    run = store(tmp_path / "run", CELLS)
    run.finish(cell(Plan("stray")))
    assert run.finished() == {c.id for c in CELLS}


def test_a_failed_cell_is_finished(tmp_path: Path) -> None:
    run = store(tmp_path / "run", [cell(Plan(status="oom", error="out of memory"))])
    assert run.cells()["cnn-gradcam-0"]["status"] == "oom"


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', "[]", "null", '{"schema": "x"}'])
def test_a_half_written_manifest_is_one_sentence(tmp_path: Path, content: str) -> None:
    store(tmp_path / "run", CELLS)
    (tmp_path / "run" / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="half-written or damaged"):
        Store.open(tmp_path / "run")


def test_a_run_of_a_newer_ambench_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "run", CELLS)
    place = tmp_path / "run" / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"schema": SCHEMA_VERSION + 1}))
    with pytest.raises(InputError, match="newer ambench"):
        Store.open(tmp_path / "run")


def test_a_missing_run_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    store(tmp_path / "baseline", CELLS)
    with pytest.raises(InputError, match="did you mean 'baseline'"):
        Store.open(tmp_path / "basline")
    with pytest.raises(InputError, match="no run at"):
        Store.open(tmp_path / "nowhere" / "run")


# ------------------------------------------------------------------------------------------------ going on


def test_the_same_run_goes_on_and_says_when(tmp_path: Path) -> None:
    plan = manifest(CELLS)
    first = Store.create(tmp_path / "run", plan)
    first.finish(CELLS[0])
    again = Store.create(tmp_path / "run", replace(plan, started="later", commit="abc"))
    assert again.finished() == {CELLS[0].id}
    assert again.unfinished() == [CELLS[1].id]
    assert [start["started"] for start in Store.open(tmp_path / "run").manifest.resumed] == ["later"]


def test_another_suite_in_the_same_folder_is_refused_by_what_differs(tmp_path: Path) -> None:
    store(tmp_path / "run", CELLS)
    with pytest.raises(InputError, match="other limit, seed;"):
        Store.create(tmp_path / "run", manifest(CELLS, {"seed": 1, "limit": 4}))


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not overwrite")
    with pytest.raises(InputError, match="not a run"):
        Store.create(tmp_path, manifest(CELLS))
    with pytest.raises(InputError, match="is a file"):
        Store.create(tmp_path / "thesis.tex", manifest(CELLS))


def test_a_cell_whose_code_changed_is_planned_anew_and_the_old_one_forgotten(tmp_path: Path) -> None:
    store(tmp_path / "run", CELLS)
    newer = Store.create(tmp_path / "run", manifest([CELLS[0], replace(CELLS[1], id="new-code")]))
    assert newer.finished() == {CELLS[0].id}
    assert newer.unfinished() == ["new-code"]


def _write_all(folder: Path) -> None:
    run = Store.create(folder, manifest(CELLS))
    for result in CELLS:
        if result.id not in run.finished():
            run.finish(replace(result, pictures={"sheet": torch.zeros(1, 2, 2, dtype=torch.uint8)}))


def _killed_at(step: int, name: str, folder: Path) -> None:
    """Run in a child that is killed with -9 at the n-th call of a system function."""
    child = os.fork()
    if child == 0:
        calls, original = [0], getattr(os, name)

        def counted(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(os, name, counted)
        _write_all(folder)
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("step", range(1, 9))
def test_killed_at_any_write_the_same_command_ends_with_the_same_run(tmp_path: Path, name: str, step: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _write_all(whole)
    _killed_at(step, name, broken)
    finished_before = Store.open(broken).finished() if (broken / "manifest.json").exists() else set()
    stamps = {c: (broken / "cells" / f"{c}.json").stat().st_mtime_ns for c in finished_before}
    _write_all(broken)
    assert Store.open(broken).records() == Store.open(whole).records()
    pd.testing.assert_frame_equal(Store.open(broken).values(), Store.open(whole).values())
    assert not list(broken.rglob(".*.tmp"))
    assert stamps == {c: (broken / "cells" / f"{c}.json").stat().st_mtime_ns for c in finished_before}


def test_the_temporary_file_of_a_living_process_stays(tmp_path: Path) -> None:
    store(tmp_path / "run", CELLS)
    living = tmp_path / "run" / "cells" / f".a.json.{os.getppid()}.tmp"
    living.write_text("half")
    Store.create(tmp_path / "run", manifest(CELLS))
    assert living.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    run = Store.create(tmp_path / "run", manifest(CELLS))
    run.finish(CELLS[0])

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(InputError, match="disk is full"):
        run.finish(CELLS[1])
    assert run.finished() == {CELLS[0].id}
    assert not list((tmp_path / "run").rglob(".*.tmp"))


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store.create(tmp_path / "file" / "run", manifest(CELLS))


# ------------------------------------------------------------------------------------------------ old runs


def test_a_run_written_with_schema_1_stays_readable() -> None:
    run = Store.open(OLD_RUN)
    assert run.manifest.schema == 1
    assert run.unfinished() == []
    values = {(r.method, r.metric, r.concept): (r.value, r.n) for r in run.records()}
    assert values["gradcam", "iou", "all"] == (0.5, 2)
    assert values["gradcam", "iou", "ring"] == (0.25, 2)
    assert values["broken", "iou", "all"] == (None, 0)
    assert run.values()["value"].tolist() == [0.0, 0.5, 0.5, 1.0]
    assert run.values()["id"].astype("object").tolist() == ["a", "a", "b", "b"]


def test_a_cell_result_needs_neither_values_nor_pictures(tmp_path: Path) -> None:
    bare = CellResult("bare", CELLS[0].records)
    run = store(tmp_path / "run", [bare])
    assert run.finished() == {"bare"}
