"""Worker processes that are replaced when they die or overrun, so that a crash costs one cell."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, get_args

from ambench import registry, rows
from ambench.plan import NOTHING_GIVEN, Cell
from ambench.record import Status
from ambench.store import CellResult, Store
from ambench.worker import Done, Task, work

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass
class _Worker:
    """A process, our end of its pipe, and what it has been doing since when."""

    process: BaseProcess
    connection: Connection
    task: Task
    start: float

    def give(self, task: Task) -> None:
        self.task, self.start = task, time.monotonic()
        with suppress(BrokenPipeError):  # dead already: its end of the pipe says so at the next look
            self.connection.send(task)

    def dismiss(self) -> int | None:
        """End the process and return its exit code."""
        self.connection.close()
        self.process.join(timeout=1.0)  # a closed pipe is its sign to go
        self.process.kill()
        self.process.join()
        return self.process.exitcode


@dataclass
class Crew:
    """At most `size` workers on one store; `fresh` ones compute a single cell each, the others as many as they can."""

    store: Store
    size: int
    timeout_seconds: float | None = None
    fresh: bool = False
    _waiting: deque[Task] = field(default_factory=deque)
    _busy: list[_Worker] = field(default_factory=list)

    def run(self, cells: Iterable[Cell]) -> Generator[Done, None, None]:
        """Yield what became of each cell, in the order in which they end; leaving early ends the workers."""
        self._waiting.extend(Task(cell, cell.batch_size) for cell in cells)
        context = _context()
        try:
            while self._waiting or self._busy:
                while self._waiting and len(self._busy) < self.size:
                    self._busy.append(self._hire(context, self._waiting.popleft()))
                yield from self._look()
        finally:
            for worker in self._busy:
                worker.process.kill()
                worker.dismiss()

    def _hire(self, context: Any, task: Task) -> _Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.store), daemon=True)
        with _main_hidden():
            process.start()
        theirs.close()
        worker = _Worker(process, ours, task, 0.0)
        worker.give(task)
        return worker

    def _look(self) -> Iterator[Done]:
        """Wait until something ends or is overdue, and yield what did."""
        ready = wait([worker.connection for worker in self._busy], self._patience())
        for worker in list(self._busy):
            if worker.connection in ready:
                yield from self._hear(worker)
            elif self._left(worker) == 0:
                self._busy.remove(worker)
                worker.process.kill()
                worker.dismiss()
                yield self._lost(worker.task, "timeout", f"it took longer than {self.timeout_seconds:g} seconds")

    def _hear(self, worker: _Worker) -> Iterator[Done]:
        try:
            done: Done = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._busy.remove(worker)
            yield from self._bury(worker.task, worker.dismiss())
            return
        if self._waiting and not self.fresh:
            worker.give(self._waiting.popleft())
        else:
            self._busy.remove(worker)
            worker.dismiss()
        yield done

    def _bury(self, task: Task, code: int | None) -> Iterator[Done]:
        """A killed process most likely ran the machine out of memory: once more with half the batch."""
        if code == -signal.SIGKILL and task.batch_size == task.cell.batch_size > 1:
            self._waiting.appendleft(Task(task.cell, task.batch_size // 2))
        elif code == -signal.SIGKILL:
            yield self._lost(task, "oom", "its process was killed, most likely because memory ran out")
        else:
            how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            yield self._lost(task, "failed", f"its process crashed ({how})")

    def _lost(self, task: Task, status: Status, error: str) -> Done:
        records = [
            replace(row, run=self.store.manifest.run) for row in rows.failure(task.cell, NOTHING_GIVEN, status, error)
        ]
        self.store.finish(CellResult(task.cell.id, records, status=status, error=error))
        return Done(task.cell, status, error)

    def _left(self, worker: _Worker) -> float:
        """Seconds until a worker is overdue."""
        if self.timeout_seconds is None:
            return float("inf")
        return max(0.0, worker.start + self.timeout_seconds - time.monotonic())

    def _patience(self) -> float | None:
        left = min(self._left(worker) for worker in self._busy)
        return None if left == float("inf") else left


def _context() -> Any:
    """A fork server with everything imported, so that a fresh process costs milliseconds; else plain new processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    plugins = {cls.__module__ for kind in get_args(registry.Kind) for cls in registry.names(kind).values()}
    context.set_forkserver_preload(["ambench.worker", "ambench.cli", *sorted(plugins)])
    before = dict(os.environ)
    os.environ.update(_ONE_THREAD)  # read when the numerical libraries are loaded, which the server does now
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep a new process from running the caller's script again: a worker needs nothing from it."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
