"""Whether explanations reveal which cue a network uses: twins compared in pairs, beside networks of the same cue.

python studies/texture_shape.py RUN               prints the tables as Markdown
python studies/texture_shape.py RUN --page        writes them into docs/studies/texture_shape.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from ambench import registry
from ambench.results import Results
from pages import DOCS, interval, show

PAGE = DOCS / "texture_shape.md"
CUES = ("shape", "texture")
FEWEST = 3  # networks of each cue, below which there is no null band


@dataclass(frozen=True)
class Comparison:
    """How often a shape network's evidence exceeds a texture network's, and one network's another's of the same cue."""

    twins: list[float]
    alike: list[float]  # each pair in both orders, so that their mean is .5

    @property
    def z(self) -> float | None:
        """The twins' mean in standard deviations of the null band; None without a band."""
        if len(self.alike) < 2 * FEWEST or not np.std(self.alike):
            return None
        return float((np.mean(self.twins) - np.mean(self.alike)) / np.std(self.alike))

    @property
    def verdict(self) -> str:
        """Whether every pair of twins lies beyond every pair of networks of the same cue."""
        if len(self.alike) < 2 * FEWEST:
            return "too few networks"
        low, high = min(self.alike), max(self.alike)
        if min(self.twins) > high:
            return "tells them apart"
        return "tells them apart the wrong way" if max(self.twins) < low else "no"


# ------------------------------------------------------------------------------------------------ evidence


def rows_of(results: Results) -> pd.DataFrame:
    """Return the per-image values with the network's architecture, its cue, and which cue is asked for."""
    frame = results.to_frame("image")
    frame = frame[[column for column in frame if column != "cell"]].copy()
    network = frame.model.astype(str).str.partition("@")[0]
    frame["architecture"] = network.str.removesuffix("-texture")
    frame["cue"] = np.where(network.str.endswith("-texture"), *CUES[::-1])
    asked = {
        name: registry.split(name, "datasets")[1].get("ask", "").removesuffix("s") for name in frame.dataset.unique()
    }
    frame["asked"] = frame.dataset.astype(str).map(asked)
    return frame


