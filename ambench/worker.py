"""A process that computes cells, one after another, and cannot outlive the one that asked for them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection

import torch

from ambench.core import InputError
from ambench.plan import NOTHING_GIVEN, Cell, Given
from ambench.record import Status
from ambench.run import run_cell
from ambench.store import CellResult, Store


@dataclass(frozen=True)
class Task:
    """A cell to compute, at its own batch size or at a smaller one."""

    cell: Cell
    batch_size: int


@dataclass(frozen=True)
class Done:
    """What became of a cell; its numbers lie in the store. `fatal` says why the whole run cannot go on."""

    cell: Cell
    status: Status
    error: str | None = None
    seconds: float = 0.0
    fatal: str | None = None


def compute(task: Task, store: Store, given: Given = NOTHING_GIVEN) -> Done:
    """Compute one cell on one thread, keep it, and say what became of it; what cannot be kept is fatal."""
    start = time.perf_counter()
    with one_thread():
        result = _result(task, store, given)
    try:
        store.finish(result)
    except InputError as error:
        return Done(task.cell, "failed", str(error), fatal=str(error))
    return Done(task.cell, result.status, result.error, time.perf_counter() - start)


def work(connection: Connection, store: Store) -> None:
    """Compute the tasks that arrive until the other end closes; the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides what it means
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(compute(task, store))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, so that sums are added in the same order however many workers there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _result(task: Task, store: Store, given: Given) -> CellResult:
    """The cell's result under its own id, also where it was computed with a smaller batch."""
    result = run_cell(replace(task.cell, batch_size=task.batch_size), store.path, given)
    rows = [replace(row, run=store.manifest.run, cell=task.cell.id) for row in result.records]
    return replace(result, id=task.cell.id, records=rows)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
