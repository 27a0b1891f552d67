"""A run to look at: its records with floors, and the per-image values behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ambench.clusters import Clusters, pool
from ambench.compare import compare
from ambench.core import InputError, nearest
from ambench.floors import with_floors
from ambench.provenance import Manifest
from ambench.record import KEYS, Record
from ambench.sheets import By
from ambench.store import Store
from ambench.table import Format, render
from ambench.verdict import Verdict

_LEVELS = ("cell", "image")


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a run found: rows with floors, and the long table of per-image values with what their cells are."""

    manifest: Manifest
    records: tuple[Record, ...]
    values: pd.DataFrame
    unfinished: tuple[str, ...] = ()

    @staticmethod
    def open(path: str | Path) -> Results:
        """Return the results in a run's folder; raises InputError if there is no run or it cannot be read."""
        return Results.from_store(Store.open(path))

    @staticmethod
    def from_store(store: Store) -> Results:
        """Return the results of the cells that are finished."""
        rows = with_floors(store.records())
        return Results(store.manifest, tuple(rows), store.values(), tuple(store.unfinished()))

    @property
    def failed(self) -> tuple[Record, ...]:
        """The rows that failed, ran out of memory or out of time; skipped ones did neither."""
        return tuple(record for record in self.records if record.failed)

    def to_frame(self, level: Literal["cell", "image"] = "cell") -> pd.DataFrame:
        """Return one row a record, or one a per-image value; raises InputError for another level."""
        if level not in _LEVELS:
            raise InputError(f"results have no level '{level}'; {nearest(level, _LEVELS)}")
        if level == "image":
            return self.values.copy()
        return pd.DataFrame([record.to_dict() for record in self.records], columns=list(KEYS))

    def table(self, format: Format = "text", by: By = "model") -> str:
        """Return the readable view, see `ambench.table.render`."""
        return render(self, format, by)

    def compare(self, run: Results, smallest_effect: float | None = None, alpha: float = 0.05) -> Verdict:
        """Return what became of these results in another run, see `ambench.compare.compare`."""
        return compare(self, run, smallest_effect, alpha)

    def gather(self, cells: Iterable[str], metric: str, concepts: Sequence[str]) -> Clusters:
        """Return a metric's per-image values of some cells (seeds of one method), gathered by image and concept."""
        rows = [self._rows[cell, metric] for cell in cells if (cell, metric) in self._rows]
        table = self.values.iloc[np.concatenate(rows) if rows else []]
        number = pd.Index(concepts).get_indexer(pd.Index(table["concept"].astype("object")))
        known = table["defined"].to_numpy(bool) & (number >= 0)
        ids = table["id"].astype("object").tolist()
        return pool(table["value"].to_numpy(np.float64), known, number.astype(np.int64), ids, len(concepts))

    def concepts(self, cells: Iterable[str], metric: str) -> list[str]:
        """Return the names of the concepts that a metric scored in some cells, sorted."""
        rows = [self._rows[cell, metric] for cell in cells if (cell, metric) in self._rows]
        found: set[str] = set()
        for part in rows:
            found.update(self.values["concept"].iloc[part].unique())
        return sorted(found)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], NDArray[np.intp]]:
        """Where the values of each cell and metric lie."""
        cells, metrics = (self.values[name].astype("category").cat for name in ("cell", "metric"))
        width = max(1, len(metrics.categories))
        codes = cells.codes.to_numpy(np.int64) * width + metrics.codes.to_numpy(np.int64)
        order = np.argsort(codes, kind="stable")
        places, starts = np.unique(codes[order], return_index=True)
        found = zip(places.tolist(), np.split(order, starts[1:]), strict=False)  # nothing splits into one empty part
        return {(str(cells.categories[p // width]), str(metrics.categories[p % width])): rows for p, rows in found}