def evidence(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how much each explanation speaks for shape: a row for each network, method, target and place.

    A place is an image for heatmaps, a class for portraits (1 less their share of texture, averaged over restarts) and
    for probes (the accuracy of its shape less that of its texture). `target` is own or other, the cue explained.
    """
    keys = ["architecture", "cue", "model", "method"]
    frame = frame[frame.defined]
    maps = frame[frame.metric == "shape_evidence"].assign(evidence="shape_evidence", place=lambda rows: rows.id)
    maps["target"] = np.where(maps.cue == maps.asked, "own", "other")
    maps = maps[maps.id.isin(frame.id) & _answered(frame, maps)]
    portraits = frame[frame.metric == "texture_share"]
    portraits = portraits.groupby([*keys, "concept"], observed=True).value.mean().rsub(1).reset_index()
    portraits = portraits.assign(evidence="1 - texture_share", place=portraits.concept, target="own")
    probes = frame[frame.metric == "normal_accuracy"]
    accuracy = probes.pivot_table(index=[*keys, "concept"], columns="asked", values="value", observed=True)
    told = (
        accuracy.assign(value=accuracy["shape"] - accuracy["texture"]) if len(accuracy) else accuracy.assign(value=[])
    )
    told = told.reset_index().assign(evidence="accuracy", target="own")
    told["place"] = told.concept
    columns = [*keys, "evidence", "target", "place", "value"]
    return pd.concat([part[columns].astype({"place": str}) for part in (maps, portraits, told)], ignore_index=True)


def _answered(frame: pd.DataFrame, maps: pd.DataFrame) -> pd.Series:
    """Return of which maps the network names its own cue on that image."""
    said = frame[frame.metric == "shape_bias"]
    right = said[said.value == np.where(said.cue == "shape", 1.0, 0.0)]
    named = set(zip(right.model.astype(str), right.id.astype(str), strict=True))
    return pd.Series(
        [pair in named for pair in zip(maps.model.astype(str), maps.id.astype(str), strict=True)], maps.index
    )


# ------------------------------------------------------------------------------------------------ pairs


def exceeds(one: pd.Series, other: pd.Series) -> float:
    """Return P(one > other) + P(one = other) / 2 over the places that both have.

    >>> exceeds(pd.Series([1.0, 2.0, 3.0]), pd.Series([0.0, 2.0, 4.0]))
    0.5
    """
    one, other = one.align(other, join="inner")
    return float(((one > other) + (one == other) / 2).mean())


def comparison(place: pd.DataFrame) -> Comparison:
    """Return the comparison of the networks of one architecture, by one method's evidence."""
    networks = {
        cue: [rows.set_index("place").value for _, rows in part.groupby("model", observed=True)]
        for cue, part in place.groupby("cue", observed=True)
    }
    twins = [exceeds(one, other) for one, other in product(*(networks.get(cue, []) for cue in CUES))]
    alike = [exceeds(one, other) for cue in CUES for one, other in combinations(networks.get(cue, []), 2)]
    return Comparison(twins, [*alike, *(1 - value for value in alike)])


# ------------------------------------------------------------------------------------------------ the page


def answers(frame: pd.DataFrame) -> Iterator[str]:
    """Yield which cue the networks answer by: means over networks."""
    yield "| networks | shape bias | coverage | named by shape |"
    yield "|---|---:|---:|---:|"
    said = frame[frame.defined & frame.metric.isin(["shape_bias", "coverage", "hit_rate"])]
    means = said.groupby(["architecture", "cue", "model", "metric"], observed=True, sort=False).value.mean()
    for (architecture, cue), part in means.groupby(["architecture", "cue"], sort=False):
        numbers = [interval(part.xs(name, level="metric").tolist(), sign=False) for name in _ANSWERS]
        yield f"| `{architecture}`, trained on {cue} | {' | '.join(numbers)} |"


_ANSWERS = ("shape_bias", "coverage", "hit_rate")


def twins(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how often the shape network's evidence exceeds its texture twin's, beside the null band."""
    yield "| architecture | method | twins: mean (lowest to highest) | same cue: widest | z | other target | |"
    yield "|---|---|---:|---:|---:|---:|---|"
    found = evidence(frame)
    for (architecture, kind, method), place in found.groupby(["architecture", "evidence", "method"], sort=False):
        own = comparison(place[place.target == "own"])
        other = comparison(place[place.target == "other"])
        if own.twins:
            yield f"| `{architecture}` | {_name(kind, method)} | {_cells(own, other)} |"


def _cells(own: Comparison, other: Comparison) -> str:
    spread = f"{np.mean(own.twins):.3f} ({min(own.twins):.3f} to {max(own.twins):.3f})"
    band = f"{max(own.alike):.3f}" if own.alike else ""
    z = "" if own.z is None else f"{own.z:+.1f}"
    elsewhere = f"{np.mean(other.twins):.3f}" if other.twins else ""
    return f"{spread} | {band} | {z} | {elsewhere} | {own.verdict}"


def levels(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how much evidence of the own class's map lies on the outline: means over networks."""
    yield "| method | networks | trained on shape | trained on texture |"
    yield "|---|---|---:|---:|"
    found = evidence(frame)
    found = found[(found.evidence == "shape_evidence") & (found.target == "own")]
    means = found.groupby(["method", "architecture", "cue", "model"], observed=True, sort=False).value.mean()
    for (method, architecture), part in means.groupby(["method", "architecture"], sort=False):
        there = part.index.get_level_values("cue")
        numbers = [interval(part[there == cue].tolist(), sign=False) if cue in there else "" for cue in CUES]
        yield f"| `{method}` | `{architecture}` | {' | '.join(numbers)} |"


def _name(kind: str, method: str) -> str:
    return f"`{method}`" if kind == "shape_evidence" else f"`{method}`, by {kind}"


TABLES = {"answers": answers, "twins": twins, "levels": levels}


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
