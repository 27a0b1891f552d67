"""Gradients that every ReLU rectifies on their way back: the rule of guided backprop and the deconvnet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ambench import explanations, features
from ambench.core import Heatmaps, Model, Skipped

from ._maps import summed, where_known

Rule = Literal["guided", "deconvnet"]

# Activations that let something of a negative input through, by the name of torch's function.
_WITHOUT_RULE = {
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "elu": "ELU",
    "selu": "SELU",
    "celu": "CELU",
    "softplus": "Softplus",
    "hardswish": "Hardswish",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "rrelu": "RReLU",
}


class RectifiedReLU(TorchFunctionMode):
    """While entered, ReLUs hand back only the positive part of a gradient; `guided`, only where they were open, too.

    ReLUs (and ReLU6) are met where they are called, so functional and in-place ones count; nothing in the network is
    replaced. `met` counts them, and `strangers` names the activations seen that have no such rule.

    >>> x = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    >>> for rule in ("guided", "deconvnet"):
    ...     with RectifiedReLU(rule) as mode:
    ...         answer = torch.nn.functional.relu(x)
    ...     print(torch.autograd.grad(answer, x, torch.tensor([1.0, -1.0, 1.0]))[0].tolist(), mode.met)
    [0.0, 0.0, 1.0] 1
    [1.0, 0.0, 1.0] 1
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule
        self.met = 0
        self.strangers: list[str] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, a ReLU by its stand-in."""
        given = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        base, inplace = name.removesuffix("_"), name.endswith("_")
        if base == "relu":
            return self._rectified(*_relu(*args, **given), inplace)
        if base == "relu6":
            return self._rectified(*_relu(*args, **given), inplace, 6.0)
        if base == "hardtanh":  # what nn.ReLU6 calls
            clip = _hardtanh(*args, **given)
            if clip.low == 0:
                return self._rectified(clip.values, clip.inplace, inplace, clip.high)
        if base in ("hardtanh", *_WITHOUT_RULE):
            self.strangers.append(_WITHOUT_RULE.get(base, "Hardtanh"))
        return function(*args, **given)

    def _rectified(self, values: Tensor, asked_in_place: bool, inplace: bool, ceiling: float | None = None) -> Tensor:
        self.met += 1
        answer: Tensor = _ReLU.apply(values, ceiling, asked_in_place or inplace, self.rule == "guided")
        return answer


def _relu(input: Tensor, inplace: bool = False) -> tuple[Tensor, bool]:
    return input, inplace


class _Clip(NamedTuple):
    values: Tensor
    low: float
    high: float
    inplace: bool


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Clip:
    return _Clip(input, min_val, max_val, inplace)


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, ceiling: float | None, inplace: bool, guided: bool) -> Tensor:
        passing = values > 0 if guided else torch.ones_like(values, dtype=torch.bool)
        if ceiling is not None:  # above its ceiling a ReLU6 has no slope
            passing &= values < ceiling
        ctx.save_for_backward(passing)
        if not inplace:
            return values.clamp(0, ceiling)
        ctx.mark_dirty(values)
        return values.clamp_(0, ceiling)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        (passing,) = ctx.saved_tensors
        return slope.clamp_min(0) * passing, None, None, None


def rectified_maps(model: Model, images: Tensor, targets: Tensor, rule: Rule, allow_smooth: bool) -> Heatmaps:
    """Return the rectified derivatives summed over channels [B, T, *extent], their top 5 % as scores.

    Raises Skipped as `rectified_gradients` does.
    """
    logits, slopes = rectified_gradients(model, images, targets, rule, allow_smooth)
    maps = where_known(summed(slopes), logits, targets)
    return Heatmaps(explanations.top_share(maps), maps.float())


def rectified_gradients(
    model: Model, images: Tensor, targets: Tensor, rule: Rule, allow_smooth: bool = False
) -> tuple[Tensor, Tensor]:
    """Return logits [B, U] and the rectified derivatives of the target logits [B, T] to the pixels [B, T, *input].

    Raises Skipped for a network without a ReLU, and for one with an activation that has no such rule (GELU, SiLU, …),
    unless `allow_smooth`: those then hand their ordinary gradient on.
    """
    with RectifiedReLU(rule) as mode:
        logits, slopes = features.input_gradients(model, images, targets)
    if mode.strangers and not allow_smooth:
        raise Skipped(
            f"model '{model.name}' uses {' and '.join(dict.fromkeys(mode.strangers))}, which lets part of a negative "
            "input through: only a ReLU's gradient can be rectified"
        )
    if not mode.met:
        raise Skipped(f"model '{model.name}' has no ReLU whose gradient could be rectified")
    return logits, slopes
