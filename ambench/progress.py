"""How far a run is: a bar with the time left on a terminal, a line for each cell elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ambench.engine import effort
from ambench.plan import Cell
from ambench.worker import Done

Tell = Callable[[Done], None]


@contextmanager
def nothing(cells: Collection[Cell]) -> Iterator[Tell]:
    """Yield what to call as each cell ends, to no effect."""
    yield lambda done: None


@contextmanager
def shown(cells: Collection[Cell]) -> Iterator[Tell]:
    """Yield what to call as each of the cells ends, told on stderr; the time left weighs cells by their effort."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as progress:
            yield _advancing(progress, cells)
    else:
        yield _lines(console, len(cells))


def _bar(console: Console) -> Progress:
    left = TimeRemainingColumn(elapsed_when_finished=True)
    text = TextColumn("{task.fields[ended]}/{task.fields[cells]} cells")
    return Progress(text, BarColumn(), TimeElapsedColumn(), TextColumn("left"), left, console=console, transient=True)


def _advancing(progress: Progress, cells: Collection[Cell]) -> Tell:
    task = progress.add_task("cells", total=sum(map(effort, cells)), ended=0, cells=len(cells))
    ended = 0

    def tell(done: Done) -> None:
        nonlocal ended
        ended += 1
        progress.update(task, advance=effort(done.cell), ended=ended)
        if done.error is not None:
            progress.console.print(escape(_line(done)), highlight=False)

    return tell


def _lines(console: Console, total: int) -> Tell:
    ended = 0

    def tell(done: Done) -> None:
        nonlocal ended
        ended += 1
        console.print(escape(f"{ended}/{total} {_line(done)}"), highlight=False, soft_wrap=True)

    return tell


def _line(done: Done) -> str:
    return f"{done.cell}: {done.seconds:.1f} s" if done.error is None else f"{done.cell}: {done.status}, {done.error}"
