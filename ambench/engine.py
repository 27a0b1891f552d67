"""The cells of a run, in order: quality cells side by side, then cost cells alone, the longest first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from ambench import registry
from ambench.core import InputError
from ambench.crew import Crew
from ambench.plan import NOTHING_GIVEN, Cell, Given
from ambench.store import Store
from ambench.worker import Done, Task, compute


def default_jobs(device: str) -> int:
    """Return how many workers a device can feed: one for each core this process may use, and one on a GPU.

    >>> default_jobs("cuda")
    1
    """
    if device != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(
    cells: Sequence[Cell],
    store: Store,
    jobs: int,
    timeout_seconds: float | None = None,
    given: Given = NOTHING_GIVEN,
) -> Iterator[Done]:
    """Compute cells into the store, yielding what became of each as it ends.

    With objects from Python, or `jobs` 0, everything runs in this process, where no time limit can be kept.
    Raises InputError when the run's folder cannot be written any more.
    """
    ordered = sorted(cells, key=effort, reverse=True)
    quality = [cell for cell in ordered if cell.kind == "quality"]
    cost = [cell for cell in ordered if cell.kind == "cost"]
    if given or jobs == 0:
        yield from map(_or_stop, _here([*quality, *cost], store, given))
        return
    for part, crew in (
        (quality, Crew(store, jobs, timeout_seconds)),
        (cost, Crew(store, 1, timeout_seconds, fresh=True)),
    ):
        with closing(crew.run(part)) as ends:
            yield from map(_or_stop, ends)


def effort(cell: Cell) -> float:
    """Return a rough guess of a cell's relative duration, so that the longest begin first.

    >>> slow = Cell("quality", "cnn", "actmax:steps=128", "shapes", ("iou",))
    >>> effort(slow) > effort(Cell("quality", "cnn", "gradcam", "shapes", ("iou",)))
    True
    """
    steps = registry.split(cell.method)[1].get("steps", "")
    repeats = 1 + (int(steps) / 16 if steps.isdigit() else 0)
    return repeats * (3 + len(cell.metrics)) * (2 if "vit" in cell.model else 1)


def _here(cells: Iterable[Cell], store: Store, given: Given) -> Iterator[Done]:
    for cell in cells:
        yield compute(Task(cell, cell.batch_size), store, given)


def _or_stop(done: Done) -> Done:
    if done.fatal is not None:
        raise InputError(done.fatal)
    return done
