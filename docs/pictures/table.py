"""Draws `table.svg` from a run, as a terminal shows it: python docs/pictures/table.py results/baseline [TITLE …]."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from ambench.results import Results
from ambench.table import render

TITLES = ("cnn on shapes: where is it?", "vit on shapes: where is it?")
PAPER = TerminalTheme((255, 255, 255), (30, 34, 40), [(30, 34, 40)] * 8)
PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="-18 -12 {terminal_width} {terminal_height}">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
 line-height: {line_height}px; white-space: pre; }}
{styles}
</style>
<defs>{lines}</defs>
<rect x="-18" y="-12" width="100%" height="100%" fill="#ffffff"/>
<g class="{unique_id}-matrix">
{backgrounds}
{matrix}
</g>
</svg>
"""


def main(run: str, *titles: str) -> None:
    """Write the picture beside this file."""
    page = render(Results.open(run), colour=True)
    sheets = [sheet for sheet in page.split("\n\n") if _title(sheet) in (titles or TITLES)]
    drawn = Text.from_ansi("\n\n".join(_tidy(sheet) for sheet in sheets))
    width = max(len(line) for line in drawn.plain.splitlines())
    console = Console(record=True, width=width + 3, file=io.StringIO())  # and a margin
    console.print(drawn)
    console.print()
    svg = console.export_svg(code_format=PAGE, theme=PAPER, unique_id="table")
    (Path(__file__).parent / "table.svg").write_text(svg, encoding="utf-8")


def _title(sheet: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", sheet.partition("\n")[0])


def _tidy(sheet: str) -> str:
    """Leave out the notes beneath the table: they start at the line that counts its pairs."""
    return sheet.partition("Holm over")[0].rstrip("\x1b[3m\n ")


if __name__ == "__main__":
    main(*sys.argv[1:])
