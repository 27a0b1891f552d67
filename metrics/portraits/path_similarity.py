"""Whether a portrait is processed as natural images are, layer by layer (Geirhos et al. 2023, arXiv 2306.04719)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench import features
from ambench.core import Better, InputError, Metric, Model, Portraits, Trial, Values
from ambench.correlation import mid_ranks

from ._natural import layer_of, strongest
from ._stages import stages

CHUNK = 64  # inputs whose grids are in memory at a time
LEAST = 0.1  # below it, natural images do not agree enough to be a measure


@dataclass(frozen=True, eq=False)
class _Examples:
    """Rows of the examples for one concept: `references` and `held_out` show it, `others` do not."""

    references: Tensor
    held_out: Tensor
    others: Tensor


@dataclass(frozen=True)
class PathSimilarity(Metric[Portraits]):
    """How alike the features of a portrait and of natural images are, over how alike those are; up, natural images 1.

    At each layer: the mean rank correlation of a portrait's features (averaged to at most `cells` along a side) with
    those of `references` natural images, over the mean that as many others of them reach; then the mean over layers.
    The natural images show the concept and excite its unit most: the strongest, third strongest, … are references, the
    second, fourth, … are held out. A unit that is driven through a circuit of its own, which natural images do not
    use, has a high activation and a low value here.

    `measure` specificity takes from each mean that with as many images that do not show the concept: it asks for what
    sets the concept apart, so that another concept's portrait scores 0 or less, and counts only layers where natural
    images are set apart by at least .1; similarity counts layers where they agree by .1. A portrait whose natural
    images reach that nowhere, or fewer than two of which show the concept, is undefined; features that are all equal,
    and dead portraits, score 0, as unrelated images do.

    `layers` names the layers; without, there are at most `stages`, evenly spread up to the model's own layer, or to the
    one whose direction the portraits seek: layer1 to layer4 of a residual network.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> concepts = toy.Squares().concepts("fit")
    >>> images = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]])[:, :, None, None].expand(2, 3, 16, 16)
    >>> portraits = Portraits(images, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> case = Case(images, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> trial = Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> red, green = PathSimilarity(cells=1).score(trial).values[:, 0].tolist()
    >>> red > 0.5 > 0 > green
    True
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Geirhos et al. 2023, arXiv 2306.04719"

    measure: Literal["similarity", "specificity"] = "similarity"
    references: int = 10
    stages: int = 4
    layers: tuple[str, ...] = ()
    cells: int = 4

    def __post_init__(self) -> None:
        if min(self.references, self.stages, self.cells) < 1:
            raise InputError("path_similarity needs at least one reference, one stage and one cell")

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped without a layer."""
        if not len(trial.concepts):
            return None
        asked = trial.case.targets[:, 0]
        values = torch.zeros(len(asked), dtype=torch.float64, device=asked.device)
        defined = torch.zeros_like(asked, dtype=torch.bool)
        names = self.layers_of(trial)
        ways = paths(trial.model, trial.case.images, names, self.cells)
        for concept in sorted(set(asked.tolist())):
            examples, mine = self._examples(trial, concept), asked == concept
            if len(examples.held_out):
                layers = [self._layer(trial, examples, ranks[mine], name) for name, ranks in ways.items()]
                counted = [value for value in layers if value is not None]
                if counted:
                    values[mine], defined[mine] = torch.stack(counted).mean(0).to(values), True
        dead = ~trial.explanation.alive
        return Values.of(values.masked_fill(dead, 0.0)[:, None], defined[:, None], dead[:, None])

    def layers_of(self, trial: Trial[Portraits]) -> list[str]:
        """Return the names of the layers that are compared."""
        if self.layers:
            return [trial.model.at(name).name for name in self.layers]
        seeks = trial.explanation.seeks
        return stages(trial.model, layer_of(trial.model, None if seeks is None else seeks.layer), self.stages)

    def _examples(self, trial: Trial[Portraits], concept: int) -> _Examples:
        ranked = strongest(trial, concept)[: 2 * self.references]
        without = (~trial.concepts.present[:, concept]).nonzero().flatten()
        spread = torch.linspace(0, max(len(without) - 1, 0), min(self.references, len(without))).round().long()
        return _Examples(ranked[::2], ranked[1::2], without[spread.to(without.device)])

    def _layer(self, trial: Trial[Portraits], examples: _Examples, ranks: Tensor, name: str) -> Tensor | None:
        """Return the value of portraits at a layer [p] from their ranks [p, F]; None where natural images have none."""
        rows = torch.cat([examples.references, examples.held_out, examples.others])
        ways = trial.share(
            ("natural path", name, self.cells, tuple(rows.tolist())), lambda: self._path(trial, rows, name)
        )
        first, second = len(examples.references), len(examples.references) + len(examples.held_out)
        references, held_out, others = ways[:first], ways[first:second], ways[second:]
        made, natural = likeness(ranks, references), likeness(held_out, references).mean()
        if self.measure == "specificity":
            if not len(others):
                return None
            made, natural = made - likeness(ranks, others), natural - likeness(held_out, others).mean()
        return None if natural < LEAST else made / natural

    def _path(self, trial: Trial[Portraits], rows: Tensor, name: str) -> Tensor:
        return paths(trial.model, trial.concepts.images[rows], [name], self.cells)[name]


def likeness(one: Tensor, other: Tensor) -> Tensor:
    """Return each row's mean rank correlation with the rows of another table: ranks [n, F], [m, F] -> [n]."""
    return torch.stack([(row * other).sum(1).mean() for row in one]) if len(one) else one[:, 0]


def paths(model: Model, images: Tensor, names: Sequence[str], cells: int) -> dict[str, Tensor]:
    """Return the ranks of each layer's features [B, F] float64, centred and at length 1; equal features share a rank.

    The product of two rows is Spearman's rank correlation; all zero where the features are all equal.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for chunk in torch.split(images, CHUNK):
        for name, grid in features.read(model, chunk, names).items():
            parts[name].append(_ranks(coarse(grid, cells)))
    return {name: torch.cat(ranks) for name, ranks in parts.items()}


def coarse(grid: Tensor, cells: int) -> Tensor:
    """Return a grid [B, C, *sides] averaged to at most `cells` along each axis, flat [B, F].

    >>> coarse(torch.arange(8.0).view(1, 1, 8), 4).tolist()
    [[0.5, 2.5, 4.5, 6.5]]
    """
    pools: dict[int, Callable[..., Tensor]] = {
        1: F.adaptive_avg_pool1d,
        2: F.adaptive_avg_pool2d,
        3: F.adaptive_avg_pool3d,
    }
    sides = [min(cells, side) for side in grid.shape[2:]]
    return pools[len(sides)](grid, sides).flatten(1) if sides else grid


def _ranks(values: Tensor) -> Tensor:
    ranks = mid_ranks(values)
    return F.normalize(ranks - ranks.mean(1, keepdim=True), dim=1)
