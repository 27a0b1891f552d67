"""The table `labels.csv`: what each picture of a folder shows, one row a picture."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ambench.core import InputError, nearest

COLUMNS = ("file", "label", "shape", "texture")
NEEDED = ("file", "label")


@dataclass(frozen=True)
class Row:
    """What is said of one picture: its label, and the class that each of two cues names (None: no such column)."""

    label: str
    shape: str | None = None
    texture: str | None = None


def read_labels(path: Path, pictures: Collection[str]) -> dict[str, Row]:
    """Return the rows of a table by file name, in its order; raises InputError with the row that is wrong.

    `pictures` are the names that exist. Columns other than the four known ones are refused when they resemble one.

    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = table.write_text("file,label\\na.jpg,cat\\n")
    >>> read_labels(table, ["a.jpg"])
    {'a.jpg': Row(label='cat', shape=None, texture=None)}
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            _check_columns(path, reader.fieldnames or ())
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read as a table of text: {error}") from None
    rows: dict[str, Row] = {}
    for number, line in lines:
        place = f"line {number} of '{path}'"
        name = _cell(line, "file", place)
        if name not in pictures:
            raise InputError(f"{place} names '{name}', which is no picture in images/; {nearest(name, pictures)}")
        if name in rows:
            raise InputError(f"{place} names '{name}' a second time; one row a picture is wanted")
        rows[name] = _row(line, place)
    return rows


def _check_columns(path: Path, columns: Collection[str]) -> None:
    for name in NEEDED:
        if name not in columns:
            found = ", ".join(columns) or "nothing"
            raise InputError(f"'{path}' has no column '{name}': its first line must name the columns, but has {found}")
    for name in columns:
        if name not in COLUMNS and "did you mean" in nearest(name, COLUMNS):
            raise InputError(f"'{path}' has a column '{name}'; {nearest(name, COLUMNS)}")


def _row(line: Mapping[str, str | None], place: str) -> Row:
    cues = [_cell(line, cue, place) if cue in line else None for cue in ("shape", "texture")]
    return Row(_cell(line, "label", place), *cues)


def _cell(line: Mapping[str, str | None], column: str, place: str) -> str:
    text = (line.get(column) or "").strip()
    if not text:
        raise InputError(f"{place} has no {column}")
    return text
