"""Reading a network's layers as grids, with or without gradients, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from ambench.core import InputError, Layer, Model
from ambench.core import Pooling as Pooling  # how a grid becomes features
from ambench.forward import Forward
from ambench.forward import frozen as frozen  # for methods that run the network themselves


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
    with torch.no_grad(), Forward(model, names, stop=True) as forward:
        parts = [forward(part)[0] for part in _chunks(images, chunk)]
    return {name: model.at(name).as_grid(torch.cat([part[name] for part in parts])) for name in names}


def output(model: Model, images: Tensor, layer: str | None = None) -> Tensor:
    """Return a layer's own output for images, without gradient, prefix tokens and all."""
    name = model.at(layer).name
    with torch.no_grad(), Forward(model, [name], stop=True) as forward:
        return forward(images)[0][name]


def logits(model: Model, images: Tensor, chunk: int = 64) -> Tensor:
    """Return the network's answer [B, U], without gradient, `chunk` images at a time."""
    with torch.no_grad(), Forward(model, []) as forward:
        return torch.cat([_logits(model, forward(part)[1]) for part in _chunks(images, chunk)])


def target_logits(model: Model, images: Tensor, targets: Tensor, chunk: int = 64) -> Tensor:
    """Return the logits of the output units asked, `targets` [B, T], without gradient [B, T]."""
    _check_targets(images, targets)
    answer = logits(model, images, chunk)
    _check_units(model, targets, answer)
    return answer.gather(1, targets.to(answer.device))


def pool(grid: Tensor, pooling: Pooling) -> Tensor:
    """Return a grid [B, C, *cells] averaged or maximised over its cells [B, C], or as it is (`none`).

    A grid has no class token any more: ask `pooled` for that.

    >>> pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), "mean")
    tensor([[3.]])
    """
    if pooling == "class":
        raise InputError("a grid of cells has no class token; pool it by mean, max or none")
    cells = tuple(range(2, grid.ndim))
    if pooling == "none" or not cells:
        return grid
    return grid.mean(cells) if pooling == "mean" else grid.amax(cells)


def pooled(layer: Layer, output: Tensor, pooling: Pooling) -> Tensor:
    """Return a layer's own output as pooled features [B, C] or [B, C, *cells] (`none`); InputError without a token."""
    if pooling != "class":
        return pool(layer.as_grid(output), pooling)
    if layer.as_class is None:
        raise InputError(f"layer '{layer.name}' has no class token; pool it by mean, max or none")
    return layer.as_class(output)


# ------------------------------------------------------------------------------------------------ gradients


def gradients(model: Model, images: Tensor, targets: Tensor, layers: Sequence[str] | None = None) -> Taps:
    """Return grids, and the derivative of every target logit to them, from one forward and one backward.

    `targets` [B, T] are output units. A gradient that is zero for the whole batch at a layer, although the targets
    depend on the images, means that the layer's cells are not on the way: InputError, with a layer that is. A target
    that depends on nothing (a dead unit) has zero gradients.
    """
    names = _names(model, layers)
    _check_targets(images, targets)
    with torch.enable_grad(), Forward(model, names) as forward:
        outputs, answer = forward(images.detach())
        answer = _logits(model, answer)
        slopes = _slopes(model, answer, targets, [outputs[name] for name in names])
    grids = {name: model.at(name).as_grid(outputs[name].detach()) for name in names}
    sloping = {name: _as_grid(model.at(name), slope) for name, slope in zip(names, slopes, strict=True)}
    for name in names:
        if not sloping[name].any():
            _refuse_if_dead(model, images, targets, name)
    return Taps(answer.detach(), grids, sloping)


def input_gradients(model: Model, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, U] and the derivatives of the target logits [B, T] to the pixels [B, T, *input]."""
    _check_targets(images, targets)
    with torch.enable_grad(), Forward(model, []) as forward:
        pixels = images.detach().clone().requires_grad_()
        answer = _logits(model, forward(pixels)[1])
        # Through a whole network a processor is quicker target by target; an accelerator, all at once.
        (slopes,) = _slopes(model, answer, targets, [pixels], together=images.device.type != "cpu")
    return answer.detach(), slopes


def reaches(model: Model, images: Tensor, targets: Tensor, layer: str) -> bool:
    """Return whether the cells of a layer have any influence on the target logits [B, T] of any image."""
    with torch.enable_grad(), Forward(model, [layer]) as forward:
        outputs, answer = forward(images.detach())
        (slope,) = _slopes(model, _logits(model, answer), targets, [outputs[layer]])
    return bool(_as_grid(model.at(layer), slope).any())


def check_targets(model: Model, images: Tensor, targets: Tensor, logits: Tensor | None = None) -> None:
    """Raise InputError unless targets are numbers [B, T] of output units, and among those of the logits, if known."""
    _check_targets(images, targets)
    if logits is not None:
        _check_units(model, targets, logits)


class Reader:
    """Reads some layers of images with the graph to them kept (None: the logits); for loops that change the images.

    A context manager: the network is frozen and hooked once, and as found afterwards. The forward ends after the
    deepest layer, unless the logits are wanted.

    >>> from ambench.core import Layer
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Flatten())
    >>> model = Model("toy", "none", net, {}, {"0": Layer("0", net[0], lambda z: z)}, "0", (1, 2, 2))
    >>> images = torch.zeros(1, 1, 2, 2, requires_grad=True)
    >>> with Reader(model, "0") as reader:
    ...     for _ in range(2):
    ...         (slope,) = torch.autograd.grad(reader(images).sum(), images)
    >>> slope.shape, net[0].weight.requires_grad
    (torch.Size([1, 1, 2, 2]), True)
    """

    def __init__(self, model: Model, *layers: str | None) -> None:
        self._model = model
        self._layers = layers
        names = list(dict.fromkeys(layer for layer in layers if layer is not None))
        self._forward = Forward(model, names, stop=None not in layers)

    def __enter__(self) -> Reader:
        self._forward.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._forward.__exit__(kind, error, at)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the first layer's grid [B, C, *cells], or the logits [B, U], differentiable towards the images."""
        layer = self._layers[0]
        found = self.outputs(images)[layer]
        return found if layer is None else self._model.at(layer).as_grid(found)

    def outputs(self, images: Tensor) -> dict[str | None, Tensor]:
        """Return every layer's own output, prefix tokens and all, and under None the logits if they are wanted."""
        outputs, answer = self._forward(images)
        found: dict[str | None, Tensor] = dict(outputs.items())
        if None in self._layers:
            found[None] = _logits(self._model, answer)
        return found


