"""Which layers of a network return a grid of cells, and how: convolutional, token and channels-last families."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.activation import MultiheadAttention
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torchvision.models.maxvit import PartitionAttentionLayer
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer
from torchvision.ops.misc import Permute
from torchvision.ops.stochastic_depth import StochasticDepth

from ambench.core import InputError, Layer
from ambench.forward import Call, trace

AsGrid = Callable[[Tensor], Tensor]
ACTIVATIONS = tuple(
    kind
    for kind in vars(torch.nn.modules.activation).values()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind not in (nn.Module, MultiheadAttention)
)
ELEMENTWISE = (*ACTIVATIONS, nn.Identity, nn.modules.dropout._DropoutNd, StochasticDepth)


@dataclass(frozen=True)
class Tokens:
    """The layout of a token network: `prefix` tokens that are no cells, then the cells row by row.

    Called with tokens [B, prefix + cells, C] it returns the grid [B, C, *cells].

    >>> Tokens(prefix=1, cells=(2, 3))(torch.zeros(4, 7, 5)).shape
    torch.Size([4, 5, 2, 3])
    """

    prefix: int
    cells: tuple[int, ...]

    def __call__(self, output: Tensor) -> Tensor:
        """Return the grid; raises InputError if there are more or fewer tokens than declared."""
        if not self.fits(output.shape):
            raise InputError(
                f"{self.prefix} + {list(self.cells)} tokens were declared, the layer has {output.shape[1]}"
            )
        grid = output[:, self.prefix :].transpose(1, 2)  # [B, C, cells]
        return grid.reshape(*grid.shape[:2], *self.cells)

    def class_token(self, output: Tensor) -> Tensor:
        """Return the first token [B, C] of tokens [B, prefix + cells, C]."""
        return output[:, 0]

    def fits(self, shape: torch.Size) -> bool:
        """Return whether an output of this shape [B, tokens, C] has the declared layout."""
        return len(shape) == 3 and shape[1] == self.prefix + math.prod(self.cells)


def channels_first(output: Tensor) -> Tensor:
    """Return an output [B, C, *cells] as it is."""
    return output


def channels_last(output: Tensor) -> Tensor:
    """Return an output [B, *cells, C] as [B, C, *cells]."""
    return output.movedim(-1, 1)


def calls_of(network: nn.Module, input_shape: tuple[int, ...]) -> list[Call]:
    """Return what every module does with two inputs of a shape; the last call is the network's own."""
    like = next(network.parameters(), torch.zeros(()))
    images = torch.full((2, *input_shape), 0.5, dtype=like.dtype, device=like.device)
    try:
        return trace(network, images)
    except (RuntimeError, AssertionError, IndexError, TypeError) as error:
        said = str(error).strip().splitlines()[:1] or [type(error).__name__]
        shape = ", ".join(map(str, input_shape))
        raise InputError(f"the network does not take inputs [B, {shape}]: {said[0]}") from error


def find(
    network: nn.Module, calls: list[Call], tokens: Tokens | None = None, last: bool = False
) -> tuple[dict[str, Layer], str]:
    """Return a network's layers by name, in the order in which they run, and the name of the one to use by default.

    A layer is any named module that runs exactly once in a forward and returns a grid; `tokens` is the layout of a
    network that is no torchvision family, `last` says that its grids have channels last. The default is the last
    convolutional or window-attention stage with what normalises or rectifies it; for torchvision's VisionTransformer
    `ln_1` of the last block, because what comes after it reaches the output from the class token only; for other
    token networks, and where no layer is a grid, the empty string.
    """
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.name] = counts.get(call.name, 0) + 1
    once = [call for call in calls if counts[call.name] == 1 and call.name and not _inside_windows(network, call.name)]
    views = _grid_views(network, once, _dimensions(calls[-1]), last) | _token_views(network, once, tokens)
    layers = {call.name: _layer(call, views[call.name]) for call in once if call.name in views}
    return layers, _default(network, once, layers)


def _layer(call: Call, view: AsGrid) -> Layer:
    as_class = view.class_token if isinstance(view, Tokens) and view.prefix else None
    return Layer(call.name, call.module, view, as_class)


def _dimensions(call: Call) -> int:
    return next(value.ndim for value in call.inputs if isinstance(value, Tensor))


