"""What a cell's verdicts leave in the long table: records with intervals, and the per-image values behind them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pandas as pd

from ambench import registry, statistics
from ambench.core import Cost, Method
from ambench.judge import Verdict
from ambench.plan import Cell, Given
from ambench.record import ALL, Record, Status
from ambench.store import no_values
from ambench.workbench import Workbench


def records(bench: Workbench, verdict: Verdict) -> list[Record]:
    """Return a metric's rows: one for each concept and one for all, or one with the reason why there are none."""
    if verdict.values is None:
        status: Status = "failed" if verdict.failed else "skipped"
        return [_record(bench, verdict, status=status, error=verdict.reason)]
    if verdict.metric.reads is Cost:
        repeats = statistics.middle(verdict.values.values.cpu(), verdict.values.defined.cpu())
        return [_record(bench, verdict, **vars(repeats))]
    said, key = verdict.values, (bench.cell.seed, bench.cell.dataset)
    summaries = statistics.summarise(
        said.values.cpu(),
        said.defined.cpu(),
        verdict.targets,
        verdict.ids,
        _names(bench, verdict),
        key,
        said.flat.cpu(),
    )
    return [_summary(bench, verdict, concept, summary) for concept, summary in summaries.items()]


def _summary(bench: Workbench, verdict: Verdict, concept: str, summary: statistics.Summary) -> Record:
    """Return a concept's row; one that the method has no answer for says why, and the mean says what it is without."""
    why = verdict.missing.get(concept)
    if why is not None or (concept == ALL and summary.value is None and verdict.missing):
        reason = why or "; ".join(verdict.missing.values())
        return _record(
            bench, verdict, concept=concept, **vars(replace(summary, value=None)), status="skipped", error=reason
        )
    without = (
        f"without {', '.join(verdict.missing)}: {'; '.join(verdict.missing.values())}" if verdict.missing else None
    )
    return _record(bench, verdict, concept=concept, **vars(summary), error=without if concept == ALL else None)


def values(bench: Workbench, verdict: Verdict) -> pd.DataFrame:
    """Return a metric's per-image values as the long table `id, concept, metric, value, defined, flat`."""
    if verdict.values is None:
        return no_values()
    said = verdict.values
    asked = said.values.shape[1]
    names = _names(bench, verdict)
    return pd.DataFrame(
        {
            "id": [name for name in verdict.ids for _ in range(asked)],
            "concept": [names[k] for k in verdict.targets.flatten().tolist()],
            "metric": verdict.spec,
            "value": said.values.cpu().flatten().numpy(),
            "defined": said.defined.cpu().flatten().numpy(),
            "flat": said.flat.cpu().flatten().numpy(),
        }
    )


def _names(bench: Workbench, verdict: Verdict) -> tuple[str, ...]:
    return ("cost",) if verdict.metric.reads is Cost else bench.dataset.names


def failure(cell: Cell, given: Given, status: Status, error: str) -> list[Record]:
    """Return the rows of a cell that gave nothing: one for each of its metrics, with the reason."""
    origin = _origin(cell, given.load("methods", cell.method), "unknown", "unknown")
    metrics = {spec: given.load("metrics", spec) for spec in cell.metrics}
    return [
        Record(**origin, **_described(metric), metric=spec, status=status, error=error)
        for spec, metric in metrics.items()
    ]


def _record(bench: Workbench, verdict: Verdict, **numbers: Any) -> Record:
    origin = _origin(bench.cell, bench.method, bench.model.weights, bench.dataset.revision)
    origin["batch_size"] = bench.batch_size  # half the cell's, if memory ran out
    return Record(**origin, **_described(verdict.metric), metric=verdict.spec, **numbers)


def _described(metric: Any) -> dict[str, Any]:
    low, high = metric.range
    return {
        "metric_version": metric.version,
        "metric_settings": json.dumps(registry.settings_of(metric), sort_keys=True),
        "better": metric.better,
        "range_low": low if math.isfinite(low) else None,
        "range_high": high if math.isfinite(high) else None,
        "reads": metric.reads.__name__.lower(),
    }


def _origin(cell: Cell, method: Method, weights: str, revision: str) -> dict[str, Any]:
    """Return the columns that say where a row comes from; `run` is filled in by whoever keeps the row."""
    return {
        "run": "",
        "model": cell.model,
        "weights": weights,
        "method": cell.method,
        "settings": json.dumps(registry.settings_of(method), sort_keys=True),
        "method_code": registry.code_digest(method),
        "dataset": cell.dataset,
        "revision": revision,
        "seed": cell.seed,
        "cell": cell.id,
        "device": cell.device,
        "batch_size": cell.batch_size,
        "family": method.family,
        "supervision": method.supervision,
        "control": method.control,
    }
