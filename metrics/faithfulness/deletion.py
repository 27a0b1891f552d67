"""How the probability falls as the best pixels are removed (Petsiuk et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ambench.core import Better, Heatmaps, Trial

from ._asking import Ask, kept, of_each
from ._curve import Curve, Ends
from ._inputs import blank, pictures


@dataclass(frozen=True)
class Deletion(Curve):
    """Area under the probability while pixels, hottest first, take the examples' mean colour; down, [0, 1].

    The curve is read at `fractions` of the pixels (or `steps` equal ones) and its ends, and joined by straight
    lines. Pixels of equal value go in an order drawn for each image, so a constant map is a random order. The
    columns of a table take the mean of their own. The probability is that of the concept's output unit: a softmax
    over classes, the logistic of a unit that stands alone; of a probe, the logistic of its logit in deviations from
    its threshold. Defined for images that show the concept.

    >>> import torch
    >>> from ambench import toy
    >>> from ambench.core import Randomness
    >>> case, model = next(iter(toy.Squares(count=8))), toy.network()
    >>> examples, units = toy.Squares(count=8).concepts("fit"), torch.arange(3)
    >>> answers = [Heatmaps(case.truth.present.float(), sign * case.truth.masks.float()) for sign in (1, -1)]
    >>> right, wrong = (Deletion().score(Trial(model, case, a, examples, None, units)).values for a in answers)
    >>> bool(right.sum() < wrong.sum())
    True
    """

    better: ClassVar[Better] = "lower"

    def ends(self, trial: Trial[Heatmaps], ask: Ask) -> Ends:
        """Return the images and the mean colour, of which all images are asked at once."""
        images, nothing = pictures(trial), blank(trial)
        clean: Tensor = kept(trial, "sure of images", lambda: of_each(ask, images, self.chunk))
        empty: Tensor = kept(trial, ("sure of a colour", *trial.concepts.mean.tolist()), lambda: ask(nothing))
        return Ends(images, nothing, clean, empty)
