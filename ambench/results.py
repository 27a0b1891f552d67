"""A run to look at: its records with floors, and the per-image values behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from ambench.compare import compare
from ambench.core import InputError, nearest
from ambench.floors import with_floors
from ambench.gathering import Gathering
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

    def table(self, format: Format = "text", by: By = "model", width: int | None = None, colour: bool = False) -> str:
        """Return the readable view, see `ambench.table.render`."""
        return render(self, format, by, width, colour)

    def compare(self, run: Results, smallest_effect: float | None = None, alpha: float = 0.05) -> Verdict:
        """Return what became of these results in another run, see `ambench.compare.compare`."""
        return compare(self, run, smallest_effect, alpha)

    @cached_property
    def gathering(self) -> Gathering:
        """The per-image values by cell and metric."""
        return Gathering(self.values)
