"""Worker processes that are replaced when they die or overrun, so that a crash costs one cell."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from ambench import forks, rows
from ambench.plan import NOTHING_GIVEN, Cell
from ambench.record import Status
from ambench.store import CellResult, Store
from ambench.worker import Done, Task, work


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
        origin = forks.context()
        try:
            while self._waiting or self._busy:
                while self._waiting and len(self._busy) < self.size:
                    self._busy.append(self._hire(origin, self._waiting.popleft()))
                yield from self._look()
        finally:
            for worker in self._busy:
                worker.process.kill()
                worker.dismiss()

    def _hire(self, origin: BaseContext, task: Task) -> _Worker:
        ours, theirs = origin.Pipe()
        worker = _Worker(forks.start(origin, work, (theirs, self.store)), ours, task, 0.0)
        theirs.close()
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
