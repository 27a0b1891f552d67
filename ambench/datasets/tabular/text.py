"""Tables as text files: a row a line, a column between commas, the columns' names in the first line or nowhere."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from ambench.core import InputError


@dataclass(frozen=True)
class Sheet:
    """The cells of a table as text, with the columns' names; `first` is the file's line of the first row."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first: int

    def numbers(self, column: int) -> list[float]:
        """Return a column's numbers; raises InputError with the line of a cell that holds none."""
        found = []
        for row, cells in enumerate(self.rows):
            number = number_in(cells[column])
            if number is None:
                raise InputError(
                    f"column '{self.columns[column]}' of '{self.path}' holds '{cells[column]}' in row "
                    f"{row + self.first}, which is no number; leave the row out, or the column (without=…)"
                )
            found.append(number)
        return found


def read_sheet(path: Path) -> Sheet:
    """Return a table; raises InputError where it cannot be read, has no rows, or rows of different lengths.

    Where no cell of the first line is a number it names the columns; otherwise they are called by their place.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "few.csv"
    >>> _ = file.write_text("1,2.5\\n3,4\\n")
    >>> read_sheet(file).columns, read_sheet(file).rows
    (('column 1', 'column 2'), (('1', '2.5'), ('3', '4')))
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [tuple(cell.strip() for cell in line) for line in csv.reader(file) if any(map(str.strip, line))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read as a table of text: {error}") from None
    named = bool(lines) and all(number_in(cell) is None for cell in lines[0])
    columns = lines[0] if named else tuple(f"column {place + 1}" for place in range(len(lines[0]) if lines else 0))
    rows = tuple(lines[named:])
    if not rows:
        raise InputError(f"'{path}' has no rows; at least one line of numbers is wanted")
    for number, cells in enumerate(rows):
        if len(cells) != len(columns):
            raise InputError(f"row {number + 1 + named} of '{path}' has {len(cells)} cells, the first {len(columns)}")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"'{path}' has two columns '{twice}'; each needs a name of its own")
    return Sheet(path, columns, rows, 1 + named)


def number_in(text: str) -> float | None:
    """Return the finite number that a cell holds, None where it holds none.

    >>> number_in("1e3"), number_in("nan"), number_in("n/a")
    (1000.0, None, None)
    """
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
