"""Relevance that flows back through a network as gradients do, shared out anew at every weighted sum."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from ambench import features
from ambench.core import Model, Skipped

Run = Callable[..., Tensor]

# By the names of torch's functions, underscores aside. What moves or picks values hands relevance on like a gradient.
MOVING = re.compile(
    r"(adaptive_)?max_pool\dd|cat|chunk|clone|concat|concatenate|contiguous|detach|expand|flatten|gather|getitem|movedim"
    r"|narrow|pad|permute|repeat|reshape|requires_grad|select|split|squeeze|stack|swapaxes|to|transpose|unbind|unflatten"
    r"|unsqueeze|view"
)
ACTIVATION = re.compile(r"clamp|clamp_min|(alpha_|feature_)?dropout(\dd)?|hardtanh|leaky_relu|relu6?|tanh")
BY_A_CONSTANT = re.compile(r"(i|r)?(add|mul|sub|truediv)|div|true_divide")
CONVOLUTION = re.compile(r"conv\dd")
SUM = re.compile(
    r"(adaptive_)?avg_pool\dd|(i|r)?(add|sub)|addmm|batch_norm|conv_transpose\dd|conv\dd|interpolate|linear|mean|sum"
)


class Relevance(TorchFunctionMode):
    """While entered, what a network's outputs send back is relevance: R_in = a z'(a)^T [R_out / z'].

    z' is the sum that shares the relevance out among its parts: the network's own, its magnitude raised by `epsilon`;
    with a `gamma`, convolutions add gamma times those parts that have the sum's own sign, so that z' is never smaller.
    Activations and dropout hand relevance on, a max-pool gives it to the winner, and a constant that is added or
    multiplied takes none. `strangers` names what the network computes in another way.
    """

    def __init__(self, epsilon: float, gamma: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = gamma
        self.strangers: list[str] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, with relevance in place of its gradient."""
        given = dict(kwargs or {})
        name = getattr(function, "__name__", "").strip("_")
        run, tensors = _of_active(_Plain(function), args, given)
        if not tensors or MOVING.fullmatch(name):
            return function(*args, **given)
        if len(tensors) == 1 and (ACTIVATION.fullmatch(name) or BY_A_CONSTANT.fullmatch(name)):
            return _HandOn.apply(run, *tensors)
        if SUM.fullmatch(name):
            raises = self.gamma and CONVOLUTION.fullmatch(name)
            raised = _of_active(_Raised(function, self.gamma), args, given)[0] if raises else None
            return _ShareOut.apply(run, raised, self.epsilon, *tensors)
        answer = function(*args, **given)
        if isinstance(answer, Tensor) and answer.requires_grad:
            self.strangers.append(name)
        return answer


def _of_active(call: _Plain | _Raised, args: Any, given: dict[str, Any]) -> tuple[Run, list[Tensor]]:
    """Return a call as a function of those of its tensors that depend on the image, and these tensors."""
    leaves, structure = tree_flatten((args, given))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]

    def run(*tensors: Tensor) -> Tensor:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return call(*tree_unflatten(filled, structure))

    return run, [leaves[place] for place in places]


@dataclass(frozen=True, eq=False)
class _Plain:
    """A function of what it is given by place and by name."""

    function: Callable[..., Tensor]

    def __call__(self, args: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
        return self.function(*args, **given)


@dataclass(frozen=True, eq=False)
class _Raised:
    """A convolution whose magnitude is raised by gamma times its parts with the result's own sign."""

    convolve: Callable[..., Tensor]
    gamma: float

    def __call__(self, args: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
        named = dict(zip(("input", "weight", "bias"), args[:3], strict=False)) | dict(given)
        values, weight, bias = named.pop("input"), named.pop("weight"), named.pop("bias", None)

        def convolved(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            return self.convolve(values, weight, bias, *args[3:], **named)

        over, under = values.clamp_min(0), values.clamp_max(0)
        positive, negative = weight.clamp_min(0), weight.clamp_max(0)
        plain = convolved(values, weight, bias)
        speaking = convolved(over, positive) + convolved(under, negative)
        opposing = convolved(over, negative) + convolved(under, positive)
        return plain + self.gamma * torch.where(plain > 0, speaking, opposing)


class _HandOn(torch.autograd.Function):
    """Any function of one tensor, handing back relevance unchanged."""

    @staticmethod
    def forward(ctx: Any, run: Run, values: Tensor) -> Tensor:
        ctx.shape = values.shape
        return run(values.clone())  # it may write in place

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[None, Tensor]:
        return None, relevance.sum_to_size(ctx.shape)


class _ShareOut(torch.autograd.Function):
    """A sum, handing back to each part the share of the relevance that it has in the sum, or in a raised one."""

    @staticmethod
    def forward(ctx: Any, run: Run, raised: Run | None, epsilon: float, *parts: Tensor) -> Tensor:
        with torch.enable_grad():
            ctx.leaves = [part.detach().clone().requires_grad_() for part in parts]
            ctx.sum = (raised or run)(*(leaf.clone() for leaf in ctx.leaves))  # clones: it may write in place
        ctx.epsilon = epsilon
        return ctx.sum.detach().clone() if raised is None else run(*(part.clone() for part in parts))

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        whole = ctx.sum.detach()
        per_unit = relevance / (whole + torch.where(whole < 0, -ctx.epsilon, ctx.epsilon))
        slopes = torch.autograd.grad(ctx.sum, ctx.leaves, per_unit, retain_graph=True)
        return None, None, None, *(leaf.detach() * slope for leaf, slope in zip(ctx.leaves, slopes, strict=True))


def relevance(model: Model, images: Tensor, targets: Tensor, epsilon: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Return logits [B, U] and the relevance of each input value to the target logits [B, T], [B, T, *input].

    Raises Skipped for a network that computes anything else than sums, maxima and activations.
    """
    asked = features.target_logits(model, images, targets)  # [B, T]
    with torch.enable_grad(), features.Reader(model, None) as logits, Relevance(epsilon, gamma) as mode:
        pixels = images.detach().clone().requires_grad_()
        answer = logits(pixels)
        columns = answer.gather(1, targets.to(answer.device)).unbind(1)  # T times [B]
    if mode.strangers:
        names = ", ".join(dict.fromkeys(mode.strangers))
        raise Skipped(f"model '{model.name}' computes what relevance propagation has no rule for: {names}")
    if not torch.allclose(torch.stack(columns, 1), asked, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise Skipped(f"model '{model.name}' writes into tensors that it reads again: relevance would lose its way")
    back = [torch.autograd.grad(column, pixels, column.detach(), retain_graph=True)[0] for column in columns]
    return answer.detach(), torch.stack(back, 1).detach()
