"""A table of numbers in a text file, each row with an answer: `table:PATH`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from ambench.core import InputError
from ambench.datasets.files.digests import content_digest
from ambench.datasets.tabular.rows import FEW, Rows, chosen
from ambench.datasets.tabular.tabular import Tabular
from ambench.datasets.tabular.text import number_in, read_sheet


@dataclass(frozen=True)
class Table(Tabular):
    """Rows of comma-separated numbers; one column, `asked` (None: the last), is what the others are to tell.

    It holds classes if it has no more than ten different values or is no number; all are asked of every row, called
    as they are written. Otherwise it is a quantity, and present where it lies above the examples' median. `without`
    leaves columns out. Inputs are rows [D] without channels, scaled so that the examples span [0, 1]; shares `fit` and
    `calibrate` of the rows, equal ones together, are examples.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "trees.csv"
    >>> rows = [f"{n},{n % 7},{'tall' if n > 20 else 'small'}" for n in range(40)]
    >>> _ = file.write_text("\\n".join(["age,rings,tree", *rows]))
    >>> dataset = Table(str(file))
    >>> dataset.names, dataset.columns, len(next(iter(dataset)))
    (('small', 'tall'), ('age', 'rings'), 8)
    """

    name: ClassVar[str] = "table"
    citation: ClassVar[str] = "your own"

    path: str
    asked: str | None = None
    without: tuple[str, ...] = ()
    fit: float = 0.6
    calibrate: float = 0.2

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError("a table needs a path: table:PATH")
        self.rows.parts  # noqa: B018 - refuses files and settings that are wrong

    @property
    def revision(self) -> str:
        """Digest of the file's bytes, 16 hex digits."""
        return content_digest(Path(self.path))[:16]

    def read(self) -> Rows:
        """Return the file's rows."""
        sheet = read_sheet(Path(self.path))
        asked = sheet.columns[-1] if self.asked is None else self.asked
        places = chosen(sheet.columns, self.without, asked)
        values = torch.tensor([sheet.numbers(place) for place in places], dtype=torch.float64).T  # [N, D]
        cells = [row[sheet.columns.index(asked)] for row in sheet.rows]
        classes = len(set(cells)) <= FEW or any(number_in(cell) is None for cell in cells)
        labels = tuple(cells) if classes else ()
        quantity = None if classes else torch.tensor([float(cell) for cell in cells], dtype=torch.float64)
        names = tuple(sheet.columns[place] for place in places)
        return Rows(names, values, asked, labels, quantity, self.fit, self.calibrate)
