"""Tables for documents: Markdown and LaTeX, with everything escaped that these would read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ambench.numerals import printable
from ambench.sheets import Sheet, Text


def markdown(pages: Sequence[Sheet], remarks: Sequence[str]) -> str:
    """Return tables as Markdown, the remarks first."""
    lines = [f"- {_plain(remark)}" for remark in remarks]
    for sheet in pages:
        heads = [sheet.corner, *sheet.heads]
        lines += ["", f"## {_plain(sheet.title)}", "", _markdown_line(map(_plain, heads)), _markdown_rule(len(heads))]
        for group, members in sheet.groups:
            if group and members:
                lines.append(_markdown_line([f"*{_plain(group)}*", *[""] * len(sheet.heads)]))
            lines += [_markdown_line([_plain(name), *map(_markdown_text, texts)]) for name, texts in members]
        lines += [line for note in sheet.notes for line in ("", _plain(note))]
    return "\n".join(lines) + "\n"


def _markdown_line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _markdown_rule(columns: int) -> str:
    return f"|{' :--- |'}{' ---: |' * (columns - 1)}"


def _markdown_text(text: Text) -> str:
    plain = _plain(text.text)
    return f"**{plain}**" if text.best else f"*{plain}*" if text.floored else plain


def _plain(text: str) -> str:
    """A text with everything escaped that Markdown or HTML would read."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", printable(text))


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {"†": r"$^\dagger$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$", "…": r"\ldots{}"}
_LATEX |= {"<": "$<$", ">": "$>$", "|": "$|$"} | {letter: f"\\{letter}" for letter in "&%$#_{}"}


def latex(pages: Sequence[Sheet], remarks: Sequence[str]) -> str:
    """Return tables as LaTeX floats, the remarks as comments before them."""
    legend = [f"% {remark}" for remark in map(printable, remarks)]
    return "\n".join([*legend, *(line for sheet in pages for line in _latex_table(sheet))]) + "\n"


def _latex_table(sheet: Sheet) -> list[str]:
    caption = " ".join(map(_tex, (sheet.title, *sheet.notes)))
    columns = "l" + "r" * len(sheet.heads)
    lines = ["", r"\begin{table}", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}", r"\hline"]
    lines += [_latex_line(map(_tex, (sheet.corner, *sheet.heads))), r"\hline"]
    for group, members in sheet.groups:
        if group and members:
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{_tex(group)}}}}} \\")
        lines += [_latex_line([_tex(name), *map(_latex_text, texts)]) for name, texts in members]
    return [*lines, r"\hline", r"\end{tabular}", r"\end{table}"]


def _latex_line(texts: Iterable[str]) -> str:
    return f"{' & '.join(texts)} \\\\"


def _latex_text(text: Text) -> str:
    plain = _tex(text.text)
    return rf"\textbf{{{plain}}}" if text.best else rf"\textit{{{plain}}}" if text.floored else plain


def _tex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in printable(text))
