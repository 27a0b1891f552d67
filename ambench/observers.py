"""What observers' decisions say, for the eye: shape bias, each category's, and error consistency, as three tables."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from ambench import consistency, decisions

_BIAS = "Shape bias: shape / (shape + texture), over all trials and (category_mean) as the mean over categories"
_CATEGORIES = "Shape bias of each category"
_KAPPA = "Error consistency: kappa of each two observers' right and wrong answers, 0 by chance"
_MEANS = "Error consistency within and between folders: mean kappa over pairs"


def report(trials: pd.DataFrame, seed: int = 0) -> str:
    """Return the tables of some trials as text: every observer's bias, then each category's, then kappa."""
    biases = decisions.bias_of(trials, seed)
    by_category = decisions.bias_by_category(trials, seed)
    parts = [f"{_BIAS}\n{_text(biases)}", f"{_CATEGORIES}\n{_text(_wide(by_category), '{:.3f}')}"]
    pairs = consistency.error_consistency(trials, seed)
    if len(pairs):
        parts.append(f"{_KAPPA}\n{_text(_square(pairs), '{:.2f}')}")
        parts.append(f"{_MEANS}\n{_text(consistency.mean_by_group(pairs))}")
    return "\n\n".join(parts)


def table_of(
    trials: pd.DataFrame, what: Literal["observer", "category", "pair"], format: Literal["text", "csv"]
) -> str:
    """Return one table with all its columns: a row for each observer, each one's categories, or each pair."""
    tables = {
        "observer": decisions.bias_of,
        "category": decisions.bias_by_category,
        "pair": consistency.error_consistency,
    }
    table = tables[what](trials)
    return table.to_csv(index=False).rstrip() if format == "csv" else _text(table)


def _wide(by_category: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each observer and a column for each category, both as they come."""
    index = ["group", "observer", "condition"]
    table = by_category.pivot(index=index, columns="category", values="shape_bias")
    order = list(dict.fromkeys(by_category[index].itertuples(index=False, name=None)))
    return table.loc[order].astype(float).reset_index()


def _square(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return kappa with the first observer of each pair down and the second across."""
    sides = [["group", "observer"], ["other_group", "other_observer"]]
    names = [pairs[side].agg("/".join, axis=1) for side in sides]
    long = pd.DataFrame({"condition": pairs["condition"], "observer": names[0], "beside": names[1]})
    table = long.assign(kappa=pairs["kappa"]).pivot(index=["condition", "observer"], columns="beside", values="kappa")
    order = list(dict.fromkeys(zip(long["condition"], long["observer"], strict=True)))
    return table.loc[order, list(dict.fromkeys(long["beside"]))].reset_index()


def _text(table: pd.DataFrame, number: str | None = None) -> str:
    return table.to_string(index=False, na_rep="", float_format=None if number is None else number.format)
