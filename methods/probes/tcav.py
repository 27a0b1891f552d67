"""Testing with concept activation vectors: how often moving along a concept raises a class (Kim et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.core import Concepts, Directions, InputError, Model, Pooling, Randomness, Skipped
from ambench.features import logits

from ._classified import ClassifierProbe
from ._classifier import Solver
from ._design import Design
from ._examples import balanced_accuracy
from ._folds import out_of_fold
from ._nulls import Nulls, lots, lowest
from ._probe import Sample, directions, in_parts
from ._sensitivity import sensitivities
from ._significance import at_chance, farthest, holm, shuffled_p, welch

SHUFFLES = 100  # of the labels


@dataclass(frozen=True)
class Tcav(ClassifierProbe):
    """The directions of `cav`, and how the classes' logits react to them (arXiv 1711.11279).

    Features are not pooled, as in the original, and the solver is `ridge`, as some hundred fits show what chance does;
    `solver=sgd` has TCAV's own settings. `refits` is how often the concept, and how often chance, is fitted; up to
    `images` of the examples that the network takes for a class speak for it. `layer`, `inverse_penalty` and `chunk` as
    in `cav`; without classes, or with the class token's features, it is skipped.

    >>> Tcav(refits=10).pooling, Tcav().solver
    ('none', 'ridge')
    """

    citation = "Kim et al. 2018, arXiv 1711.11279"
    supervision = "concept images"
    stochastic = True

    pooling: Pooling = "none"
    solver: Solver = "ridge"
    refits: int = 20
    images: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refits < 2:
            raise InputError(f"refits is a number of fits from 2 up, not {self.refits}")
        if self.images < 1:
            raise InputError(f"images is a number of images of a class from 1 up, not {self.images}")

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return vectors [K, C] or [K, C, *cells] (`none`) and, for K concepts and N classes, these details.

        `accuracy` [K], balanced, out of fold; `chance` [K]: its 95 % interval does not lie above .5, so that the
        concept's scores mean nothing. With q the derivative of a class's logit along a direction, at an image that the
        network takes for that class: `score` [K, N], how often q > 0, ties halved; `magnitude` [K, N], the positive
        share of all |q|; `sensitivity` [K, N], the mean q. `p` [K, N]: Welch's two-sided test of the scores of `refits`
        fits to random halves of the negatives against those of as many random directions (fits to random splits of the
        negatives); `effect` [K, N] is the difference of their means, `effect_interval` [K, N, 2] its 95 % interval, and
        `p_adjusted` [K, N] is Holm's, over all concepts and classes. The refits share their positives, so p is far too
        optimistic: of labels that meant nothing, about half of all p were below .05 (measured); `chance` catches most.
        `permutation_p` [K, N] holds its level, but finds little where random directions score 0 or 1 as well: it counts
        shuffled labels, 100 of them, whose scores are as far from .5, and `permutation_p_family` those whose farthest
        score of all concepts and classes is: it holds the level of the whole table.
        `images` [N] are counted; a class without any has score .5 and p 1.

        Raises Skipped without classes, with `class` pooling, or with fewer than five examples on either side.
        """
        _refuse(model, self.pooling)
        self.require(concepts)
        sample = self.arranged(self.sample(model, concepts, randomness))
        design = sample.design()
        made = self._directions(sample, design)
        members = self._members(model, sample)
        along = self._along(model, sample, made.vectors, members)  # [B, K + N examples]
        shown = members[members.any(1)]
        q, by_example = along[:, : len(made.vectors)], along[:, len(made.vectors) :]
        nulls = Nulls.of(self.classifier, design, sample, self.refits, SHUFFLES)
        details = {**made.details, **_scores(q, shown), **_tests(nulls, by_example, q, shown), "images": shown.sum(0)}
        return replace(made, details={name: value.to(made.vectors.device) for name, value in details.items()})

    def solve(self, sample: Sample) -> Directions:
        """Return the directions alone, with `details["accuracy"]` and `details["chance"]`: no class is asked."""
        return self._directions(sample, sample.design())

    def solve_samples(self, sample: Sample, counts: Tensor) -> Sequence[Directions]:
        """Return the directions of S samples [S, N], all problems solved at once; no details."""
        concepts = len(sample.concepts.names)
        present = sample.present.repeat(1, len(counts))  # [N, S K]
        often = counts.to(present.device).T.repeat_interleave(concepts, 1)
        planes = self.classifier.solve(sample.design(), present, often, resampled=True)
        return in_parts(sample, *planes.restored(), self.pooling, concepts)

    def _directions(self, sample: Sample, design: Design) -> Directions:
        vectors, bias = self.classifier.solve(design, sample.present).restored()
        said = out_of_fold(self.classifier, design, sample)
        details = {"accuracy": balanced_accuracy(said, sample.present), "chance": at_chance(said, sample.present)}
        return directions(sample, vectors, bias, self.pooling, details)

    def _members(self, model: Model, sample: Sample) -> Tensor:
        """Which examples speak for which class [N, classes] bool: some of those that the network takes for it."""
        units = list(model.class_units)
        named = logits(model, sample.concepts.images, self.chunk)[:, units].argmax(1)
        classes = F.one_hot(named, len(units)).bool().to(sample.present.device)
        most = torch.full((len(units),), self.images, device=classes.device)
        return lowest(lots(sample, "tcav images", 1), classes, most)[..., 0]

    def _along(self, model: Model, sample: Sample, vectors: Tensor, members: Tensor) -> Tensor:
        """Derivatives of the members' own classes along K vectors, and along the N examples' features [B, K + N]."""
        rows = members.any(1)
        units = torch.tensor(model.class_units, device=members.device)[members[rows].long().argmax(1)]
        features = sample.activations.whole()
        asked = {sample.layer: torch.cat([vectors.to(features), features])}
        images = sample.concepts.images[rows.to(sample.concepts.images.device)]
        return sensitivities(model, images, units[:, None], asked, self.chunk)[sample.layer][:, 0]


