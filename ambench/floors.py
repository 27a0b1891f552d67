"""Floors: what the best control, or the same method on the untrained model, reaches on the cell of a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace

from ambench.record import Record

UNTRAINED = "-untrained"  # a model's name with this is the same network before training


def with_floors(records: Iterable[Record]) -> list[Record]:
    """Return the rows with their floors: the best that a control, or the same method untrained, reaches on the cell.

    Controls have none, nor have costs, metrics without a better direction, and rows without a value.
    """
    rows = list(records)
    floors: dict[Hashable, list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        if row.value is None:
            continue
        if row.control:
            floors[_place(row, row.model), None].append((row.value, row.method))
        elif row.model.endswith(UNTRAINED):
            trained = row.model.removesuffix(UNTRAINED)
            floors[_place(row, trained), (row.method, row.settings)].append((row.value, row.model))
    return [_with_floor(row, floors) for row in rows]


def _place(row: Record, model: str) -> Hashable:
    """What a row and its floor share."""
    metric = (row.metric, row.metric_version, row.metric_settings)
    return (model, row.dataset, row.revision, row.seed, *metric, row.concept)


def _with_floor(row: Record, floors: dict[Hashable, list[tuple[float, str]]]) -> Record:
    if row.control or row.value is None or row.better == "neither" or row.reads == "cost":
        return replace(row, floor=None, floor_control=None)
    place = _place(row, row.model)
    candidates = [*floors.get((place, None), ()), *floors.get((place, (row.method, row.settings)), ())]
    if not candidates:
        return replace(row, floor=None, floor_control=None)
    best = max if row.better == "higher" else min
    floor, control = best(candidates, key=lambda candidate: candidate[0])
    return replace(row, floor=floor, floor_control=control)
