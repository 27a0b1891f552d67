"""Reading a network's layers as grids, with or without gradients: the only hooks of ambench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from ambench.core import InputError, Layer, Model

Pooling = Literal["mean", "max", "none"]

# Layers that a whole forward has shown to run exactly once: only these may end a forward early.
_runs_once: WeakKeyDictionary[nn.Module, WeakSet[nn.Module]] = WeakKeyDictionary()


class _Enough(BaseException):
    """Ends a forward once every tapped layer has run (no Exception, so that no network swallows it)."""


@dataclass(frozen=True, eq=False)
class Taps:
    """One forward and one backward: logits [B, U]; grids [B, C, *cells] and gradients [B, T, C, *cells] by layer."""

    logits: Tensor
    grids: dict[str, Tensor]
    gradients: dict[str, Tensor]


# ------------------------------------------------------------------------------------------------ reading


def read(model: Model, images: Tensor, layers: Sequence[str] | None = None, chunk: int = 64) -> dict[str, Tensor]:
    """Return the grids [B, C, *cells] of some layers (None: the default one), without gradient.

    `chunk` images are read at a time, and the forward ends after the deepest layer. Raises InputError for a layer that
    never runs, or runs twice.
    """
    names = _names(model, layers)
    with torch.no_grad(), _Pass(model, names, stop=True) as forward:
        parts = [forward(part)[0] for part in _chunks(images, chunk)]
    return {name: model.at(name).as_grid(torch.cat([part[name] for part in parts])) for name in names}


def logits(model: Model, images: Tensor, chunk: int = 64) -> Tensor:
    """Return the network's answer [B, U], without gradient, `chunk` images at a time."""
    with torch.no_grad(), _Pass(model, [], stop=False) as forward:
        return torch.cat([_answer(model, forward(part)[1]) for part in _chunks(images, chunk)])


def pool(grid: Tensor, pooling: Pooling) -> Tensor:
    """Return a grid [B, C, *cells] averaged or maximised over its cells [B, C], or as it is (`none`).

    >>> pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), "mean")
    tensor([[3.]])
    """
    cells = tuple(range(2, grid.ndim))
    if pooling == "none" or not cells:
        return grid
    return grid.mean(cells) if pooling == "mean" else grid.amax(cells)


# ------------------------------------------------------------------------------------------------ gradients


def gradients(model: Model, images: Tensor, targets: Tensor, layers: Sequence[str] | None = None) -> Taps:
    """Return grids, and the derivative of every target logit to them, from one forward and one backward.

    `targets` [B, T] are output units. A gradient that is zero for the whole batch at a layer, although the targets
    depend on the images, means that the layer's cells are not on the way: InputError, with a layer that is. A target
    that depends on nothing (a dead unit) has zero gradients.
    """
    names = _names(model, layers)
    _check_targets(images, targets)
    with torch.enable_grad(), _Pass(model, names, stop=False) as forward:
        outputs, answer = forward(images.detach())
        answer = _answer(model, answer)
        slopes = dict(zip(outputs, _slopes(model, answer, targets, list(outputs.values())), strict=True))
    taps = Taps(answer.detach(), _grids(model, outputs, names), _gradient_grids(model, slopes, names))
    for name in names:
        if not taps.gradients[name].any():
            _refuse_if_dead(model, images, targets, name)
    return taps


def input_gradients(model: Model, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, U] and the derivatives of the target logits [B, T] to the pixels [B, T, *input]."""
    _check_targets(images, targets)
    with torch.enable_grad(), _Pass(model, [], stop=False) as forward:
        pixels = images.detach().clone().requires_grad_()
        answer = _answer(model, forward(pixels)[1])
        (slopes,) = _slopes(model, answer, targets, [pixels])
    return answer.detach(), slopes


class Reader:
    """Reads one layer's grid (None: the logits) with the graph to the images kept; for loops that change the images.

    A context manager: the network is frozen and hooked once, and as found afterwards.

    >>> from ambench.core import Layer
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten())
    >>> model = Model("toy", "none", net, {}, {"0": Layer("0", net[0], lambda z: z)}, "0", (1, 2, 2))
    >>> images = torch.zeros(1, 1, 2, 2, requires_grad=True)
    >>> with Reader(model, "0") as reader:
    ...     for _ in range(2):
    ...         (slope,) = torch.autograd.grad(reader(images).sum(), images)
    >>> slope.shape, net[0].weight.requires_grad
    (torch.Size([1, 1, 2, 2]), True)
    """

    def __init__(self, model: Model, layer: str | None) -> None:
        self._model = model
        self._layer = layer
        self._forward = _Pass(model, [] if layer is None else [layer], stop=layer is not None)

    def __enter__(self) -> Reader:
        self._forward.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._forward.__exit__(kind, error, at)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the grid [B, C, *cells] or the logits [B, U], differentiable with respect to the images."""
        outputs, answer = self._forward(images)
        if self._layer is None:
            return _answer(self._model, answer)
        return self._model.at(self._layer).as_grid(outputs[self._layer])


