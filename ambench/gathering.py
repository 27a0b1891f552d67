"""The long table of per-image values, laid out so that one cell's values of one metric are found at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ambench.clusters import Clusters, pool_sorted


class Gathering:
    """Per-image values by cell and metric; the table has the columns `cell, metric, id, concept, value, defined`."""

    def __init__(self, values: pd.DataFrame) -> None:
        self._ids, self._id_codes = _numbered(values["id"])
        self._concepts, self._concept_codes = _numbered(values["concept"])
        self._values = values["value"].to_numpy(np.float64)
        self._defined = values["defined"].to_numpy(bool)
        self._rows = _rows(*_numbered(values["cell"]), *_numbered(values["metric"]))

    def concepts(self, cells: Iterable[str], metric: str) -> list[str]:
        """Return the names of the concepts that a metric scored in some cells, sorted."""
        return [str(name) for name in self._concepts[np.unique(self._concept_codes[self._places(cells, metric)])]]

    def gather(self, cells: Iterable[str], metric: str, concepts: Sequence[str]) -> Clusters:
        """Return a metric's values of some cells (seeds of one method), gathered by image and concept."""
        places = self._places(cells, metric)
        column = {name: number for number, name in enumerate(concepts)}
        columns = np.array([column.get(str(name), -1) for name in self._concepts], dtype=np.int64)
        asked = columns[self._concept_codes[places]] if len(columns) else np.zeros(0, np.int64)
        kept = places[asked >= 0]
        images, rows = np.unique(self._id_codes[kept], return_inverse=True)
        numbers, known = self._values[kept], self._defined[kept]
        return pool_sorted(numbers, known, asked[asked >= 0], self._ids[images], rows, len(concepts))

    def _places(self, cells: Iterable[str], metric: str) -> NDArray[np.int64]:
        """Where the values of a metric in some cells lie."""
        found = [self._rows[cell, metric] for cell in cells if (cell, metric) in self._rows]
        return np.concatenate(found) if found else np.zeros(0, np.int64)


def _numbered(column: pd.Series) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """The names in a column, sorted, and the number of each row's."""
    categories = column.astype("category").cat
    names = np.asarray(categories.categories.astype("object").to_numpy(), dtype=np.str_)
    order = np.argsort(names)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    codes = np.asarray(categories.codes, dtype=np.int64)
    return names[order], np.asarray(place[codes], np.int64) if len(names) else codes


def _rows(
    cells: NDArray[np.str_], cell_codes: NDArray[np.int64], metrics: NDArray[np.str_], metric_codes: NDArray[np.int64]
) -> dict[tuple[str, str], NDArray[np.int64]]:
    """The rows of each cell and metric."""
    width = max(1, len(metrics))
    codes = cell_codes * width + metric_codes
    order = np.argsort(codes, kind="stable").astype(np.int64)
    found, starts = np.unique(codes[order], return_index=True)
    parts = np.split(order, starts[1:])
    places = zip(found.tolist(), parts, strict=False)  # an empty table splits into one empty part
    return {(str(cells[p // width]), str(metrics[p % width])): rows for p, rows in places}
