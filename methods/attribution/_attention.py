"""The attention of every block of a transformer, seen where torch computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Attention(TorchFunctionMode):
    """While entered, attention is worked out in full, and its weights [B, heads, N, N] are handed to `see`, in order.

    Attention is met where it is called, as `scaled_dot_product_attention` or inside `nn.MultiheadAttention`, whatever
    kernel it would have been given; nothing in the network is replaced.

    >>> seen = []
    >>> query = torch.zeros(1, 1, 2, 3)
    >>> with Attention(seen.append):
    ...     _ = F.scaled_dot_product_attention(query, query, query)
    >>> seen[0].tolist()
    [[[[0.5, 0.5], [0.5, 0.5]]]]
    """

    def __init__(self, see: Callable[[Tensor], object]) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, attention by its stand-in."""
        given = dict(kwargs or {})
        if function is F.scaled_dot_product_attention:
            return self._attend(*args, **given)
        if function is F.multi_head_attention_forward:
            return self._attend_with_projections(function, args, given)
        return function(*args, **given)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:  # several queries' heads share one of the keys'
            key, value = (part.repeat_interleave(query.shape[-3] // part.shape[-3], -3) for part in (key, value))
        logits = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            logits = logits.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            logits = logits + attn_mask
        weights = logits.softmax(-1)
        self._see(weights)
        return F.dropout(weights, dropout_p) @ value

    def _attend_with_projections(
        self, function: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[Tensor, Tensor | None]:
        output, weights = function(*args, **given | {"need_weights": True, "average_attn_weights": False})
        self._see(weights)
        if not given.get("need_weights", True):
            return output, None
        return output, weights.mean(-3) if given.get("average_attn_weights", True) else weights


def on_the_way(weights: Tensor) -> Tensor:
    """Return the tensor that the output depends on, of which nn.MultiheadAttention hands out a view."""
    return weights if weights._base is None else weights._base