def tcav_scores(q: Tensor, members: Tensor) -> Tensor:
    """Return how often derivatives q [B, …] are above 0 among the members [B, N] of each class, ties halved [..., N].

    >>> members = torch.tensor([[True, False], [True, False], [True, False]])
    >>> tcav_scores(torch.tensor([2.0, 0.0, -1.0]), members).tolist()  # nobody is a member of the second class
    [0.5, 0.5]
    """
    raised = (q > 0).double() + (q == 0).double() / 2
    count = members.sum(0)
    total = torch.einsum("b...,bn->...n", raised, members.double())
    return torch.where(count > 0, total / count.clamp_min(1), 0.5)


def _refuse(model: Model, pooling: Pooling) -> None:
    if not model.classes:
        raise Skipped(f"model '{model.name}' has no classes whose logits could react to a concept")
    if pooling == "class":
        raise Skipped("tcav moves the cells of a layer, which the class token is not; pool by mean, max or none")


def _scores(q: Tensor, members: Tensor) -> dict[str, Tensor]:
    """What derivatives q [B, K] of the members' own classes say of each class."""
    each = members.double()
    total, length = q.T @ each, q.abs().T @ each  # [K, N]
    rising = q.clamp_min(0).T @ each
    magnitude = torch.where(length > 0, rising / length.clamp_min(1e-300), 0.5)
    return {
        "score": tcav_scores(q, members),
        "magnitude": magnitude,
        "sensitivity": total / members.sum(0).clamp_min(1),
    }


def _tests(nulls: Nulls, by_example: Tensor, q: Tensor, members: Tensor) -> dict[str, Tensor]:
    """How the scores of refits differ from those of random directions, given derivatives along the examples [B, N]."""
    moved = by_example - by_example.mean(1, keepdim=True)  # the examples are centred
    refits, splits, shuffled = (
        tcav_scores(torch.einsum("bn,skn->bsk", moved, shares), members)
        for shares in (nulls.refits, nulls.splits, nulls.shuffled)
    )
    found = welch(refits, splits)
    there, score = members.any(0).expand_as(found.p), tcav_scores(q, members)
    return {
        "p": found.p,
        "p_adjusted": holm(found.p, there.cpu()),
        "effect": found.effect,
        "effect_interval": found.interval,
        "permutation_p": shuffled_p(score, shuffled),
        "permutation_p_family": shuffled_p(score, farthest(shuffled, there)[:, None, None]),
    }
