"""Runs made of drawn numbers: stores with every kind of row, and no network anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ambench.provenance import Manifest
from ambench.record import Record
from ambench.results import Results
from ambench.statistics import summarise
from ambench.store import CellResult, Store

CONCEPTS = ("ring", "glyph")
METRICS: Mapping[str, Mapping[str, Any]] = {
    "hard_accuracy": {"better": "higher", "range_low": 0.0, "range_high": 1.0, "reads": "scores"},
    "iou": {"better": "higher", "range_low": 0.0, "range_high": 1.0, "reads": "heatmaps"},
    "score_drift": {"better": "lower", "range_low": 0.0, "range_high": None, "reads": "scores"},
    "shape_bias": {"better": "neither", "range_low": 0.0, "range_high": 1.0, "reads": "scores"},
}


@dataclass(frozen=True)
class Plan:
    """One synthetic cell: `level` moves all values, and `noise` is drawn anew for another `draw`."""

    method: str = "gradcam"
    model: str = "cnn"
    level: float = 0.5
    noise: float = 0.1
    draw: int = 0
    seed: int = 0
    n: int = 40
    family: str = "attribution"
    control: bool = False
    metrics: tuple[str, ...] = ("iou", "hard_accuracy")
    revision: str = "1"
    version: int = 1
    settings: str = "{}"
    status: str = "ok"
    error: str | None = None

    @property
    def id(self) -> str:
        return f"{self.model}-{self.method}-{self.seed}"


def numbers(plan: Plan, metric: str) -> np.ndarray:
    """Values [n, 2]: image difficulty that all methods share, the method's level, and its own noise."""
    shared = np.random.default_rng([len(metric), ord(metric[0])]).normal(size=(plan.n, 2)) * 0.1
    own = np.random.default_rng([plan.draw, plan.seed, *map(ord, plan.method + metric)]).normal(size=(plan.n, 2))
    return plan.level + shared + plan.noise * own


def records_of(plan: Plan, metric: str, values: np.ndarray | None) -> list[Record]:
    row = Record(
        run="",
        model=plan.model,
        weights="w",
        method=plan.method,
        method_code="c",
        settings=plan.settings,
        dataset="shapes",
        revision=plan.revision,
        seed=plan.seed,
        metric=metric,
        metric_version=plan.version,
        cell=plan.id,
        family=plan.family,
        control=plan.control,
        **METRICS[metric],
    )
    if values is None:
        return [replace(row, status=plan.status, error=plan.error)]
    concepts = np.tile([0, 1], (len(values), 1))
    found = summarise(values, np.ones(values.shape, bool), concepts, ids(plan), CONCEPTS, (plan.seed, "shapes"))
    return [replace(row, concept=name, **vars(summary)) for name, summary in found.items()]


def ids(plan: Plan) -> list[str]:
    return [f"image-{i:03d}" for i in range(plan.n)]


def cell(plan: Plan) -> CellResult:
    if plan.status != "ok":
        rows = [row for metric in plan.metrics for row in records_of(plan, metric, None)]
        return CellResult(plan.id, rows, status=plan.status, error=plan.error)
    drawn = {metric: numbers(plan, metric) for metric in plan.metrics}
    rows = [row for metric, values in drawn.items() for row in records_of(plan, metric, values)]
    tables = [long(plan, metric, values) for metric, values in drawn.items()]
    return CellResult(plan.id, rows, pd.concat(tables, ignore_index=True))


def long(plan: Plan, metric: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": np.repeat(ids(plan), 2),
            "concept": np.tile(CONCEPTS, plan.n),
            "metric": metric,
            "value": values.ravel(),
            "defined": True,
            "flat": False,
        }
    )


def cost(plan: Plan, seconds: float, passes: float, device: str = "cpu") -> CellResult:
    """A cell of costs, five repeats each."""
    row = replace(records_of(replace(plan, status="skipped"), "iou", None)[0], status="ok", reads="cost", error=None)
    row = replace(row, better="lower", cell=f"{plan.id}-cost", device=device, range_high=None, n=5)
    prices = {"seconds_per_image": seconds, "model_passes": passes}
    values = pd.DataFrame(
        [(f"repeat-{i}", "all", name, price, True, False) for name, price in prices.items() for i in range(5)],
        columns=["id", "concept", "metric", "value", "defined", "flat"],
    )
    return CellResult(row.cell, [replace(row, metric=name, value=price) for name, price in prices.items()], values)


def manifest(results: Sequence[CellResult], suite: Mapping[str, Any] | None = None) -> Manifest:
    cells = {result.id: {"method": result.id} for result in results}
    return Manifest(run="synthetic", suite=suite or {"seed": 0}, cells=cells, devices={"cpu": "a chip"})


def store(path: Path, results: Sequence[CellResult], **more: Any) -> Store:
    """A finished run in a folder."""
    made = Store.create(path, replace(manifest(results), **more))
    for result in results:
        made.finish(replace(result, records=[replace(row, run="synthetic") for row in result.records]))
    return made


def results(path: Path, plans: Sequence[Plan], *more: CellResult, **changed: Any) -> Results:
    """What a run of these cells found."""
    return Results.from_store(store(path, [*map(cell, plans), *more], **changed))


PLANS = (
    Plan("actmax", family="synthesis", level=0.55, metrics=("iou", "hard_accuracy", "score_drift", "shape_bias")),
    Plan("cav", family="probes", level=0.7),
    Plan("gradcam", level=0.6),
    Plan("saliency", level=0.605),
    Plan("random_map", family="attribution", control=True, level=0.3),
    Plan("edges", family="attribution", control=True, level=0.595),
    Plan("prediction", metrics=("hard_accuracy",), level=0.9),
)
