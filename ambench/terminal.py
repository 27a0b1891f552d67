"""Tables for a terminal, in parts that fit it."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from ambench.numerals import printable
from ambench.sheets import Sheet, Text

_WIDE = 10_000  # columns of a page that never wraps


def text(pages: Sequence[Sheet], remarks: Sequence[str], width: int | None, colour: bool) -> str:
    """Return tables and remarks as plain text, with a terminal's codes if `colour`; None as width never splits."""
    page = io.StringIO()
    console = Console(file=page, width=_WIDE, force_terminal=colour, no_color=not colour, highlight=False)
    for sheet in pages:
        console.print(Styled(printable(sheet.title), style="bold"))
        for part in _split(sheet, width or _WIDE):
            console.print(_terminal_table(part))
        for note in sheet.notes:
            console.print(Styled(printable(note), style="italic"), width=width)
        console.print()
    for remark in remarks if pages else ["There is nothing to show: no cell is finished.", *remarks]:
        console.print(Styled(remark, style="dim"), width=width)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _terminal_table(sheet: Sheet) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(Styled(sheet.corner), no_wrap=True)
    for head in sheet.heads:
        table.add_column(Styled(printable(head)), justify="right", no_wrap=True)
    for group, lines in sheet.groups:
        if group and lines:
            table.add_row(Styled(printable(group), style="italic"))
        for name, texts in lines:
            table.add_row(Styled(printable(name)), *map(_styled, texts))
    return table


def _styled(text: Text) -> Styled:
    return Styled(printable(text.text), style="bold" if text.best else "dim" if text.floored else "")


def _split(sheet: Sheet, width: int) -> list[Sheet]:
    """The table in parts no wider than a page, if their columns let them."""
    names = [sheet.corner, *(name for group, lines in sheet.groups for name in (group, *(line[0] for line in lines)))]
    left = max(map(cell_len, names)) + 1
    parts: list[list[int]] = [[]]
    room = width - left
    for column, needed in enumerate(_widths(sheet)):
        if parts[-1] and needed > room:
            parts, room = [*parts, []], width - left
        parts[-1].append(column)
        room -= needed
    return [_columns(sheet, part) for part in parts]


def _widths(sheet: Sheet) -> list[int]:
    rows = [texts for _, lines in sheet.groups for _, texts in lines]
    return [max(cell_len(head), *(cell_len(r[c].text) for r in rows), 0) + 1 for c, head in enumerate(sheet.heads)]


def _columns(sheet: Sheet, columns: list[int]) -> Sheet:
    groups = tuple(
        (group, tuple((name, tuple(texts[c] for c in columns)) for name, texts in lines))
        for group, lines in sheet.groups
    )
    return Sheet(sheet.title, sheet.corner, tuple(sheet.heads[c] for c in columns), groups, sheet.notes)
