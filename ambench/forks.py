"""Where workers come from: a server that imported everything once and forks itself; this module imports no torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def context() -> BaseContext:
    """Return where processes are made, with the server running; where there are no forks, plain new processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["ambench.everything"])
    with _environment(_ONE_THREAD), _interrupts_ignored():  # both are inherited by the server and its forks
        forkserver.ensure_running()
    return found


def start(origin: BaseContext, body: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    """Start a process that runs a function of ours and nothing of the caller's script."""
    process: BaseProcess = origin.Process(target=body, args=arguments, daemon=True)  # type: ignore[attr-defined]
    with _main_hidden():
        process.start()
    return process


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C reaches the whole process group, but what it means is for the parent to decide."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set this
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep a new process from importing the caller's script again, as it otherwise would."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