def _inside_windows(network: nn.Module, name: str) -> bool:
    """Return whether a module works on windows cut out of the grid, whose outputs look like grids but are not."""
    parents = name.split(".")[:-1]
    within = [network.get_submodule(".".join(parents[: depth + 1])) for depth in range(len(parents))]
    return any(isinstance(module, PartitionAttentionLayer) for module in within)


# ------------------------------------------------------------------------------------------------ views


def _token_views(network: nn.Module, calls: list[Call], tokens: Tokens | None) -> dict[str, AsGrid]:
    tokens = tokens or _torchvision_tokens(network, calls)
    if tokens is None:
        return {}
    return {call.name: tokens for call in calls if isinstance(call.output, Tensor) and tokens.fits(call.output.shape)}


def _torchvision_tokens(network: nn.Module, calls: list[Call]) -> Tokens | None:
    """Return the layout of torchvision's VisionTransformer: a class token, then the patches that its stem made."""
    for module in network.modules():
        if isinstance(module, VisionTransformer):
            stem = next(call.output for call in calls if call.module is module.conv_proj)
            return Tokens(1, tuple(stem.shape[2:])) if isinstance(stem, Tensor) else None
    return None


def _grid_views(network: nn.Module, calls: list[Call], dimensions: int, last: bool) -> dict[str, AsGrid]:
    swin = any(isinstance(module, SwinTransformer) for module in network.modules())
    default = channels_last if swin or last else channels_first
    seen: dict[int, AsGrid] = {}  # the layout of each tensor that some module returned
    views: dict[str, AsGrid] = {}
    for call in calls:
        if isinstance(call.output, Tensor) and call.output.ndim == dimensions and call.output.shape[0] == 2:
            view = channels_first if dimensions < 3 else _layout(call, seen, default)
            seen[id(call.output)] = views[call.name] = view
    return views


def _layout(call: Call, seen: dict[int, AsGrid], default: AsGrid) -> AsGrid:
    """Return where a module's output has its channels: by what it is, else by the tensor that it passes on or got."""
    module = call.module
    if type(module) in (nn.Linear, nn.LayerNorm):  # subclasses such as LayerNorm2d permute
        return channels_last
    if isinstance(module, _ConvNd | _NormBase) or "Pool" in type(module).__name__:
        return channels_first
    if isinstance(module, Permute):
        return channels_last if module.dims[-1] == 1 else channels_first
    if id(call.output) in seen:
        return seen[id(call.output)]
    if isinstance(module, ELEMENTWISE) and id(call.inputs[0]) in seen:
        return seen[id(call.inputs[0])]
    return default


# ------------------------------------------------------------------------------------------------ the default


def _default(network: nn.Module, calls: list[Call], layers: dict[str, Layer]) -> str:
    for module in network.modules():
        names = [call.name for call in calls if isinstance(call.module, EncoderBlock)]
        if isinstance(module, VisionTransformer) and names:
            return f"{names[-1]}.ln_1"
    if any(isinstance(layer.as_grid, Tokens) for layer in layers.values()):
        return ""
    return _last_stage(network, calls, layers)


def _last_stage(network: nn.Module, calls: list[Call], layers: dict[str, Layer]) -> str:
    """Return the outermost module with the last weights before the head, or the activation or norm after it."""
    stages = _outermost(network, "", layers)
    order = {call.name: number for number, call in enumerate(calls)}
    stages = sorted((name for name in stages if name in order), key=order.__getitem__)
    weighted = [name for name in stages if _has_weights(network.get_submodule(name))]
    stem = [name for name in weighted[:-1] if name in layers] or [name for name in weighted if name in layers]
    if not stem:
        return ""
    chosen = stem[-1]
    for name in stages[stages.index(chosen) + 1 :]:
        if name not in layers or not isinstance(layers[name].module, (*ACTIVATIONS, _NormBase, nn.LayerNorm)):
            break
        chosen = name
    return chosen


def _outermost(module: nn.Module, name: str, layers: dict[str, Layer]) -> list[str]:
    """Return the modules that return grids and lie in no other such module, and all other leaves."""
    children = list(module.named_children())
    if name in layers or (name and not children):
        return [name]
    return [found for key, child in children for found in _outermost(child, f"{name}.{key}".lstrip("."), layers)]


def _has_weights(module: nn.Module) -> bool:
    return any(isinstance(part, _ConvNd | nn.Linear) for part in module.modules())
