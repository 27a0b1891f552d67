"""The readable views of a run, and its records as they are: text, Markdown, CSV, LaTeX, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ambench.board import board
from ambench.core import InputError, nearest
from ambench.documents import latex, markdown
from ambench.sheets import LEGEND, By, Sheet, sheets
from ambench.terminal import text

if TYPE_CHECKING:  # Results offers its table
    from ambench.results import Results

Format = Literal["text", "md", "csv", "latex", "json"]
_CSV = (
    *("model", "dataset", "method", "settings", "seed", "concept", "metric", "better", "value", "ci_low", "ci_high"),
    *("n", "n_undefined", "n_flat", "floor", "floor_control", "beats_floor", "status", "error"),
)


def render(
    results: Results, format: Format = "text", by: By = "model", width: int | None = None, colour: bool = False
) -> str:
    """Return a run as text; `json` and `csv` hold every record, the others one view: by model, method or metric.

    `width` splits text tables that are wider; `colour` adds a terminal's codes. Raises InputError for an unknown format
    or view.
    """
    records: Mapping[str, Callable[[Results], str]] = {"json": _json, "csv": _csv}
    views: Mapping[str, Callable[[Sequence[Sheet], Sequence[str]], str]] = {
        "text": lambda pages, notes: text(pages, notes, width, colour),
        "md": markdown,
        "latex": latex,
    }
    _known("format", format, [*views, *records])
    _known("view", by, ["model", "method", "metric"])
    if format in records:
        return records[format](results)
    return views[format](sheets(board(results), by), _remarks(results))


def _known(what: str, name: str, valid: list[str]) -> None:
    if name not in valid:
        raise InputError(f"a table has no {what} '{name}'; {nearest(name, valid)}")


def _remarks(results: Results) -> list[str]:
    """What a reader of any view must know: the marks, and whether the run is whole."""
    missing, planned = len(results.unfinished), len(results.manifest.cells)
    half = [f"This run is not finished: {missing} of {planned} cells are missing."] if missing else []
    return [*LEGEND, *half]


# ------------------------------------------------------------------------------------------------ records


def _json(results: Results) -> str:
    return json.dumps([record.to_dict() for record in results.records], indent=1, allow_nan=False)


def _csv(results: Results) -> str:
    page = io.StringIO()
    writer = csv.DictWriter(page, _CSV, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.to_dict() | {"beats_floor": record.beats_floor} for record in results.records)
    return page.getvalue()
