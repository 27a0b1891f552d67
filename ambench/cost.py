"""What one explanation takes: seconds, memory, and floating-point operations in units of one forward pass."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ambench.core import Cost, InputError, Model

MIB = 1024 * 1024
SAMPLES_PER_SECOND = 50
_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def measure(
    explain: Callable[[Tensor], object],
    model: Model,
    images: Tensor,
    fit: Callable[[], object] | None = None,
    repeats: int = 5,
) -> Cost:
    """Return what explaining images [B, *input] costs; call it in a fresh process, because memory is a process's own.

    One plain forward comes first, so that libraries and weights are in memory before the start is noted. The memory
    window holds `fit` and the first explanation, which is also the warm-up of the clock.
    Raises InputError for no images or no repeats.

    >>> from torch import nn
    >>> tiny = Model("tiny", "none", nn.Linear(3, 2), {}, {}, "", (3,))
    >>> cost = measure(lambda images: [tiny.network(images) for _ in range(4)], tiny, torch.rand(5, 3))
    >>> cost.model_passes, tuple(cost.seconds_per_image.shape), cost.peak_gpu_mib
    (4.0, (5,), None)
    """
    if repeats < 1 or not len(images):
        raise InputError(f"cost needs at least one image and one repeat; got {len(images)} images, {repeats} repeats")
    device = model.device
    _forward(model, images)
    forward = operations(lambda: _forward(model, images))
    with peak_memory(device) as memory:
        with stopwatch(device) as fitting:
            if fit is not None:
                fit()
        explain(images)
    spent = operations(lambda: explain(images))
    seconds = torch.tensor([wall_seconds(lambda: explain(images), device) for _ in range(repeats)], dtype=torch.float64)
    passes = spent / forward if forward else None
    return Cost(fitting.seconds, seconds / len(images), passes, memory.rss_mib, memory.gpu_mib)


def _forward(model: Model, images: Tensor) -> None:
    with torch.no_grad():
        model.network(images)


# ------------------------------------------------------------------------------------------------ time


@dataclass
class Stopwatch:
    """The seconds that passed inside a `stopwatch`; 0 until it ends."""

    seconds: float = 0.0


@contextmanager
def stopwatch(device: torch.device) -> Iterator[Stopwatch]:
    """Time a block: processor seconds of this process on the CPU, wall seconds until the queue is empty elsewhere.

    Processor time is what a busy machine cannot stretch; it counts every thread.

    >>> with stopwatch(torch.device("cpu")) as watch:
    ...     _ = torch.rand(300, 300) @ torch.rand(300, 300)
    >>> watch.seconds > 0
    True
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    watch = Stopwatch()
    _synchronise(device)
    start = clock()
    try:
        yield watch
    finally:
        _synchronise(device)
        watch.seconds = clock() - start


def wall_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the wall seconds of one call, until the device's queue is empty."""
    _synchronise(device)
    start = time.perf_counter()
    call()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


# ------------------------------------------------------------------------------------------------ memory


@dataclass
class Memory:
    """Peaks above the start, in MiB, known once a `peak_memory` block ends; gpu_mib is None without CUDA."""

    rss_mib: float = 0.0
    gpu_mib: float | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Memory]:
    """Note how far memory rises above its level at the start of a block, at least 0.

    Resident memory is sampled 50 times a second. The kernel's own high-water mark is lowered to the present where Linux
    lets a process do that; if it rises during the block it is used too, so that no short peak is missed.
    """
    memory = Memory()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    _lower_high_water()
    start, mark = _resident_bytes(), _high_water_bytes()
    sampler = _Sampler()
    try:
        yield memory
    finally:
        sampled, risen = sampler.stop(), _high_water_bytes()
        memory.rss_mib = max(0, sampled - start, risen - start if risen > mark else 0) / MIB
        if on_gpu:
            memory.gpu_mib = (torch.cuda.max_memory_allocated(device) - allocated) / MIB


class _Sampler:
    """Reads the resident set in a thread of its own until it is stopped."""

    def __init__(self) -> None:
        self._largest = _resident_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ambench memory sampler", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(1 / SAMPLES_PER_SECOND):
            self._largest = max(self._largest, _resident_bytes())

    def stop(self) -> int:
        """End the thread; return the largest sample in bytes, the last moment included."""
        self._done.set()
        self._thread.join()
        return max(self._largest, _resident_bytes())


def _resident_bytes() -> int:
    """The resident set now; where there is no /proc, the largest so far."""
    if not _STATM.exists():
        return _high_water_bytes()
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


def _high_water_bytes() -> int:
    """The largest resident set so far, or since it was lowered."""
    if _STATUS.exists():
        marks = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        if marks:
            return int(marks[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _lower_high_water() -> None:
    if os.access(_CLEAR, os.W_OK):
        _CLEAR.write_text("5")  # proc(5): resets the peak resident set to the current one


# ------------------------------------------------------------------------------------------------ operations


def operations(call: Callable[[], object]) -> int:
    """Return the floating-point operations of matrix products, convolutions and attention in one call.

    Counted by torch's own formulas where operators are dispatched, so what autograd runs counts as well. Fused
    attention has none on some devices, so it is done in parts meanwhile. Modules are not tracked: torch's own counter
    does that and fails on gradients of a leaf.

    >>> weight = torch.rand(4, 3, requires_grad=True)
    >>> operations(lambda: torch.rand(2, 4) @ weight), operations(lambda: (torch.rand(2, 4) @ weight).sum().backward())
    (48, 96)
    """
    counter = _Counter()
    with _attention_in_parts(), counter:
        call()
    return counter.total


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Adds up the formula of every operator that has one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:  # a composite operator counts as its parts
                parts = func.decompose(*args, **kwargs)
                if parts is not NotImplemented:
                    return parts
        result = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """Switch the fused attention kernels and the transformer fast path off, and back to what they were."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
