"""What a crash, a hang and a lack of memory cost: their own cell and no other."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ambench import provenance
from ambench.core import InputError
from ambench.engine import default_jobs, execute
from ambench.plan import cells
from ambench.record import Record
from ambench.store import Store
from ambench.suite import Suite
from ambench.worker import Done

FAULTY = f"python:{Path(__file__).with_name('faulty.py')}"
METRIC = f"{FAULTY}:Strength"


def suite(*methods: str, **conditions: Any) -> Suite:
    grid = {
        "models": ["python:ambench.toy:network"],
        "methods": [f"{FAULTY}:{method}" for method in methods],
        "datasets": ["python:ambench.toy:Squares"],
        "metrics": [METRIC, "model_passes"],
    }
    return Suite.parse({"grids": [grid], "batch_size": 8, **conditions})


def finished(folder: Path, asked: Suite, jobs: int) -> tuple[list[Done], Store]:
    planned = cells(asked)
    store = Store.create(folder, provenance.manifest("run", asked.asked(), {cell.id: asdict(cell) for cell in planned}))
    return list(execute(planned, store, jobs, asked.timeout_seconds)), store


def by_method(store: Store) -> dict[tuple[str, str], Record]:
    return {(row.method.rsplit(":", 1)[-1], row.metric.rsplit(":", 1)[-1]): row for row in store.records()}


def test_a_process_that_dies_costs_its_own_cells(tmp_path: Path) -> None:
    asked = suite("Exits", "Honest", "Crashes", "Wrong", "Honest,number=1")
    ended, store = finished(tmp_path / "run", asked, jobs=2)
    assert {done.cell.id for done in ended} == {cell.id for cell in cells(asked)} == store.finished()
    rows = by_method(store)
    for metric in ("Strength", "model_passes"):
        assert (rows["Exits", metric].status, rows["Exits", metric].error) == (
            "failed",
            "its process crashed (exit code 3)",
        )
        assert rows["Crashes", metric].error == "its process crashed (SIGSEGV)"
        assert (rows["Wrong", metric].status, rows["Wrong", metric].error) == ("failed", "it cannot work")
        assert rows["Honest", metric].status == rows["Honest,number=1", metric].status == "ok"


def test_a_cell_that_takes_too_long_becomes_a_row(tmp_path: Path) -> None:
    asked = suite("Honest,seconds=600", "Honest", timeout_seconds=4)
    _, store = finished(tmp_path / "run", asked, jobs=2)
    rows = by_method(store)
    assert rows["Honest,seconds=600", "Strength"].status == "timeout"
    assert rows["Honest,seconds=600", "Strength"].error == "it took longer than 4 seconds"
    assert rows["Honest", "Strength"].status == "ok"


@pytest.mark.parametrize("method", ["Hungry", "Killed"])
def test_out_of_memory_is_tried_at_half_the_batch(tmp_path: Path, method: str) -> None:
    _, store = finished(tmp_path / "run", suite(f"{method},most=4", f"{method},most=3", "Honest"), jobs=1)
    rows = by_method(store)
    assert rows[f"{method},most=3", "Strength"].status == "oom"
    mended, whole = rows[f"{method},most=4", "Strength"], rows["Honest", "Strength"]
    assert (mended.status, mended.batch_size, whole.batch_size) == ("ok", 4, 8)
    assert mended.cell in store.finished()


def test_no_number_depends_on_the_workers_or_the_batch(tmp_path: Path) -> None:
    methods = ("Honest", "Honest,number=1", "Honest,number=2")
    found = []
    for name, jobs, batch in (("here", 0, 8), ("one", 1, 8), ("two", 2, 5)):
        _, store = finished(tmp_path / name, suite(*methods, batch_size=batch), jobs)
        values = store.values()
        values = values[values["metric"] == METRIC].sort_values(["method", "id", "concept"])
        found.append(values["value"].tolist())
    assert len(found[0]) == 3 * 24 * 3
    assert found[0] == found[1] == found[2]


def test_what_cannot_be_written_stops_the_run_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    asked = suite("Honest")
    planned = cells(asked)
    store = Store.create(tmp_path / "run", provenance.manifest("run", {}, {cell.id: {} for cell in planned}))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        list(execute(planned, store, jobs=0))
    assert store.finished() == set()


def test_a_folder_that_vanishes_stops_the_workers(tmp_path: Path) -> None:
    asked = suite("Honest", "Honest,number=1", "Honest,number=2")
    planned = cells(asked)
    store = Store.create(tmp_path / "run", provenance.manifest("run", {}, {cell.id: {} for cell in planned}))
    for name in ("cells", "values"):
        (tmp_path / "run" / name).write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        list(execute(planned, store, jobs=2))


def test_a_gpu_is_fed_by_one_worker_and_a_processor_by_all_its_cores() -> None:
    assert default_jobs("cuda:1") == 1
    assert default_jobs("cpu") == len(os.sched_getaffinity(0))