def differentiable(model: Model, images: Tensor, layer: str | None) -> Tensor:
    """Return a layer's grid [B, C, *cells], or the logits [B, U] (None), with the graph to the images kept."""
    with Reader(model, layer) as reader:
        return reader(images)


# ------------------------------------------------------------------------------------------------ one forward


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep a network in eval mode, its parameters without gradient; flags and random state are as found afterwards."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    training = [module for module in network.modules() if module.training]
    devices = {tensor.device for tensor in network.parameters() if tensor.is_cuda}
    with torch.random.fork_rng([device.index for device in devices]):
        try:
            for parameter in parameters:
                parameter.requires_grad_(False)
            for module in training:
                module.training = False
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)
            for module in training:
                module.training = True


class _Pass:
    """A frozen network with hooks on some layers; called, it returns their outputs and the network's."""

    def __init__(self, model: Model, names: Sequence[str], stop: bool) -> None:
        self._model = model
        self._layers = {name: model.at(name).module for name in names}
        self._stop = stop
        self._outputs: dict[str, Tensor] = {}

    def __enter__(self) -> _Pass:
        _refuse_modes(self._model)
        with ExitStack() as stack:
            stack.enter_context(frozen(self._model.network))
            for name, module in self._layers.items():
                stack.callback(module.register_forward_hook(self._hook(name)).remove)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.close()

    def __call__(self, images: Tensor) -> tuple[dict[str, Tensor], object]:
        _check_images(self._model, images)
        self._outputs, answer = {}, None
        known = _runs_once.setdefault(self._model.network, WeakSet())
        self._early = self._stop and all(module in known for module in self._layers.values())
        try:
            answer = self._model.network(images.clone())  # a network may write into its input
            known.update(self._layers[name] for name in self._outputs)
        except _Enough:
            pass
        finally:
            outputs, self._outputs = self._outputs, {}
        for name in self._layers:
            if name not in outputs:
                raise InputError(f"layer '{name}' never runs in a forward of model '{self._model.name}'; name another")
        return outputs, answer

    def _hook(self, name: str) -> Callable[[nn.Module, object, object], Tensor]:
        def hook(module: nn.Module, inputs: object, output: object) -> Tensor:
            if not isinstance(output, Tensor):
                raise InputError(f"layer '{name}' returns a {type(output).__name__}; name one that returns a tensor")
            if name in self._outputs:
                raise InputError(
                    f"layer '{name}' runs twice in one forward of '{self._model.name}'; name one that runs once"
                )
            kept = output.clone()  # what later runs in place must not reach it
            if torch.is_grad_enabled() and not kept.requires_grad:
                kept.requires_grad_()  # the first tap is a leaf: the backward ends here
            self._outputs[name] = kept
            if self._early and len(self._outputs) == len(self._layers):
                raise _Enough
            return kept.clone()

        return hook


# ------------------------------------------------------------------------------------------------ derivatives


