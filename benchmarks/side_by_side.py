"""Two ways to do the same work, timed in turn in one process on one thread or one GPU, and printed as ratios."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ambench import cost

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """`at least` wants theirs / ours to reach the target, `at most` wants ours / theirs to stay under it."""

    name: str
    ours: float
    theirs: float
    target: float
    want: Literal["at least", "at most"] = "at least"

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours if self.want == "at least" else self.ours / self.theirs

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.want == "at least" else self.ratio <= self.target

    def as_json(self) -> str:
        names = ("name", "ours", "theirs", "ratio", "want", "target", "met")
        return json.dumps({name: getattr(self, name) for name in names})

    def __str__(self) -> str:
        verdict = "met" if self.met else "NOT met"
        return (
            f"{self.name:64} ours {self.ours:9.4g}  theirs {self.theirs:9.4g}  "
            f"ratio {self.ratio:6.2f}  ({self.want} {self.target:g}: {verdict})"
        )


def least_seconds(works: Mapping[str, Work], repeats: int = 5) -> dict[str, float]:
    """Return the least time of each work; they take turns, so that a busy moment hits all of them.

    It is the processor's time, or, once the process works on a GPU, the clock's until that is done.
    """
    for work in works.values():
        work()  # warm up outside the clock
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = now()
            work()
            seconds[name].append(now() - start)
    return {name: min(taken) for name, taken in seconds.items()}


def now() -> float:
    """Return the time in seconds of the clock that `least_seconds` goes by."""
    if not torch.cuda.is_initialized():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def operations(works: Mapping[str, Work]) -> dict[str, float]:
    """Return the floating-point operations of each work, in units of 10^9."""
    return {name: cost.operations(work) / 1e9 for name, work in works.items()}


def arguments(description: str | None) -> argparse.Namespace:
    """Read `--json`, `--repeats` and `--device`, and keep torch on one thread."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one object per ratio")
    parser.add_argument("--repeats", type=int, default=5, help="turns of which the fastest counts")
    parser.add_argument("--device", default="cpu", help="cpu, cuda: of the networks of the two scripts about methods")
    torch.set_num_threads(1)
    return parser.parse_args()


def report(ratios: Sequence[Ratio], as_json: bool) -> int:
    """Print the ratios; return 1 if one of them misses its target."""
    for ratio in ratios:
        print(ratio.as_json() if as_json else ratio)
    if not as_json:
        card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_initialized() else ""
        print(f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}{card}", file=sys.stderr)
    return 0 if all(ratio.met for ratio in ratios) else 1
