"""Trials of any portraits before any network, and twelve portraits of the toy world's three colours."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ambench import toy
from ambench.core import Case, Concepts, Directions, Layer, Model, Portraits, Randomness, Trial, Truth

natural_sought = importlib.import_module("ambench.metrics.portraits._responses").natural_sought
NAMES = ("red", "green", "blue")


def portrayed(
    images: Tensor,
    asked: Sequence[int],
    model: Model,
    concepts: Concepts,
    alive: Sequence[bool] | None = None,
    seeks: Directions | None = None,
) -> Trial[Portraits]:
    """The trial of portraits [P, *input] made for concepts `asked` [P]; their ids are concept/restart."""
    targets = torch.tensor(asked)
    names = [concepts.names[concept] for concept in asked]
    ids = tuple(f"{name}/{names[:row].count(name)}" for row, name in enumerate(names))
    units = torch.tensor([model.units[name] for name in concepts.names])
    living = torch.tensor([True] * len(images) if alive is None else list(alive))
    portraits = Portraits(images, units[targets], living, torch.zeros(len(images), 1), seeks)
    case = Case(images, targets[:, None], Truth(torch.ones(len(images), 1).bool()), ids)
    return Trial(model, case, portraits, concepts, Randomness((0,)), units)


def selected(trial: Trial[Portraits], rows: Sequence[int]) -> Trial[Portraits]:
    """The trial of some of the portraits, under their own ids."""
    case, whole, index = trial.case.select(rows), trial.explanation, torch.tensor(rows)
    parts = {name: getattr(whole, name)[index] for name in ("units", "alive", "history")}
    details = {name: detail[index] for name, detail in whole.details.items()}
    explanation = replace(whole, images=case.images, details=details, **parts)
    return replace(trial, case=case, explanation=explanation, shared={})


def searched(trial: Trial[Portraits], evaluations: int = 300) -> Trial[Portraits]:
    """The trial with curves of a search that passes the strongest natural image, each portrait's at a pace of its own."""
    pool = natural_sought(trial)
    start, natural = pool.mean(0), pool.amax(0)  # [P]
    paces = torch.tensor([1 + int(name[-1]) + len(name) / 20 for name in trial.case.ids], dtype=torch.float64)
    spent = torch.arange(1, evaluations + 1) / evaluations
    curve = start[:, None] + (natural - start)[:, None] * 1.5 * spent ** (1 / paces[:, None])
    details = {"blind_mean": start, "in_logits": torch.ones(len(start)).bool()}
    return replace(trial, explanation=replace(trial.explanation, history=curve, details=details))


def in_a_row(trial: Trial[Portraits]) -> Trial[Portraits]:
    """The trial with the pixels of pictures one after the other, as series [C, T]; its model is not to be asked."""
    case = replace(trial.case, images=trial.case.images.flatten(2))
    concepts = replace(trial.concepts, images=trial.concepts.images.flatten(2))
    explanation = replace(trial.explanation, images=case.images)
    return replace(trial, case=case, concepts=concepts, explanation=explanation, shared={})


def colours(model: Model | None = None, seeks: Directions | None = None) -> Trial[Portraits]:
    """Bars of each colour in turn, ever higher, and less and less of the next colour; the toy network in doubles."""
    source = toy.network() if model is None else model
    source.network.double()
    judge = toy.network(2.0)
    judge.network.double()
    images = 0.1 * torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for row in range(12):
        number, colour = row // 3, row % 3
        images[row, colour, number : 3 * number + 2] = 1.0
        images[row, (colour + 1) % 3, :, 9 + 2 * number :] = 0.9
    trial = portrayed(images.double(), [0, 1, 2] * 4, source, squares(40), seeks=seeks)
    return replace(trial, panel=(judge,))


def squares(count: int) -> Concepts:
    """Dim noise in double precision, with a square of each colour or not, each colour's in a corner of its own."""
    draw = torch.Generator().manual_seed(2)
    images = 0.1 * torch.rand(count, 3, 16, 16, generator=draw, dtype=torch.float64)
    present = torch.rand(count, 3, generator=draw) < 0.5
    places = torch.randint(4, (count, 3, 2), generator=draw)
    for row, colour in present.nonzero().tolist():
        down, right = (places[row, colour] + torch.tensor([8 * (colour // 2), 8 * (colour % 2)])).tolist()
        images[row, colour, down : down + 5, right : right + 5] = 0.9
    return examples(images, present)


def network(
    answer: Callable[[Tensor], Tensor],
    names: Sequence[str] = NAMES,
    classes: Sequence[str] = (),
    shape: tuple[int, ...] = (3, 16, 16),
) -> Model:
    """A model that answers inputs with `answer(inputs)`, [B, *shape] -> [B, U]; its one layer is the input itself."""

    class Answer(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return answer(inputs)

    pixels = nn.Identity()
    layers = {"pixels": Layer("pixels", pixels, lambda grid: grid)}
    units = {name: number for number, name in enumerate(names)}
    whole = nn.Sequential(pixels, Answer()).eval()
    return Model("answers", "none", whole, units, layers, "pixels", shape, tuple(classes))


def examples(images: Tensor, present: Tensor, names: Sequence[str] = NAMES) -> Concepts:
    """Examples [N, *input] that show some of the concepts [N, K]."""
    return Concepts(tuple(names), images, present.bool())
