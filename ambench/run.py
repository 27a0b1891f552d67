"""One cell becomes rows: load, explain, judge, summarise; whatever goes wrong becomes a row that says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ambench import answer as answers
from ambench import cost, judge, pictures, rows, sharing, workbench
from ambench.answer import Answer
from ambench.core import Case, Cost, Heatmaps, Metric, Portraits, Skipped, Truth, Values
from ambench.judge import Verdict
from ambench.plan import NOTHING_GIVEN, Cell, Given
from ambench.record import Status
from ambench.store import CellResult, no_values
from ambench.workbench import Workbench

COST_IMAGES = 8  # enough to share a forward, few enough for five repeats of a slow method


def run_cell(cell: Cell, folder: Path | None = None, given: Given = NOTHING_GIVEN) -> CellResult:
    """Return a cell's records, values and pictures; what a cell does wrong becomes rows with the reason.

    `folder` is the run's: explanations are kept there, so that a cost cell need not make its quality cell's again. Out
    of memory, the cell is run once more with half the batch.
    """
    stages = Stages()
    with sharing.activations_of(cell, folder, given):
        try:
            return _run(cell, folder, given, stages)
        except Exception as error:
            if not out_of_memory(error):
                return _failed(cell, given, stages, error)
        try:
            return _run(cell, folder, given, stages, halved=True)
        except Exception as error:
            return _failed(cell, given, stages, error)


class Stages:
    """Seconds of wall time by stage of a cell: what the harness adds to fits, passes and metrics can be read off."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the body to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on the device or on the host."""
    text = str(error).lower()
    said = any(words in text for words in ("can't allocate memory", "not enough memory", "out of memory"))
    return said or isinstance(error, (MemoryError, torch.OutOfMemoryError))


def _run(cell: Cell, folder: Path | None, given: Given, stages: Stages, halved: bool = False) -> CellResult:
    with stages.stage("load"):
        bench = workbench.load(cell, given)
        if halved:
            bench = replace(bench, batch_size=max(1, bench.batch_size // 2))
    with stages.stage("fit"):
        found = answers.answer(bench, answers.kept_at(bench, folder))
    with stages.stage("judge"):
        verdicts = judge.judge(bench, found, folder) if cell.kind == "quality" else _cost_verdicts(bench, found)
    with stages.stage("pictures"):
        drawn = _draw(bench, found) if cell.kind == "quality" else {}
    with stages.stage("statistics"):
        records = [record for verdict in verdicts for record in rows.records(bench, verdict)]
        tables = [rows.values(bench, verdict) for verdict in verdicts if verdict.values is not None]
    failures = [f"{v.spec}: {v.reason}" for v in verdicts if v.failed]
    status: Status = "failed" if failures else "ok"
    values = pd.concat(tables, ignore_index=True) if tables else no_values()
    return CellResult(cell.id, records, values, drawn, stages.seconds, status, "; ".join(failures) or None)


def _failed(cell: Cell, given: Given, stages: Stages, error: Exception) -> CellResult:
    status: Status = "oom" if out_of_memory(error) else "skipped" if isinstance(error, Skipped) else "failed"
    reason = str(error) if isinstance(error, (Skipped, ValueError)) else f"{type(error).__name__}: {error}"
    records = rows.failure(cell, given, status, reason)
    return CellResult(cell.id, records, no_values(), {}, stages.seconds, status, reason)


def _cost_verdicts(bench: Workbench, found: Answer) -> list[Verdict]:
    """Measure what one explanation of a few images takes, and let the cost metrics read it."""
    if found.localise is None:
        raise Skipped("these portraits cannot be lifted, so there is no explanation of an image to time")
    localise, case = found.localise, next(bench.cases())
    case = case.select(range(min(COST_IMAGES, len(case))))
    measured = cost.measure(lambda images: localise(images, case), bench.model, case.images)
    measured = replace(measured, fit_seconds=found.fit_seconds)
    return [_read_cost(bench, m, spec, measured) for m, spec in zip(bench.metrics, bench.cell.metrics, strict=True)]


def _read_cost(bench: Workbench, metric: Metric[Any], spec: str, measured: Cost) -> Verdict:
    case = Case(torch.empty(0), torch.empty(0, 1, dtype=torch.long), Truth(torch.empty(0, 1, dtype=torch.bool)), ())
    values = metric.score(judge.trial(bench, Answer(None, None, 0.0), case, measured))
    if values is None:  # there is no such cost on this device: the row stays blank
        values = Values.of(torch.zeros(1, 1), defined=torch.zeros(1, 1))
    count = len(values.values)
    return Verdict(metric, spec, values, tuple(f"repeat-{i}" for i in range(count)), torch.zeros(count, 1).long())


def _draw(bench: Workbench, found: Answer) -> dict[str, Tensor]:
    """Return the cell's pictures: each portrait, and a sheet of the first images with their maps."""
    drawn: dict[str, Tensor] = {}
    if isinstance(found.explanation, Portraits):
        case = judge.explanation_case(bench, found.explanation)
        drawn |= pictures.portraits(found.explanation, case.ids)
    if found.localise is not None:
        first = next(bench.cases())
        case = first.select(range(min(pictures.SHEET_ROWS, len(first))))
        maps = found.localise(case.images, case)
        sheet = pictures.sheet(case, maps) if isinstance(maps, Heatmaps) else None
        drawn |= {} if sheet is None else {"maps": sheet}
    return drawn
