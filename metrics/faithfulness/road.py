"""What removal does when it cannot be read off the mask: remove and debias (Rong et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Randomness, Skipped, Trial, Values

from ._asking import Ask, Sure, refuse_chunk, streamed
from ._imputation import imputed
from ._inputs import is_table, span
from ._order import coldest_first, constant, hottest_first, maps_of


@dataclass(frozen=True)
class Road(Sure):
    """Probability without the coldest pixels less that without the hottest, mean over `shares` removed; up, [-1, 1].

    Removed pixels are imputed: each is the weighted mean of its neighbours, removed ones among them, plus normal
    `noise`, a share of the inputs' range. Nothing but what is left can then say where something was. A flat map
    scores 0, and a map with its sign turned minus the value. Probability and order are those of `deletion`. Tables
    are skipped: columns have no neighbours. Defined for images that show the concept, of which the first `limit`
    are scored: the imputation takes more time than the network.

    >>> from ambench import toy
    >>> case, model = next(iter(toy.Squares(count=8))), toy.network()
    >>> examples, units = toy.Squares(count=8).concepts("fit"), torch.arange(3)
    >>> answers = [Heatmaps(case.truth.present.float(), sign * case.truth.masks.float()) for sign in (1, -1)]
    >>> right, wrong = (Road(noise=0).score(Trial(model, case, a, examples, None, units)).values for a in answers)
    >>> bool(right.sum() > 0), bool(torch.equal(wrong, -right))
    (True, True)
    """

    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Rong et al. 2022, arXiv 2202.00449"

    shares: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    noise: float = 0.01
    tolerance: float = 1e-4
    limit: int | None = 64
    chunk: int = 64

    def __post_init__(self) -> None:
        refuse_chunk("road", self.chunk)
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            shares = ", ".join(map(str, self.shares))
            raise InputError(f"road removes shares above 0 and below 1, not {shares or 'none'}")
        if self.noise < 0 or self.tolerance <= 0:
            raise InputError(f"road's noise is at least 0, its tolerance above 0, not {self.noise}, {self.tolerance}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the difference [B, T] of each pair that shows its concept; None for a probe without calibration."""
        if is_table(trial):
            raise Skipped("road imputes what is removed from its neighbours, and a table's columns have none")
        maps, ask = maps_of(trial), self.asks(trial)
        if ask is None:
            return None
        asked = self.asked(trial)
        values = torch.zeros(asked.shape, dtype=torch.float64, device=maps.device)
        if asked.any():
            hot, cold = self.sure_without(trial, ask, asked).unbind(1)  # [R, shares] each
            values[asked] = (cold - hot).mean(1)
        return Values.of(values, asked, constant(maps))

    def sure_without(self, trial: Trial[Heatmaps], ask: Ask, asked: Tensor) -> Tensor:
        """Return the probabilities of R pairs `asked` [B, T] without hottest and coldest pixels [R, 2, shares]."""
        case = trial.case
        rows, columns = asked.nonzero(as_tuple=True)  # [R] each
        orders = hottest_first(trial, asked), coldest_first(trial, asked)
        counts = [round(share * orders[0].keys.shape[1]) for share in sorted(self.shares)]
        reached = torch.stack([order.steps(counts) for order in orders])  # [2, R, P]
        drawn = Randomness(("faithfulness", "road"), case.ids).normal(*case.images.shape[1:]).to(case.images)

        def change(some: Tensor) -> Tensor:
            pair, rest = some // (2 * len(counts)), some % (2 * len(counts))
            removed = reached[rest // len(counts), pair] <= (rest % len(counts))[:, None]
            removed, image = removed.view(len(some), *case.images.shape[2:]), rows[pair]
            images = case.images.index_select(0, image)
            made = imputed(images, removed, trial.concepts.mean, self.tolerance * span(trial))
            gone = removed.unsqueeze(1).to(made)
            return made.addcmul(drawn.index_select(0, image), gone, value=self.noise * span(trial))

        concepts = case.targets[rows, columns].repeat_interleave(2 * len(counts))
        return streamed(ask, change, concepts, self.chunk).view(len(rows), 2, len(counts))
