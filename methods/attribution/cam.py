"""Class activation mapping: the linear head's own row, read at every cell (Zhou et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness, Skipped

from ._cams import require_cells

TOLERANCE = 1e-4  # by which a mean's logits may differ from the network's, relative to 1 + the largest of them


@dataclass(frozen=True)
class Cam(AttributionMethod):
    """Each cell's logit, where a layer's cells are averaged and go into one linear layer (arXiv 1512.04150).

    Signed: the mean of a map is the logit, the sum of its cells the score. `layer` (None: the model's default) is the
    one that is averaged, as it is or behind a ReLU. That it is, is seen from the logits themselves, so dropout and
    flattening may lie between.

    >>> from ambench.toy import network
    >>> model, images = network(), torch.rand(1, 3, 16, 16)
    >>> maps = Cam().attribute(model, images, torch.tensor([[2]]), None, None).values
    >>> bool((maps.mean() - model.network(images)[0, 2]).abs() < 1e-5)
    True
    """

    citation = "Zhou et al. 2016, arXiv 1512.04150"

    layer: str | None = None

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent]; raises Skipped where no linear layer turns the layer's mean into the logits."""
        layer = model.at(self.layer)
        with torch.no_grad(), features.Reader(model, layer.name, None) as reader:
            found = reader.outputs(images)
        grid, logits = layer.as_grid(found[layer.name]), found[None]
        features.check_targets(model, images, targets, logits)
        require_cells(grid, layer.name)
        maps = torch.zeros(*targets.shape, *grid.shape[2:]).to(grid)
        answered = torch.zeros_like(targets, dtype=torch.bool)
        for head in _heads(model, grid, logits):
            own = head.has(targets) & ~answered
            maps[own] = head.maps(targets)[own]
            answered |= own
        if not answered.all():
            raise Skipped(
                f"cam needs a layer whose mean over cells goes into one linear layer; '{layer.name}' of model "
                f"'{model.name}' is not one"
            )
        scores = maps.double().flatten(2).sum(2).float()
        return Heatmaps(scores, explanations.upsample(maps, images.shape[2:]).float())


@dataclass(frozen=True, eq=False)
class _Head:
    """A linear layer and the grid [B, C, *cells] whose mean it reads; its outputs are the units from `first` on."""

    grid: Tensor
    weight: Tensor
    bias: Tensor
    first: int

    def has(self, targets: Tensor) -> Tensor:
        return (targets >= self.first) & (targets < self.first + len(self.weight))

    def maps(self, targets: Tensor) -> Tensor:
        """Return each cell's logits [B, T, *cells]; of other heads' units, nonsense."""
        units, places = torch.unique((targets - self.first).clamp(0, len(self.weight) - 1), return_inverse=True)
        cells = explanations.cell_logits(self.grid, self.weight[units], self.bias[units])  # [B, units, *cells]
        return cells[torch.arange(len(targets), device=targets.device).unsqueeze(1), places]


def _heads(model: Model, grid: Tensor, logits: Tensor) -> Iterator[_Head]:
    """Yield the linear layers that turn the mean of the grid, or of its rectified self, into the logits [B, U].

    The network's own head begins at the first unit, one that was put beside it ends at the last.
    """
    clear = logits.isfinite().all(1)
    for weight, bias in _linear(model, grid.shape[1]):
        for seen in (grid, grid.relu()):
            answers = torch.nn.functional.linear(seen.flatten(2).mean(2), weight, bias)  # [B, n]
            for first in {0, logits.shape[1] - len(weight)}:
                asked = logits[:, max(first, 0) : first + len(weight)]
                if asked.shape == answers.shape and _close(answers[clear], asked[clear]):
                    yield _Head(seen, weight, bias, first)


def _linear(model: Model, channels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield weight [n, C] and bias [n] of every linear layer of so many inputs, 1 x 1 convolutions among them."""
    for module in model.network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, Tensor) and weight.ndim > 1 and weight[0].numel() == channels:
            flat = weight.detach().flatten(1)
            yield flat, bias.detach() if isinstance(bias, Tensor) else flat.new_zeros(len(flat))


def _close(answers: Tensor, logits: Tensor) -> bool:
    largest = float(logits.abs().max()) if logits.numel() else 0.0
    return bool(((answers - logits).abs() <= TOLERANCE * (1 + largest)).all())
