"""How the probability rises as the best pixels are shown (Petsiuk et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Trial

from ._asking import Ask, kept, of_each
from ._blur import blurred
from ._curve import Curve, Ends
from ._inputs import blank, is_table, pictures


@dataclass(frozen=True)
class Insertion(Curve):
    """Area under the probability while pixels, hottest first, come back into a blurred image; up, [0, 1].

    `blur` is its standard deviation as a share of the shortest side; a table begins with the mean of each column. A
    blur that leaves the concept visible makes every area large and all differences small, whatever the map: read it
    beside `deletion`, as whose probability, order and ties the rest is. Defined for images that show the concept.

    >>> import torch
    >>> from ambench import toy
    >>> from ambench.core import Randomness
    >>> case, model = next(iter(toy.Squares(count=8))), toy.network()
    >>> examples, units = toy.Squares(count=8).concepts("fit"), torch.arange(3)
    >>> answers = [Heatmaps(case.truth.present.float(), sign * case.truth.masks.float()) for sign in (1, -1)]
    >>> right, wrong = (Insertion().score(Trial(model, case, a, examples, None, units)).values for a in answers)
    >>> bool(right.sum() > wrong.sum())
    True
    """

    better: ClassVar[Better] = "higher"

    blur: float = 1 / 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blur <= 0:
            raise InputError(f"insertion starts from a blur above 0, not {self.blur}")

    def ends(self, trial: Trial[Heatmaps], ask: Ask) -> Ends:
        """Return the blurred images and the images."""
        images = pictures(trial)
        veiled: Tensor = trial.share(("blurred", self.blur), lambda: self._veiled(trial))
        clean: Tensor = kept(trial, "sure of images", lambda: of_each(ask, images, self.chunk))
        start = trial.concepts.mean.tolist() if is_table(trial) else [self.blur]
        hidden: Tensor = kept(trial, ("sure of the start", *start), lambda: of_each(ask, veiled, self.chunk))
        return Ends(veiled, images, hidden, clean)

    def _veiled(self, trial: Trial[Heatmaps]) -> Tensor:
        """The blurred images, or a table's rows without what tells them apart [B, C, *extent]."""
        images = pictures(trial)
        if is_table(trial):
            return blank(trial).expand_as(images)
        return blurred(images, self.blur * min(images.shape[2:]))
