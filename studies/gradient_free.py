"""Searches without gradients, evaluation by evaluation: the tables of a run and its picture.

python studies/gradient_free.py RUN                   prints the tables as Markdown
python studies/gradient_free.py RUN --page            writes them into docs/studies/gradient_free.md, with the picture
python studies/gradient_free.py RUN --picture FILE    prints the tables and draws a picture of your own
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ambench import explanation_files, features, models, registry
from ambench.core import Portraits
from ambench.record import Record
from ambench.results import Results
from pages import DOCS, interval, verdict, written

PAGE = DOCS / "gradient_free.md"
PICTURE = DOCS.parent / "pictures" / "gradient_free.png"
MARKS = (100, 500, 1000, 2000, 5000, 10_000)  # evaluations
ORIGIN = ("model", "weights", "method", "dataset", "revision", "seed", "device", "method_code")
COLOURS = {"random": "0.5", "cma": "tab:blue", "protes": "tab:red"}
Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Search:
    """One search for one unit: its curve after each evaluation, 0 at blind draws, 1 at the strongest natural image.

    `seconds` of processor time went into the search itself and `network_seconds` into an evaluation.
    """

    network: str
    space: str
    name: str
    unit: str
    seed: int
    curve: Curve
    seconds: float
    network_seconds: float

    @property
    def budget(self) -> int:
        """How many evaluations it had."""
        return len(self.curve)

    @property
    def needed(self) -> float:
        """The evaluation that beat the strongest natural image, infinity if none did."""
        beaten = np.flatnonzero(self.curve > 1)
        return float(beaten[0] + 1) if len(beaten) else np.inf

    @property
    def area(self) -> float:
        """The mean of the curve over the logarithm of evaluations, from the first mark on."""
        evaluations = np.arange(min(MARKS[0], self.budget - 1), self.budget + 1)
        lasts = np.diff(np.log(evaluations))
        return float((self.curve[evaluations[:-1] - 1] * lasts).sum() / lasts.sum())

    def at(self, evaluations: float) -> float:
        """The best so far after some evaluations."""
        return float(self.curve[min(int(evaluations), self.budget) - 1])


# ------------------------------------------------------------------------------------------------ the run


def searches(run: Path) -> list[Search]:
    """Return every search of a run, from the portraits that it kept."""
    cells = {record.cell: record for record in Results.open(run).records if record.status == "ok"}
    return [search for record in cells.values() for search in _of_cell(run, record)]


def _of_cell(run: Path, record: Record) -> Iterator[Search]:
    origin = [getattr(record, name) for name in ORIGIN]
    kept = explanation_files.read(explanation_files.place(run, *origin), "cpu")
    if kept is None or not isinstance(kept[0], Portraits):
        raise SystemExit(f"the run has kept no portraits of {record.method} on {record.model}")
    portraits, (_, settings) = kept[0], registry.split(record.method)
    names, strongest = natural(record.model, record.dataset)
    details = portraits.details
    points = f", {settings['points']} points" if "points" in settings else ""
    for row, unit in enumerate(portraits.units.tolist()):
        blind = float(details["blind_mean"][row])
        yield Search(
            network=record.model,
            space=settings.get("space", "fourier"),
            name=settings.get("search", "cma") + points,
            unit=names[unit],
            seed=record.seed,
            curve=(portraits.history[row].double().numpy() - blind) / (strongest[unit] - blind),
            seconds=float(details["optimiser_seconds"][row]),
            network_seconds=float(details["model_seconds"][row] / details["evaluations"][row]),
        )


@cache
def natural(model_name: str, dataset_name: str) -> tuple[dict[int, str], dict[int, float]]:
    """Return the concepts' names and the logits of the strongest natural images, by output unit."""
    model, dataset = models.resolve(model_name), registry.load("datasets", dataset_name)
    strongest = features.logits(model, dataset.concepts("fit").images).amax(0)
    units = {model.units[name]: name for name in dataset.names}
    return units, {unit: float(strongest[unit]) for unit in units}


# ------------------------------------------------------------------------------------------------ the tables


def groups(found: Sequence[Search], *by: str) -> dict[tuple[str, ...], list[Search]]:
    """Return searches by some of their fields, in the order in which they first come."""
    grouped: dict[tuple[str, ...], list[Search]] = {}
    for search in found:
        grouped.setdefault(tuple(getattr(search, name) for name in by), []).append(search)
    return grouped


def by_unit(some: Sequence[Search], evaluations: float) -> dict[tuple[str, ...], float]:
    """Return each unit's mean over seeds of the best after some evaluations."""
    return {
        unit: float(np.mean([search.at(evaluations) for search in same]))
        for unit, same in groups(some, "network", "unit").items()
    }


def progress(found: Sequence[Search]) -> Iterator[str]:
    """Yield how good the best is after some evaluations: means over units, and how these spread."""
    marks = [mark for mark in MARKS if mark <= max(search.budget for search in found)]
    columns = [f"{mark:,}" for mark in marks] + ["worst unit", "middle half", "area"]
    yield f"| network | space | search | {' | '.join(columns)} |"
    yield f"|---|---|---|{'---:|' * len(columns)}"
    for (network, space, name), some in groups(found, "network", "space", "name").items():
        means = " | ".join(f"{np.mean(list(by_unit(some, mark).values())):.2f}" for mark in marks)
        low, high = np.quantile([search.at(search.budget) for search in some], [0.25, 0.75])
        worst = min(by_unit(some, some[0].budget).items(), key=lambda item: item[1])
        area = np.mean([search.area for search in some])
        yield (
            f"| {network} | {space} | {name} | {means} | {worst[1]:.2f} ({worst[0][1]}) "
            f"| {low:.2f} to {high:.2f} | {area:.2f} |"
        )


