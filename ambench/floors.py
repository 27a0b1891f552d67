"""Floors: what the best control, or the same method on the untrained model, reaches on the cell of a row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import NamedTuple

from ambench.record import Record

ANY = "any layer"
UNTRAINED = "-untrained"  # a model's name with this is the same network before training


def with_floors(records: Iterable[Record]) -> list[Record]:
    """Return the rows with their floors: the best that a control, or the same method untrained, reaches on the cell.

    Controls have none, nor have costs, metrics without a better direction, and rows without a value. A control that
    reads a layer is no floor for a method that reads another one, nor is one that has no answer for some concepts.
    """
    rows = list(records)
    floors: dict[Hashable, list[_Floor]] = defaultdict(list)
    for row in rows:
        if row.value is None or row.error is not None:
            continue
        if row.control:
            floors[_place(row, row.model), None].append(_Floor(row.value, row.method, _layer(row)))
        elif row.model.endswith(UNTRAINED):
            trained = row.model.removesuffix(UNTRAINED)
            floors[_place(row, trained), (row.method, row.settings)].append(_Floor(row.value, row.model, _layer(row)))
    return [_with_floor(row, floors) for row in rows]


def _place(row: Record, model: str) -> Hashable:
    """What a row and its floor share."""
    metric = (row.metric, row.metric_version, row.metric_settings)
    return (model, row.dataset, row.revision, row.seed, *metric, row.concept)


class _Floor(NamedTuple):
    value: float
    control: str
    layer: str  # that it reads, or ANY


def _layer(row: Record) -> str:
    """The layer that a row's method was told to read, the default one among them; ANY for a method without layers."""
    return json.dumps(json.loads(row.settings).get("layer", ANY))


def _with_floor(row: Record, floors: dict[Hashable, list[_Floor]]) -> Record:
    if row.control or row.value is None or row.better == "neither" or row.reads == "cost":
        return replace(row, floor=None, floor_control=None)
    place = _place(row, row.model)
    candidates = [*floors.get((place, None), ()), *floors.get((place, (row.method, row.settings)), ())]
    alike = [one for one in candidates if json.dumps(ANY) in (one.layer, _layer(row)) or one.layer == _layer(row)]
    if not alike:
        return replace(row, floor=None, floor_control=None)
    best = max if row.better == "higher" else min
    lowest = best(alike, key=lambda one: one.value)
    return replace(row, floor=lowest.value, floor_control=lowest.control)
