"""What a comparison of two runs found, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ambench.numerals import interval, number, price, printable
from ambench.record import Record
from ambench.statistics import Paired

Fate = Literal["worse", "better", "changed", "same"]
_LISTED = 8  # names in a list before it ends in "… and so many more"


@dataclass(frozen=True)
class Change:
    """One row in both runs: the paired test of run minus base, its p after Holm over `family` rows, and what it means.

    `counts` says that the difference is beyond chance and beyond the smallest effect; `base_only` and `run_only` are
    the images that one side lacks.
    """

    base: Record
    run: Record
    test: Paired
    p: float
    family: int
    smallest_effect: float
    counts: bool
    base_only: tuple[str, ...] = ()
    run_only: tuple[str, ...] = ()

    @property
    def fate(self) -> Fate:
        """Whether the row is worse, better, changed (its metric has no better direction) or the same."""
        if not self.counts:
            return "same"
        if self.base.better == "neither":
            return "changed"
        return "better" if (self.test.mean > 0) == (self.base.better == "higher") else "worse"

    def __str__(self) -> str:
        test = self.test
        verb = "rose" if test.mean > 0 else "fell"
        bounds = f" {interval(test.ci_low, test.ci_high)}" if test.ci_low is not None else ""
        return (
            f"{self.base.label} {verb} from {number(self.base.value)} to {number(self.run.value)}: "
            f"{test.mean:+.3g}{bounds} over n = {test.n} images, p = {self.p:.2g} (Holm over {self.family})"
        )


@dataclass(frozen=True)
class CostChange:
    """A cost of one row in both runs on the same device; beyond the ratio `limit` it is dearer."""

    base: Record
    run: Record
    limit: float
    may_fail: bool

    @property
    def ratio(self) -> float | None:
        """Run over base; None where the base paid nothing."""
        return self.run.value / self.base.value if self.base.value and self.run.value is not None else None

    @property
    def dearer(self) -> bool:
        """Whether the run pays more than `limit` times the base's price."""
        return self.ratio is not None and self.ratio > self.limit

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f", x {self.ratio:.2f}"
        return f"{self.base.label}: {price(self.base.value)} to {price(self.run.value)}{ratio}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The changes, costs and failures between a base and a run, the rows that only one has, and what was refused."""

    changes: tuple[Change, ...]
    costs: tuple[CostChange, ...]
    failed: tuple[Record, ...]
    still_failed: tuple[Record, ...]
    only_base: tuple[Record, ...]
    only_run: tuple[Record, ...]
    refused: tuple[str, ...]
    alpha: float
    smallest_effect: float | None

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The rows that are worse."""
        return self._of("worse")

    @property
    def improvements(self) -> tuple[Change, ...]:
        """The rows that are better."""
        return self._of("better")

    @property
    def dearer(self) -> tuple[CostChange, ...]:
        """The costs that rose beyond the ratio and may fail a verdict."""
        return tuple(cost for cost in self.costs if cost.dearer and cost.may_fail)

    @property
    def exit_code(self) -> int:
        """0: fine; 1: something is worse or failed. (2, usage, is an InputError and never gets here.)"""
        return int(bool(self.regressions or self.failed or self.dearer))

    def render(self) -> str:
        """Return the verdict as plain text: the metrics that fell first, with n."""
        rows = [
            self._headline(),
            *_section("Worse", self.regressions),
            *_section("Failed in the run", _reasons(self.failed)),
            *_section("Dearer", self.dearer),
            *_section("Better", self.improvements),
            *_section("Changed, without a better direction", self._of("changed")),
            *_section("Dearer by measurement (fails nothing unless asked)", self._measured()),
            *_section("Failed in both", _reasons(self.still_failed)),
            *_section("Not comparable", self.refused),
            *_section("Only in the base", _shortened(_labels(self.only_base))),
            *_section("Only in the run", _shortened(_labels(self.only_run))),
            *_section("Images on one side only", self._images()),
            *_section("What counts as worse", [self._rule()]),
        ]
        return "\n".join(printable(row) for row in rows)

    def _of(self, fate: Fate) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.fate == fate)

    def _headline(self) -> str:
        counts = Counter(change.fate for change in self.changes)
        fates = ", ".join(f"{counts[fate]} {fate}" for fate in ("worse", "better", "changed", "same") if counts[fate])
        costs = f"; {len(self.costs)} costs compared" if self.costs else ""
        return f"{len(self.changes)} rows compared{': ' if fates else ''}{fates}; {len(self.failed)} failed{costs}"

    def _measured(self) -> list[CostChange]:
        return [cost for cost in self.costs if cost.dearer and not cost.may_fail]

    def _images(self) -> list[str]:
        """One line for each dataset and side: rows of a dataset mostly lack the same images."""
        missing: dict[tuple[str, str], set[str]] = {}
        for change in self.changes:
            for side, names in (("base", change.base_only), ("run", change.run_only)):
                missing.setdefault((change.base.dataset, side), set()).update(names)
        lines = ((place, _shortened(sorted(names))) for place, names in missing.items() if names)
        return [f"{dataset}, only in the {side}: {', '.join(names)}" for (dataset, side), names in lines]

    def _rule(self) -> str:
        least = "1 % of the metric's range (without bounds: .05 standard deviations of the base's images)"
        least = least if self.smallest_effect is None else f"{self.smallest_effect:g}"
        return (
            f"the 95 % BCa interval of the paired difference excludes 0, the sign-flip p after Holm over the rows of "
            f"one metric, model and dataset is below {self.alpha:g}, and the difference is beyond {least}"
        )


def _section(title: str, lines: Iterable[object]) -> list[str]:
    rows = [f"  {line}" for line in lines]
    return ["", f"{title}:", *rows] if rows else []


def _labels(rows: Iterable[Record]) -> list[str]:
    """One line a cell, with its metrics."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row.cell_label, []).append(row.metric)
    return [f"{cell}: {', '.join(dict.fromkeys(metrics))}" for cell, metrics in cells.items()]


def _reasons(rows: Iterable[Record]) -> list[str]:
    """One line for each cell, status and reason, with the metrics it took along."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason = " ".join((row.error or "no reason given").split())
        found.setdefault((row.cell_label, f"{row.status}: {reason}"), []).append(row.metric)
    return [f"{cell}, {', '.join(dict.fromkeys(names))}: {reason}" for (cell, reason), names in found.items()]


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - _LISTED
    return [*names[:_LISTED], f"… and {more} more"] if more > 0 else list(names)