def _slopes(model: Model, answer: Tensor, targets: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Return the derivatives of the target logits to each of the tensors [B, T, …]."""
    if int(targets.min()) < 0 or int(targets.max()) >= answer.shape[1]:
        raise InputError(
            f"target {int(targets.max())} is not an output unit of model '{model.name}', which has units 0 to "
            f"{answer.shape[1] - 1}"
        )
    totals = answer.gather(1, targets.to(answer.device)).sum(0)  # [T]; images do not mix
    if not totals.requires_grad:
        return [torch.zeros_like(tensor).unsqueeze(1).expand(-1, len(totals), *tensor.shape[1:]) for tensor in tensors]
    stacked = _batched(totals, tensors) if len(totals) > 1 else _one_by_one(totals, tensors)
    return [slope.movedim(0, 1).detach() for slope in stacked]


def _batched(totals: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Return the derivatives [T, B, …] from one backward over all T, or one by one where that cannot be."""
    rows = torch.eye(len(totals), device=totals.device, dtype=totals.dtype)
    try:
        slopes = torch.autograd.grad(totals, tensors, rows, retain_graph=True, is_grads_batched=True, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return _one_by_one(totals, tensors)
    return [_or_zeros(slope, tensor, len(totals)) for slope, tensor in zip(slopes, tensors, strict=True)]


def _one_by_one(totals: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    last = len(totals) - 1
    rows = [
        torch.autograd.grad(total, tensors, retain_graph=number < last, allow_unused=True)
        for number, total in enumerate(totals)
    ]
    columns = zip(*rows, strict=True)
    return [
        torch.stack([_or_zeros(slope, tensor) for slope in column])
        for column, tensor in zip(columns, tensors, strict=True)
    ]


def _or_zeros(slope: Tensor | None, like: Tensor, *lead: int) -> Tensor:
    return like.new_zeros(*lead, *like.shape) if slope is None else slope


def _grids(model: Model, outputs: dict[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    return {name: model.at(name).as_grid(outputs[name].detach()) for name in names}


def _gradient_grids(model: Model, slopes: dict[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    return {name: _as_gradient_grid(model.at(name), slopes[name]) for name in names}


def _as_gradient_grid(layer: Layer, slopes: Tensor) -> Tensor:
    """Return derivatives [B, T, *output] as [B, T, C, *cells]: a grid view only picks and permutes, so it fits both."""
    grid = layer.as_grid(slopes.flatten(0, 1))
    return grid.reshape(*slopes.shape[:2], *grid.shape[1:])


def _chunks(images: Tensor, size: int) -> Iterator[Tensor]:
    for start in range(0, max(len(images), 1), size):
        yield images[start : start + size]


# ------------------------------------------------------------------------------------------------ refusals


def _names(model: Model, layers: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys([model.layer] if layers is None else layers))


def _answer(model: Model, answer: object) -> Tensor:
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        shape = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(f"model '{model.name}' returns {shape}, but a tensor of logits [B, U] is wanted")
    return answer


def _check_images(model: Model, images: Tensor) -> None:
    if images.ndim != len(model.input_shape) + 1 or not images.is_floating_point():
        raise InputError(
            f"model '{model.name}' takes floating-point inputs [B, {', '.join(map(str, model.input_shape))}], "
            f"not {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )


def _check_targets(images: Tensor, targets: Tensor) -> None:
    if targets.ndim != 2 or len(targets) != len(images) or not targets.numel() or targets.dtype != torch.long:
        dtype = str(targets.dtype).removeprefix("torch.")
        raise InputError(
            f"targets must be output units [B, T], int64, with B = {len(images)}, not {dtype} {list(targets.shape)}"
        )


def _refuse_modes(model: Model) -> None:
    if torch.is_inference_mode_enabled():
        raise InputError("layers cannot be read under torch.inference_mode; use torch.no_grad instead")
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    if any(isinstance(module, parallel) for module in model.network.modules()):
        raise InputError(f"model '{model.name}' is wrapped for several devices; hand in the network inside (`.module`)")


def _refuse_if_dead(model: Model, images: Tensor, targets: Tensor, dead: str) -> None:
    """Raise when the targets depend on the images, but not through the cells of this layer."""
    if not input_gradients(model, images, targets)[1].any():
        return
    names = list(model.layers)
    place = names.index(dead)
    alive = next(
        (name for name in [*names[:place][::-1], *names[place + 1 :]] if _alive(model, images, targets, name)), None
    )
    hint = "name an earlier layer" if alive is None else f"'{alive}' works"
    raise InputError(
        f"the gradient of the targets is exactly zero in every cell of layer '{dead}' of model '{model.name}': "
        f"its cells do not reach the output; {hint}"
    )


def _alive(model: Model, images: Tensor, targets: Tensor, name: str) -> bool:
    with torch.enable_grad(), _Pass(model, [name], stop=False) as forward:
        outputs, answer = forward(images.detach())
        slopes = _slopes(model, _answer(model, answer), targets, [outputs[name]])
    return bool(_gradient_grids(model, {name: slopes[0]}, [name])[name].any())
