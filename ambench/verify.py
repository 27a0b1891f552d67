"""Whether a run still says what its per-image values say: every aggregate is computed again, every digest checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pandas as pd

from ambench.record import ALL, Record
from ambench.statistics import Summary, middle, summarise
from ambench.store import Store

TOLERANCE = 1e-9  # relative; sums may be taken in another order
_NUMBERS = ("value", "ci_low", "ci_high", "n", "n_undefined", "n_flat")


def faults(path: str | Path) -> list[str]:
    """Return a sentence for each cell that is missing or damaged and each number that does not follow from its values.

    Raises InputError if there is no run or its manifest cannot be read.
    """
    store = Store.open(path)
    missing = [f"cell {cell} is unfinished, or its values lack the digest noted with it" for cell in store.unfinished()]
    values = store.values()
    tables = dict(iter(values.groupby(["cell", "metric"], observed=True)))
    rows = [row for row in store.records() if row.status == "ok"]
    found = []
    for key, group in groupby(rows, key=lambda row: (row.cell, row.metric)):
        found += list(_differences(list(group), tables.get(key)))
    return missing + found


def _differences(rows: list[Record], table: pd.DataFrame | None) -> Iterator[str]:
    if table is None:
        yield f"{rows[0].label} has no values"
        return
    again = _summaries(rows, table)
    for row in rows:
        summary = again.get(row.concept)
        wrong = [name for name in _NUMBERS if summary is None or not _same(getattr(row, name), getattr(summary, name))]
        if wrong:
            yield f"{row.label}, {row.concept}: {', '.join(wrong)} do not follow from the values"


def _summaries(rows: list[Record], table: pd.DataFrame) -> dict[str, Summary]:
    names = [row.concept for row in rows if row.concept != ALL] or sorted(set(table["concept"]))
    numbers = pd.Index(names).get_indexer(pd.Index(table["concept"].astype("object")))
    value, defined, flat = (table[name].to_numpy()[:, None] for name in ("value", "defined", "flat"))  # [n, 1]
    if rows[0].reads == "cost":
        return {ALL: middle(value, defined)}
    key = (rows[0].seed, rows[0].dataset)
    return summarise(value, defined, numbers[:, None], table["id"].tolist(), names, key, flat)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
