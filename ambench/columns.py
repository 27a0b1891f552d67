"""Rows of words as aligned columns of plain text, which a pipe and a terminal can both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]], heading: Sequence[str] = ()) -> str:
    """Return rows as text in columns two spaces apart, an optional heading first.

    >>> print(columns([("cnn", 12), ("vit-untrained", 3)], heading=("model", "cells")))
    model          cells
    cnn            12
    vit-untrained  3
    """
    words = [[str(word) for word in row] for row in ([heading] if heading else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in words)
    return "\n".join(line.rstrip() for line in lines)
