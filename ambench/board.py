"""Every number of a run once, over its seeds, with its place in the family that it was compared in."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ambench.clusters import Clusters
from ambench.ranks import Rank, family
from ambench.record import ALL, Record
from ambench.statistics import summarise_seeds

if TYPE_CHECKING:  # Results offers the table that is made of this
    from ambench.results import Results

REFERENCE = "prediction"  # the model's own answer: a ceiling, neither contender nor floor


@dataclass(frozen=True)
class Entry:
    """One method's number on one metric, model and dataset.

    `row` is the record, its value and interval those over all seeds; `seeds` are the single values; `best` says that it
    is in the best group of ties, `rank` where it stands among the contenders, `tests` how many pairs Holm saw.
    """

    row: Record
    method: str
    cells: tuple[str, ...] = ()
    seeds: tuple[float, ...] = ()
    best: bool = False
    rank: Rank | None = None
    tests: int = 0

    @property
    def is_reference(self) -> bool:
        """Whether this is the model's own answer."""
        return self.row.method.partition(":")[0] == REFERENCE

    @property
    def contends(self) -> bool:
        """Whether this is a method that wants to win."""
        return not (self.row.control or self.is_reference)


def board(results: Results) -> list[Entry]:
    """Return the entries of a run, in the order of its records: one for each method, metric, model and dataset."""
    rows = [row for row in results.records if row.concept == ALL]
    several = _named_alike(rows)
    found: dict[Hashable, list[Record]] = {}
    for row in rows:
        found.setdefault((row.model, row.dataset, row.metric, row.method, row.settings), []).append(row)
    families: dict[Hashable, list[Entry]] = {}
    for members in found.values():
        row = members[0]
        name = f"{row.method} {row.settings}" if row.method in several else row.method
        families.setdefault((row.model, row.dataset, row.metric), []).append(_entry(results, members, name))
    return [entry for members in families.values() for entry in _ranked(results, members)]


def _named_alike(rows: Iterable[Record]) -> set[str]:
    """The methods whose name alone does not tell their settings."""
    settings: dict[str, set[str]] = {}
    for row in rows:
        settings.setdefault(row.method, set()).add(row.settings)
    return {method for method, different in settings.items() if len(different) > 1}


def _entry(results: Results, members: list[Record], name: str) -> Entry:
    """One entry of the seeds of one method: the reason of the first that gave none, if none did."""
    there = [row for row in members if row.value is not None]
    cells, values = tuple(row.cell for row in there), tuple(row.value for row in there if row.value is not None)
    if len(there) < 2:
        return Entry(there[0] if there else members[0], name, cells, values)
    concepts = results.gathering.concepts(cells, there[0].metric)
    over_seeds = summarise_seeds([results.gathering.gather([cell], there[0].metric, concepts) for cell in cells])
    floors = [row.floor for row in there if row.floor is not None]
    merged = replace(
        there[0],
        value=over_seeds.value,
        ci_low=over_seeds.ci_low,
        ci_high=over_seeds.ci_high,
        n_undefined=max(row.n_undefined for row in there),
        n_flat=max(row.n_flat for row in there),
        floor=sum(floors) / len(floors) if floors else None,
    )
    return Entry(merged, name, cells, values)


def _ranked(results: Results, members: list[Entry]) -> list[Entry]:
    """The entries of one family with their ranks, where the metric has a direction and the images are shared."""
    first = members[0].row
    scored = [entry for entry in members if entry.row.value is not None]
    if first.better == "neither" or first.reads == "cost" or len(scored) < 2:
        return members
    compared = family(_gathered(results, scored), first.better, (first.dataset,))
    contenders = [entry.method for entry in scored if entry.contends]
    if not compared.n or not contenders:
        return members
    ranks = {rank.method: rank for rank in compared.ranks(contenders)}
    something_differs = any(rank.group > 1 for rank in ranks.values())
    tests = len(scored) * (len(scored) - 1) // 2
    placed = ((entry, ranks.get(entry.method)) for entry in members)
    return [
        replace(e, rank=rank, best=something_differs and rank is not None and rank.group == 1, tests=tests)
        for e, rank in placed
    ]


def _gathered(results: Results, entries: list[Entry]) -> dict[str, Clusters]:
    """The images of each method, all seeds together."""
    metric = entries[0].row.metric
    concepts = results.gathering.concepts([cell for entry in entries for cell in entry.cells], metric)
    return {entry.method: results.gathering.gather(entry.cells, metric, concepts) for entry in entries}
