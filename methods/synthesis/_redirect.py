"""A gradient for images that start where every ReLU is closed (as in lucid: Olah, Mordvintsev & Schubert 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CLOSING = {F.relu, torch.relu, Tensor.relu}
_CLOSING_IN_PLACE = {F.relu_, torch.relu_, Tensor.relu_}


class RedirectedReLU(TorchFunctionMode):
    """While entered, a ReLU that lets nothing of an image's gradient through hands it on instead.

    Only where the input is negative and the loss would push it lower still, nothing passes. ReLUs are met where
    they are called, so functional and in-place ones count too; nothing in the network is replaced.

    >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    >>> with RedirectedReLU():
    ...     loss = -torch.nn.functional.relu(x).sum()
    >>> torch.autograd.grad(loss, x)
    (tensor([[-1., -1.]]),)
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, a ReLU by its stand-in."""
        given = dict(kwargs or {})
        if function in _CLOSING or function in _CLOSING_IN_PLACE:
            values = args[0] if args else given["input"]
            inplace = function in _CLOSING_IN_PLACE or bool(args[1] if len(args) > 1 else given.get("inplace", False))
            return _ReLU.apply(values, inplace)
        return function(*args, **given)


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, inplace: bool) -> Tensor:
        ctx.save_for_backward(values > 0, values < 0)
        if not inplace:
            return values.clamp_min(0)
        ctx.mark_dirty(values)
        return values.clamp_min_(0)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        positive, negative = ctx.saved_tensors
        plain = slope * positive
        closed = ~plain.flatten(1).any(1).view(-1, *[1] * (slope.ndim - 1))  # [P, 1, …]
        open_downhill = slope.masked_fill(negative & (slope > 0), 0)
        return torch.where(closed, open_downhill, plain), None
