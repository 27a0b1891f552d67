"""Which heatmaps beat their controls, and whether metrics without masks agree with masks and with one another.

python studies/attribution.py RUN               prints the tables as Markdown
python studies/attribution.py RUN --page        writes them into docs/studies/attribution.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, ttest_1samp

from ambench import registry
from ambench.core import generator
from ambench.results import Results
from ambench.statistics import holm
from pages import DOCS, half_width, show

PAGE = DOCS / "attribution.md"
CONTROLS = ("centre_gaussian", "edges")
UNTRAINED = "untrained"
LOCATING = ("pixel_auroc", "energy_inside", "pointing_game")
DRAWS = 1_000
DIGITS = 6  # of a mean: variants of Grad-CAM that are one formula on this network differ by rounding


def rows_of(results: Results) -> pd.DataFrame:
    """Return each image's mean over its concepts: one row for each network, method, metric and image, up is better."""
    frame = results.to_frame("image")
    frame = frame[frame.defined].astype({"model": str, "method": str, "metric": str, "id": str})
    means = frame.groupby(["model", "method", "metric", "id"], sort=False).value.mean().reset_index()
    direction = {spec: registry.load("metrics", spec).better for spec in means.metric.unique()}
    turned = means.metric.map(direction).eq("lower")
    means["value"] = means.value.where(~turned, -means.value)
    means["metric"] = means.metric.str.partition(":")[0]
    return means


def is_control(method: str) -> bool:
    """Say whether a method is a control."""
    return bool(registry.load("methods", method).control)


def table(frame: pd.DataFrame, model: str, metric: str) -> pd.DataFrame:
    """Return a metric's values of one network: images (rows) that every method (columns) has."""
    rows = frame[(frame.model == model) & (frame.metric == metric)]
    return rows.pivot_table(index="id", columns="method", values="value", sort=False).dropna()


# ------------------------------------------------------------------------------------------------ what is beaten


