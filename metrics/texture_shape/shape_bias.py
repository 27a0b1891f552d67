"""Which cue names an object whose outline and surface disagree (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Metric, Predictions, Trial, Values
from ambench.naming import Aggregate

from ._answers import cues


@dataclass(frozen=True)
class ShapeBias(Metric[Predictions]):
    """1 where the model's class is the image's shape, 0 where it is its texture; descriptive, [0, 1].

    The mean is shape / (shape + texture) answers. Images without conflict, and answers that name neither cue, are left
    out: read it beside `coverage`. The dataset's classes are the model's by name, else (a texture-trained twin) by
    their order; where they are among the sixteen categories of Geirhos et al., a 1000-class network answers with the
    category whose ImageNet classes have the highest mean probability (`aggregate`: or their sum, or the highest one;
    sums favour the 109 dogs). Of a dataset whose concepts are the categories, such as `cue_conflict_folder`, each row
    is a category's own bias and `all` their mean, with few images the pooled bias; `ambench shape-bias` names both.

    >>> import torch
    >>> from ambench.core import Case, Model, Truth
    >>> network = torch.nn.Identity()
    >>> model = Model("toy", "none", network, {"cat": 0, "dog": 1, "car": 2}, {}, "", (3,), ("cat", "dog", "car"))
    >>> truth = Truth(torch.ones(3, 1).bool(), shape=torch.tensor([0, 0, 0]), texture=torch.tensor([1, 1, 1]))
    >>> case = Case(torch.eye(3), torch.zeros(3, 1).long(), truth, ("says cat", "says dog", "says car"))
    >>> answer = Predictions(scores=torch.zeros(3, 1), logits=torch.eye(3))
    >>> trial = Trial(model, case, answer, None, None, units=torch.tensor([0]), classes=model.classes)
    >>> values = ShapeBias().score(trial)
    >>> values.values.tolist(), values.defined.tolist()
    ([[1.0], [0.0], [0.0]], [[True], [True], [False]])
    """

    reads: ClassVar[type[Predictions]] = Predictions
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("shape", "texture")
    citation: ClassVar[str] = "Geirhos et al. 2019, arXiv 1811.12231"

    aggregate: Aggregate = "mean"

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return one value for each image, the same for every concept asked of it [B, T]."""
        found = cues(trial, self.aggregate)
        if found is None:
            return None
        named = found.shape + found.texture  # [B]
        defined = found.conflict & (named > 0)
        return found.as_values(trial, found.shape / named.where(defined, named.new_ones(())), defined)
