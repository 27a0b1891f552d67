"""What the studies' pages share: intervals over networks, and tables written between a page's markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

DOCS = Path(__file__).parents[1] / "docs" / "studies"
FEWEST = 3  # networks, below which there is a range and no interval


def interval(values: Sequence[float], sign: bool = True) -> str:
    """Return the mean of networks with its 95 % t interval, of fewer than three their range."""
    plus = "+" if sign else ""
    mean = float(np.mean(values))
    if len(values) < FEWEST:
        spread = f" ({min(values):{plus}.3f} to {max(values):{plus}.3f})" if len(values) > 1 else ""
        return f"{mean:{plus}.3f}{spread}, n {len(values)}"
    half = half_width(values)
    return f"{mean:{plus}.3f} [{mean - half:{plus}.3f}, {mean + half:{plus}.3f}], n {len(values)}"


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % t interval of a mean."""
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)


def verdict(values: Sequence[float]) -> str:
    """Return the side of 0 on which the interval lies."""
    if len(values) < FEWEST:
        return "too few networks"
    mean, half = np.mean(values), half_width(values)
    return "above 0" if mean - half > 0 else "below 0" if mean + half < 0 else "undecided"


def written(page: str, sections: Mapping[str, str]) -> str:
    """Return a page with what stands between its markers replaced; everything else stays as a person wrote it."""
    for name, text in sections.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        page, count = re.subn(pattern, lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page, flags=re.DOTALL)
        if not count:
            raise SystemExit(f"the page has no place for '{name}'")
    return page


def show(
    frame: pd.DataFrame, tables: Mapping[str, Callable[[pd.DataFrame], Iterator[str]]], page: Path | None = None
) -> None:
    """Print the tables of some rows, or write them into a page."""
    sections = {name: "\n".join(rows(frame)) for name, rows in tables.items()}
    if page is None:
        print("\n\n".join(sections.values()))
    else:
        page.write_text(written(page.read_text(encoding="utf-8"), sections), encoding="utf-8")