def gaps(frame: pd.DataFrame, model: str, metric: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return by method and by what it is held against how far it lies above that on each image.

    Held against the controls on the same images, and against itself on the untrained network.
    """
    found, floor = table(frame, model, metric), table(frame, f"{model}-{UNTRAINED}", metric)
    above: dict[str, dict[str, NDArray[np.float64]]] = {}
    for method in (name for name in found if not is_control(name)):
        others = {name: found[name] for name in CONTROLS if name in found}
        if method in floor:
            others[UNTRAINED] = floor[method]
        pairs = {name: found[method].sub(other).dropna() for name, other in others.items()}
        above[method] = {name: pair.to_numpy() for name, pair in pairs.items() if len(pair) > 1}
    return above


def significant(found: dict[str, dict[str, NDArray[np.float64]]]) -> dict[tuple[str, str], bool]:
    """Say which differences are told from 0 by a t test over images, after Holm over all that are given."""
    places = [(method, other) for method, others in found.items() for other in others]
    differences = [found[method][other] for method, other in places]
    p = [1.0 if not np.ptp(one) and not one[0] else float(ttest_1samp(one, 0).pvalue) for one in differences]
    return {place: value < 0.05 for place, value in zip(places, holm(np.nan_to_num(p)), strict=True)}


def beaten(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how far each method lies above its controls and above itself untrained, by where its evidence lies."""
    yield "| network | metric | method | value | above centre | above edges | above untrained | beats |"
    yield "|---|---|---|---:|---:|---:|---:|---|"
    for model in (name for name in dict.fromkeys(frame.model) if not name.endswith(UNTRAINED)):
        for metric in LOCATING:
            found = gaps(frame, model, metric)
            sure, values = significant(found), table(frame, model, metric).mean()
            for method in sorted(found, key=lambda name: -values[name]):
                cells = [_gap(found[method].get(other)) for other in (*CONTROLS, UNTRAINED)]
                better = [name for name, gap in found[method].items() if gap.mean() > 0 and sure[method, name]]
                said = "all" if len(better) == len(found[method]) else ", ".join(better) or "none"
                numbers = " | ".join([f"{values[method]:.3f}", *cells])
                yield f"| `{model}` | `{metric}` | `{method}` | {numbers} | {said} |"


def _gap(values: NDArray[np.float64] | None) -> str:
    if values is None:
        return ""
    mean, half = float(values.mean()), half_width(values.tolist())
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


# ------------------------------------------------------------------------------------------------ who agrees


def agreement(one: pd.DataFrame, other: pd.DataFrame, key: str) -> tuple[float, float, float]:
    """Return the rank correlation of methods' means by two metrics, with its 95 % percentile interval over images.

    Images are drawn anew, the same for both metrics where both have them, and methods are ranked again each time.

    >>> rising = pd.DataFrame(np.outer(np.ones(9), [1.0, 2.0, 3.0]), columns=["a", "b", "c"])
    >>> agreement(rising, -rising, "example")
    (-1.0, -1.0, -1.0)
    """
    methods = [name for name in one if name in other]
    random = np.random.default_rng(generator("agreement", key).initial_seed())
    both = one.index.intersection(other.index, sort=False)
    shared = [part.loc[both, methods].to_numpy() for part in (one, other)]
    alone = [part.loc[part.index.difference(both, sort=False), methods].to_numpy() for part in (one, other)]

    def drawn() -> float:
        rows = random.integers(len(both), size=len(both))
        others = [rest[random.integers(len(rest), size=len(rest))] for rest in alone]
        parts = zip([first[rows] for first in shared], others, strict=True)
        return correlation(*(np.concatenate(part).mean(axis=0) for part in parts))

    low, high = np.quantile([drawn() for _ in range(DRAWS)], [0.025, 0.975])
    means = (np.concatenate(part).mean(axis=0) for part in zip(shared, alone, strict=True))
    return correlation(*means), float(low), float(high)


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the correlation of two rankings; means that differ by rounding alone are equal.

    >>> correlation(np.array([0.1, 0.2, 0.2 + 1e-12]), np.array([1.0, 2.0, 2.0]))
    1.0
    """
    ranks = [rankdata(np.round(part, DIGITS)) for part in (one, other)]
    return round(float(np.corrcoef(*ranks)[0, 1]), 12)


def agreements(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how alike each pair of metrics ranks the methods, controls left out."""
    yield "| network | methods | metrics | rank correlation | |"
    yield "|---|---:|---|---:|---|"
    for model in (name for name in dict.fromkeys(frame.model) if not name.endswith(UNTRAINED)):
        tables = {metric: table(frame, model, metric) for metric in dict.fromkeys(frame.metric)}
        tables = {metric: part[[name for name in part if not is_control(name)]] for metric, part in tables.items()}
        for one, other in combinations(tables, 2):
            if min(tables[one].shape[1], tables[other].shape[1]) < 3:
                continue
            mean, low, high = agreement(tables[one], tables[other], f"{model}/{one}/{other}")
            side = "agree" if low > 0 else "disagree" if high < 0 else "undecided"
            count = len(set(tables[one]) & set(tables[other]))
            yield f"| `{model}` | {count} | `{one}`, `{other}` | {mean:+.2f} [{low:+.2f}, {high:+.2f}] | {side} |"


def faithfulness(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what the metrics without masks say of each method, up is better; controls stand among them."""
    metrics = [metric for metric in dict.fromkeys(frame.metric) if metric not in LOCATING]
    yield f"| network | method | {' | '.join(f'`{metric}`' for metric in metrics)} |"
    yield f"|---|---|{'---:|' * len(metrics)}"
    rows = frame[~frame.model.str.endswith(UNTRAINED) & frame.metric.isin(metrics)]
    means = rows.groupby(["model", "method", "metric"], sort=False).value.mean().unstack()
    for (model, method), values in means.iterrows():
        numbers = ["" if pd.isna(values.get(metric)) else f"{values[metric]:.3f}" for metric in metrics]
        yield f"| `{model}` | `{method}` | {' | '.join(numbers)} |"


TABLES = {"beaten": beaten, "agreements": agreements, "faithfulness": faithfulness}


def main(argv: Iterable[str] | None = None) -> int:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="the folder of the study's run, or of its parts")
    parser.add_argument("--page", action="store_true", help="write the tables into the page instead of printing them")
    given = parser.parse_args(None if argv is None else list(argv))
    frame = pd.concat([rows_of(Results.open(run)) for run in given.run], ignore_index=True)
    show(frame, TABLES, PAGE if given.page else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