def efforts(found: Sequence[Search]) -> Iterator[str]:
    """Yield when natural images are beaten, and what an evaluation costs the search and the network."""
    yield "| network | space | search | evaluations until natural images are beaten | in | search, ms | network, ms |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for (network, space, name), some in groups(found, "network", "space", "name").items():
        needed = np.median([search.needed for search in some])
        beaten = sum(np.isfinite(search.needed) for search in some)
        own = 1000 * np.mean([search.seconds / search.budget for search in some])
        asked = 1000 * np.mean([search.network_seconds for search in some])
        median = f"{needed:,.0f}" if np.isfinite(needed) else "never"
        yield f"| {network} | {space} | {name} | {median} | {beaten} of {len(some)} | {own:.2f} | {asked:.2f} |"


def differences(found: Sequence[Search]) -> Iterator[str]:
    """Yield who is ahead, with 95 % t intervals over units: after the same evaluations, and after the same seconds.

    Seconds are those of a search for one unit: its own, and the network's for as many evaluations. The quicker search
    of a pair uses its whole budget; the slower one is read where it is then.
    """
    yield "| space | ahead by | after the same evaluations | | after the same seconds | |"
    yield "|---|---|---:|---|---:|---|"
    for (space,), some in groups(found, "space").items():
        named = groups(some, "name")
        for (one, mine), (other, theirs) in itertools.combinations(reversed(named.items()), 2):
            evaluations = paired(by_unit(mine, mine[0].budget), by_unit(theirs, theirs[0].budget))
            seconds = paired(*at_equal_seconds(mine, theirs))
            yield (
                f"| {space} | {one[0]} - {other[0]} | {interval(evaluations)} | {verdict(evaluations)} "
                f"| {interval(seconds)} | {verdict(seconds)} |"
            )


Means = dict[tuple[str, ...], float]


def at_equal_seconds(mine: Sequence[Search], theirs: Sequence[Search]) -> tuple[Means, Means]:
    """Return both searches' unit means where the quicker of the two has spent its budget."""
    both: tuple[Means, Means] = ({}, {})
    per_network = [groups(some, "network") for some in (mine, theirs)]
    for network in per_network[0].keys() & per_network[1].keys():
        pair = [place[network] for place in per_network]
        asked = max(np.mean([search.network_seconds for search in some]) for some in pair)  # blind draws shared theirs
        each = [np.mean([search.seconds / search.budget for search in some]) + asked for some in pair]
        time = min(cost * some[0].budget for cost, some in zip(each, pair, strict=True))
        for means, cost, some in zip(both, each, pair, strict=True):
            means |= by_unit(some, round(time / cost))
    return both


def paired(mine: Means, theirs: Means) -> list[float]:
    """Return the differences of the units that both have."""
    return [mine[unit] - theirs[unit] for unit in sorted(mine.keys() & theirs.keys())]


# ------------------------------------------------------------------------------------------------ the picture


def draw(found: Sequence[Search], file: Path) -> None:
    """Draw a panel for each network and space: medians over units and seeds, with the middle half."""
    panels = groups(found, "space", "network")
    rows, columns = (list(dict.fromkeys(key[axis] for key in panels)) for axis in (0, 1))
    shape = (len(rows), len(columns))
    figure, axes = plt.subplots(*shape, figsize=(4.2 * shape[1], 3 * shape[0]), sharex=True, squeeze=False)
    for (space, network), some in panels.items():
        axis = axes[rows.index(space), columns.index(network)]
        axis.set_title(f"{network}, {'slow waves' if space == 'fourier' else f'codes of {space}'}", fontsize=9)
        _curves(axis, some)
    for axis in axes[-1]:
        axis.set_xlabel("evaluations", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("best so far", fontsize=8)
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def _curves(axis: Axes, some: Sequence[Search]) -> None:
    axis.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
    for (name,), same in groups(some, "name").items():
        evaluations = np.unique(np.geomspace(1, same[0].budget, 200).astype(int))
        heights = np.array([search.curve[evaluations - 1] for search in same])
        low, middle, high = np.quantile(heights, [0.25, 0.5, 0.75], axis=0)
        kind, _, rest = name.partition(", ")
        colour = COLOURS.get(kind, "tab:green")
        axis.plot(evaluations, middle, color=colour, linestyle="--" if rest else "-", linewidth=1.2, label=name)
        axis.fill_between(evaluations, low, high, color=colour, alpha=0.12, linewidth=0)
    axis.set_xscale("log")
    axis.tick_params(labelsize=7)


TABLES = {"progress": progress, "efforts": efforts, "differences": differences}


def main() -> int:
    """Print the tables or write them into the page, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of the study's run")
    parser.add_argument("--page", action="store_true", help="write the tables into the page instead of printing them")
    parser.add_argument("--picture", type=Path, help="where the picture goes, if it is not the page's")
    given = parser.parse_args()
    found = searches(given.run)
    sections = {name: "\n".join(rows(found)) for name, rows in TABLES.items()}
    if given.page:
        sections["picture"] = f"![The best so far against evaluations](../pictures/{PICTURE.name})"
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections), encoding="utf-8")
    else:
        print("\n\n".join(sections.values()))
    if given.page or given.picture:
        draw(found, given.picture or PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
