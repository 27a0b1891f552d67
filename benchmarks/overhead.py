"""The harness: wall time of a suite over the time that its fits, model passes and metrics take."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from side_by_side import Ratio, report

WORK = ("fit", "judge")  # stages of a cell that methods, models and metrics are to blame for


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one object per ratio")
    parser.add_argument("arguments", nargs="*", help="for `ambench run`, after `--`; none: the embedded suite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall = run(Path(folder, "run"), options.arguments)
        stages = seconds_by_stage(Path(folder, "run"))
    work = sum(stages[stage] for stage in WORK)
    if not options.json:
        print("  ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.most_common()), file=sys.stderr)
    return report(
        [Ratio("harness: wall s over s in fits, passes and metrics", wall, work, 1.15, "at most")], options.json
    )


def run(folder: Path, arguments: list[str]) -> float:
    """Return the wall seconds of a run in one process, imports included, in which nothing runs side by side."""
    program = [sys.executable, "-c", "from ambench.cli import main; main()"]
    start = time.perf_counter()
    done = subprocess.run(
        [*program, "run", *arguments, "--jobs", "0", "--quiet", "--out", str(folder)], stdout=subprocess.DEVNULL
    )
    if done.returncode not in (0, 1):
        sys.exit(f"`ambench run` ended with {done.returncode}")
    return time.perf_counter() - start


def seconds_by_stage(folder: Path) -> Counter[str]:
    stages: Counter[str] = Counter()
    for cell in (folder / "cells").glob("*.json"):
        stages.update(json.loads(cell.read_bytes())["timings"])
    return stages


if __name__ == "__main__":
    sys.exit(main())
