"""One forward of a frozen network with some of its modules watched: the only hooks of ambench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from ambench.core import InputError, Model

# What sees a module run: its name, itself, its inputs and its output; a tensor it returns replaces the output.
Watcher = Callable[[str, nn.Module, tuple[object, ...], object], Tensor | None]

# Layers that a whole forward has shown to run exactly once: only these may end a forward early.
_runs_once: WeakKeyDictionary[nn.Module, WeakSet[nn.Module]] = WeakKeyDictionary()


class _Enough(BaseException):
    """Ends a forward once every tapped layer has run (no Exception, so that no network swallows it)."""


@dataclass(frozen=True, eq=False)
class Call:
    """One module's turn in a forward: its name and itself, what it got and what it gave."""

    name: str
    module: nn.Module
    inputs: tuple[object, ...]
    output: object


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep a network in eval mode, its parameters without gradient; flags and random state are as found afterwards.

    Attention runs its ordinary way, with gradients or without: torch's fast path passes over the modules inside.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    training = [module for module in network.modules() if module.training]
    devices = {tensor.device.index for tensor in network.parameters() if tensor.is_cuda}
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices):
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            for parameter in parameters:
                parameter.requires_grad_(False)
            for module in training:
                module.training = False
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for parameter in parameters:
                parameter.requires_grad_(True)
            for module in training:
                module.training = True


@contextmanager
def watched(modules: Mapping[str, nn.Module], watcher: Watcher) -> Iterator[None]:
    """Let a watcher see every run of some modules, until the block ends, however it ends."""

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], object], Tensor | None]:
        return lambda module, inputs, output: watcher(name, module, inputs, output)

    with ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(hook(name)).remove)
        yield


def trace(network: nn.Module, images: Tensor) -> list[Call]:
    """Return every module's turns in one forward without gradient, in the order in which they end."""
    refuse_modes(network)
    calls: list[Call] = []
    with (
        frozen(network),
        torch.no_grad(),
        watched(dict(network.named_modules()), lambda *turn: calls.append(Call(*turn))),
    ):
        network(images)
    return calls


def refuse_modes(network: nn.Module) -> None:
    """Raise InputError where hooks or gradients would not do what they say."""
    if torch.is_inference_mode_enabled():
        raise InputError("layers cannot be read under torch.inference_mode; use torch.no_grad instead")
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    if any(isinstance(module, parallel) for module in network.modules()):
        raise InputError("the network is wrapped for several devices; hand in the network inside (`.module`)")


class Forward:
    """A frozen network with taps on some layers; a context manager that, called, returns their outputs and the answer.

    With `stop` the forward ends after the deepest layer (and the answer is None), once a whole forward has shown that
    each of them runs exactly once. Where gradients are on, the first tapped layer's output becomes a leaf unless the
    images want a gradient; what is handed on is a copy, so that nothing written in place later reaches a tap.
    """

    def __init__(self, model: Model, names: Sequence[str], stop: bool = False) -> None:
        self._model = model
        self._layers = {name: model.at(name).module for name in names}
        self._stop = stop
        self._early = False
        self._running = False  # while it is not, another's forward of the same network is none of its business
        self._outputs: dict[str, Tensor] = {}

    def __enter__(self) -> Forward:
        refuse_modes(self._model.network)
        with ExitStack() as stack:
            stack.enter_context(frozen(self._model.network))
            stack.enter_context(watched(self._layers, self._tap))
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.close()

    def __call__(self, images: Tensor) -> tuple[dict[str, Tensor], object]:
        """Return the tapped layers' own outputs, by name, and the network's answer."""
        _check_images(self._model, images)
        known = _runs_once.setdefault(self._model.network, WeakSet())
        self._early = self._stop and all(module in known for module in self._layers.values())
        self._running, answer = True, None
        try:
            answer = self._model.network(images.clone())  # a network may write into its input
            known.update(self._layers[name] for name in self._outputs)
        except _Enough:
            pass
        finally:
            outputs, self._outputs, self._running = self._outputs, {}, False
        for name in self._layers:
            if name not in outputs:
                raise InputError(f"layer '{name}' never runs in a forward of model '{self._model.name}'; name another")
        return outputs, answer

    def _tap(self, name: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> Tensor | None:
        if not self._running:
            return None
        if not isinstance(output, Tensor):
            raise InputError(f"layer '{name}' returns a {type(output).__name__}; name one that returns a tensor")
        if name in self._outputs:
            raise InputError(f"layer '{name}' runs twice in a forward of '{self._model.name}'; name one that runs once")
        kept = output.clone()
        if torch.is_grad_enabled() and not kept.requires_grad:
            kept.requires_grad_()  # the backward ends here
        self._outputs[name] = kept
        if self._early and len(self._outputs) == len(self._layers):
            raise _Enough
        return kept.clone()


def _check_images(model: Model, images: Tensor) -> None:
    channels = images.shape[1:2] == model.input_shape[:1] or len(model.input_shape) < 2
    if images.ndim != len(model.input_shape) + 1 or not channels or not images.is_floating_point():
        raise InputError(
            f"model '{model.name}' takes floating-point inputs [B, {', '.join(map(str, model.input_shape))}], "
            f"not {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )
