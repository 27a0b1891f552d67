"""Two runs become a verdict: what fell, rose or failed, image by image, with the chance of false alarms held."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ambench.clusters import Clusters, difference
from ambench.core import InputError
from ambench.record import ALL, Record
from ambench.statistics import Paired, holm, paired
from ambench.verdict import Change, CostChange, Verdict

if TYPE_CHECKING:  # Results offers this comparison
    from ambench.results import Results

SHARE_OF_RANGE = 0.01  # the smallest effect that counts, of a metric with two bounds
SHARE_OF_SPREAD = 0.05  # … and of one without, in standard deviations of the base's images
MEASURED = ("fit_seconds", "seconds_per_image", "peak_rss_mib")  # they vary from run to run, on one device too

_Key = tuple[str, ...]
_Pair = tuple[Record, Record]  # base, run


def compare(
    base: Results,
    run: Results,
    smallest_effect: float | None = None,
    alpha: float = 0.05,
    cost_ratio: float = 1.5,
    fail_on_measured_cost: bool = False,
) -> Verdict:
    """Return what became of a base's rows in another run.

    Rows are paired by model, method, settings, dataset, seed and metric, their images by id. A row is worse when the
    95 % interval of its paired difference excludes 0 in the bad direction, its sign-flip p is below `alpha` after Holm
    over all rows of its metric, model and dataset, and the difference is beyond the smallest effect: `smallest_effect`
    in the metric's units, else 1 % of its range or .05 standard deviations. Costs are compared on the same device only;
    those that are measured, not counted, fail nothing unless asked. Raises InputError when a run is not finished, or
    when the two share nothing that can be compared.
    """
    _refuse_unfinished(base, run)
    pairs, only_base, only_run = _matched(_scored(base), _scored(run))
    same, refused = _same_question(pairs)
    quality = [pair for pair in same if pair[0].reads != "cost"]
    changes, apart = _changes(base, run, quality, smallest_effect, alpha)
    costs, devices = _costs(base, run, [p for p in same if p[0].reads == "cost"], cost_ratio, fail_on_measured_cost)
    failed, still_failed = _failures(base, run)
    if not (changes or costs or failed or still_failed):
        reasons = [*refused, *apart, *devices, "no row has the same model, method, dataset, seed and metric in both"]
        raise InputError(f"nothing in the two runs can be compared: {reasons[0]}")
    return Verdict(
        changes=tuple(changes),
        costs=tuple(costs),
        failed=tuple(failed),
        still_failed=tuple(still_failed),
        only_base=tuple(only_base),
        only_run=tuple(only_run),
        refused=(*refused, *apart, *devices),
        alpha=alpha,
        smallest_effect=smallest_effect,
    )


def _refuse_unfinished(*several: Results) -> None:
    for results in several:
        if results.unfinished:
            missing, planned = len(results.unfinished), len(results.manifest.cells)
            run = results.manifest.run
            raise InputError(f"run '{run}' lacks {missing} of its {planned} cells; repeat its command, which goes on")


# ------------------------------------------------------------------------------------------------ pairing rows


def _scored(results: Results) -> list[Record]:
    return [row for row in results.records if row.concept == ALL and row.status == "ok" and row.value is not None]


def _exact(row: Record) -> _Key:
    return (*_loose(row), row.settings, row.metric_settings)


def _loose(row: Record) -> _Key:
    """Without the settings: a method that gained one, or changed a default, is still compared if it is the only one."""
    return (row.model, row.method, row.dataset, str(row.seed), row.metric)


def _matched(base: list[Record], run: list[Record]) -> tuple[list[_Pair], list[Record], list[Record]]:
    """The rows of both, paired, and those of one side only."""
    pairs: list[_Pair] = []
    for key in (_exact, _loose):
        found = list(_joined(base, run, key))
        pairs += found
        paired_rows = {id(row) for pair in found for row in pair}
        base = [row for row in base if id(row) not in paired_rows]
        run = [row for row in run if id(row) not in paired_rows]
    return pairs, base, run


def _joined(base: list[Record], run: list[Record], key: Callable[[Record], _Key]) -> Iterator[_Pair]:
    often = Counter(map(key, base)), Counter(map(key, run))
    there = {key(row): row for row in run}
    for row in base:
        name = key(row)
        if name in there and often[0][name] == often[1][name] == 1:
            yield row, there[name]


def _same_question(pairs: list[_Pair]) -> tuple[list[_Pair], list[str]]:
    """The pairs that ask the same question, and a sentence for each other."""
    reasons = [(_refusal(*pair), pair) for pair in pairs]
    refused = (f"{pair[0].label}: {reason}" for reason, pair in reasons if reason)
    return [pair for reason, pair in reasons if reason is None], list(refused)


def _refusal(base: Record, run: Record) -> str | None:
    """Why two rows of the same name are not the same question, if so."""
    if base.revision != run.revision:
        return f"revision {base.revision} of {base.dataset} in the base, {run.revision} in the run"
    if base.metric_version != run.metric_version:
        return f"version {base.metric_version} of {base.metric} in the base, {run.metric_version} in the run"
    if _set_apart(base, run):
        return f"{base.metric} was set to {base.metric_settings} in the base, to {run.metric_settings} in the run"
    return None


def _set_apart(base: Record, run: Record) -> bool:
    """Whether a setting of both metrics differs; one that a metric gained stands at its default."""
    one, other = json.loads(base.metric_settings), json.loads(run.metric_settings)
    return any(one[name] != other[name] for name in one.keys() & other.keys())


# ------------------------------------------------------------------------------------------------ quality


@dataclass(frozen=True, eq=False)
class _Side:
    """The images of one pair of rows."""

    base: Record
    run: Record
    before: Clusters
    after: Clusters
    differences: Clusters

    @property
    def family(self) -> _Key:
        return (self.base.model, self.base.dataset, self.base.metric, self.base.metric_settings)


def _changes(
    base: Results, run: Results, pairs: Iterable[_Pair], smallest: float | None, alpha: float
) -> tuple[list[Change], list[str]]:
    """The paired comparison of every two rows with common images, and what is to be said of the others."""
    sides = [_side(base, run, *pair) for pair in pairs]
    shared = [side for side in sides if len(side.differences)]
    apart = [f"{side.base.label}: no image is in both runs" for side in sides if not len(side.differences)]
    changes: list[Change] = []
    for _, members in groupby(sorted(shared, key=lambda side: side.family), key=lambda side: side.family):
        changes += _family(list(members), smallest, alpha)
    return changes, apart


def _side(base: Results, run: Results, before: Record, after: Record) -> _Side:
    cells = ([before.cell], before.metric), ([after.cell], after.metric)
    one, other = base.gathering, run.gathering
    concepts = sorted({*one.concepts(*cells[0]), *other.concepts(*cells[1])})
    values = one.gather(*cells[0], concepts), other.gather(*cells[1], concepts)
    return _Side(before, after, *values, difference(*values))


def _family(sides: list[_Side], smallest: float | None, alpha: float) -> list[Change]:
    tests = [_paired(side, len(sides)) for side in sides]
    adjusted = holm([test.p for test in tests])
    return [_change(s, t, p, smallest, alpha, len(sides)) for s, t, p in zip(sides, tests, adjusted, strict=True)]


def _paired(side: _Side, tests: int) -> Paired:
    return paired(side.differences, (side.base.seed, side.base.dataset), tests)


def _change(side: _Side, test: Paired, p: float, smallest: float | None, alpha: float, family: int) -> Change:
    least = _smallest_effect(side) if smallest is None else smallest
    counts = test.excludes_zero and p < alpha and abs(test.mean) > least
    return Change(
        base=side.base,
        run=side.run,
        test=test,
        p=p,
        family=family,
        smallest_effect=least,
        counts=counts,
        base_only=tuple(np.setdiff1d(side.before.ids, side.after.ids).tolist()),
        run_only=tuple(np.setdiff1d(side.after.ids, side.before.ids).tolist()),
    )


def _smallest_effect(side: _Side) -> float:
    low, high = side.base.range_low, side.base.range_high
    if low is not None and high is not None:
        return SHARE_OF_RANGE * (high - low)
    return SHARE_OF_SPREAD * float(side.before.shares().std(ddof=1)) if len(side.before) > 1 else 0.0


# ------------------------------------------------------------------------------------------------ costs, failures


def _costs(
    base: Results, run: Results, pairs: list[_Pair], ratio: float, fail_on_measured: bool
) -> tuple[list[CostChange], list[str]]:
    """The costs taken on the same device, and a sentence for each two devices that differ."""
    found: list[CostChange] = []
    apart: set[str] = set()
    for before, after in pairs:
        devices = _device(base, before), _device(run, after)
        if devices[0] != devices[1]:
            apart.add(f"costs are not compared: {devices[0]} in the base, {devices[1]} in the run")
        else:
            may_fail = fail_on_measured or before.metric.partition(":")[0] not in MEASURED
            found.append(CostChange(before, after, ratio, may_fail))
    return found, sorted(apart)


def _device(results: Results, row: Record) -> str:
    """The name of the hardware behind a row's device."""
    names: Mapping[str, str] = results.manifest.devices
    return names.get(row.device) or names.get(f"{row.device}:0") or row.device


def _failures(base: Results, run: Results) -> tuple[list[Record], list[Record]]:
    """The run's rows that failed, or are skipped where the base has a value; and those that failed in the base too."""
    before = {_loose(row) for row in base.failed}
    had_value = {_loose(row) for row in _scored(base)}
    lost = [row for row in run.records if row.status == "skipped" and _loose(row) in had_value]
    failed = [row for row in run.failed if _loose(row) not in before]
    return [*failed, *lost], [row for row in run.failed if _loose(row) in before]