def differentiable(model: Model, images: Tensor, layer: str | None) -> Tensor:
    """Return a layer's grid [B, C, *cells], or the logits [B, U] (None), with the graph to the images kept."""
    with Reader(model, layer) as reader:
        return reader(images)


# ------------------------------------------------------------------------------------------------ derivatives


def _slopes(
    model: Model, answer: Tensor, targets: Tensor, tensors: list[Tensor], together: bool = True
) -> list[Tensor]:
    """Return the derivatives of the target logits to each of the tensors [B, T, …], from one backward or T."""
    _check_units(model, targets, answer)
    totals = answer.gather(1, targets.to(answer.device)).sum(0)  # [T]; images do not mix
    if not totals.requires_grad:  # no tap lies on the way to the logits
        return [tensor.new_zeros(len(tensor), len(totals), *tensor.shape[1:]) for tensor in tensors]
    stacked = (_batched if together and len(totals) > 1 else _one_by_one)(totals, tensors)
    return [slope.movedim(0, 1).detach() for slope in stacked]


def _batched(totals: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Return the derivatives [T, B, …] from one backward over all T, or one by one where that cannot be."""
    rows = torch.eye(len(totals), device=totals.device, dtype=totals.dtype)
    try:
        slopes = torch.autograd.grad(totals, tensors, rows, retain_graph=True, is_grads_batched=True, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # an operation without a batching rule
        return _one_by_one(totals, tensors)
    return [_or_zeros(slope, tensor, len(totals)) for slope, tensor in zip(slopes, tensors, strict=True)]


def _one_by_one(totals: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    rows = [torch.autograd.grad(total, tensors, retain_graph=True, allow_unused=True) for total in totals]
    return [
        torch.stack([_or_zeros(slope, tensor) for slope in column])
        for column, tensor in zip(zip(*rows, strict=True), tensors, strict=True)
    ]


def _or_zeros(slope: Tensor | None, like: Tensor, *lead: int) -> Tensor:
    return like.new_zeros(*lead, *like.shape) if slope is None else slope


def _as_grid(layer: Layer, slopes: Tensor) -> Tensor:
    """Return derivatives [B, T, *output] as [B, T, C, *cells]: a grid view only picks and permutes, so it fits both."""
    grid = layer.as_grid(slopes.flatten(0, 1))
    return grid.reshape(*slopes.shape[:2], *grid.shape[1:])


# ------------------------------------------------------------------------------------------------ at the door


def _names(model: Model, layers: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys([model.layer] if layers is None else layers))


def _chunks(images: Tensor, size: int) -> Iterator[Tensor]:
    for start in range(0, max(len(images), 1), size):
        yield images[start : start + size]


def _logits(model: Model, answer: object) -> Tensor:
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        shape = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(f"model '{model.name}' returns {shape}, but a tensor of logits [B, U] is wanted")
    return answer


def _check_targets(images: Tensor, targets: Tensor) -> None:
    if targets.ndim != 2 or len(targets) != len(images) or not targets.numel() or targets.dtype != torch.long:
        dtype = str(targets.dtype).removeprefix("torch.")
        raise InputError(
            f"targets must be output units [B, T], int64, with B = {len(images)}, not {dtype} {list(targets.shape)}"
        )


def _check_units(model: Model, targets: Tensor, answer: Tensor) -> None:
    wrong = (targets < 0) | (targets >= answer.shape[1])
    if wrong.any():
        raise InputError(
            f"{int(targets[wrong][0])} is not an output unit of model '{model.name}'; valid: 0 to {answer.shape[1] - 1}"
        )


def _refuse_if_dead(model: Model, images: Tensor, targets: Tensor, dead: str) -> None:
    """Raise when the targets depend on the images, but not through the cells of this layer."""
    if not input_gradients(model, images, targets)[1].any():
        return
    names = list(model.layers)
    place = names.index(dead)
    others = [*names[:place][::-1], *names[place + 1 :]]  # the nearest earlier one first
    alive = next((name for name in others if reaches(model, images, targets, name)), None)
    raise InputError(
        f"the gradient of the targets is exactly zero in every cell of layer '{dead}' of model '{model.name}': "
        f"its cells do not reach the output; {'no other does' if alive is None else f'{alive!r} works'}"
    )
