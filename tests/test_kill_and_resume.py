"""kill -9 at any moment, then the same command: the same table, and no finished cell computed twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ambench.results import Results

FAULTY = f"python:{Path(__file__).with_name('faulty.py')}"
NUMBERS = range(6)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Six cells that each say in a file when they are computed, and take a while."""
    methods = [f"{FAULTY}:Honest,log={tmp_path}/log,seconds=0.1,number={i}" for i in NUMBERS]
    grid = {
        "models": ["python:ambench.toy:network"],
        "methods": methods,
        "datasets": ["python:ambench.toy:Squares"],
        "metrics": [f"{FAULTY}:Strength"],
    }
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({"grids": [grid]}), encoding="utf-8")
    return path


def command(suite: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "ambench", "run", str(suite), "--out", str(out), "--jobs", "2", "--quiet"]


def finish(suite: Path, out: Path) -> None:
    ended = subprocess.run(command(suite, out), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def until(met: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def rows(out: Path) -> list[dict[str, Any]]:
    """What the table says; only the name of the run may differ between two folders."""
    return [{**row.to_dict(), "run": ""} for row in Results.open(out).records]


def written(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "cells").glob("*.json")}


def computed(tmp_path: Path) -> Counter[str]:
    """How often each cell asked its method."""
    return Counter(line.split()[0] for line in (tmp_path / "log").read_text().splitlines())


def workers(tmp_path: Path) -> set[int]:
    return {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()}


def method_number(cell: Path) -> str:
    method: str = json.loads(cell.read_text())["records"][0]["method"]
    return method.split("number=")[1]


def test_killed_at_any_moment_it_resumes_to_the_same_table(suite: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(suite, whole)
    once = computed(tmp_path)
    (tmp_path / "log").unlink()

    process = subprocess.Popen(command(suite, torn), start_new_session=True)
    until((tmp_path / "log").exists)  # in the middle of a cell
    process.kill()  # the parent alone: its workers must not go on without it
    process.wait()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers(tmp_path)))
    early = written(torn)

    process = subprocess.Popen(command(suite, torn), start_new_session=True)
    until(lambda: len(written(torn)) > len(early) + 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept, before = written(torn), computed(tmp_path)
    assert early.items() <= kept.items()  # not one was written again
    assert 0 < len(kept) < len(NUMBERS)

    finish(suite, torn)
    after = computed(tmp_path)
    finished = {method_number(torn / "cells" / name) for name in kept}
    assert kept.items() <= written(torn).items()
    assert rows(torn) == rows(whole)
    assert {number: after[number] - before[number] for number in once} == {
        number: 0 if number in finished else once[number] for number in once
    }


def hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and the tests may run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(suite, out), start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    until(lambda: len(written(out)) > 0)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == f"Stopped; what is finished lies in {out}, and the same command goes on from there.\n"
    assert 0 < len(written(out)) < len(NUMBERS)
