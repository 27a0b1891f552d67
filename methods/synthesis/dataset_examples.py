"""Dataset examples: the natural pictures that excite a unit most, what activation maximization is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from ambench import explanations
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped, SynthesisMethod

from ._natural import outputs, precision
from ._objectives import Objective
from ._sought import Seeking, sought

RISE = 1e-6  # by which the best must exceed the mean of whole pictures, relative to 1 + |mean|, or the unit is dead
Window = tuple[tuple[int, int], ...]  # first pixel and the one after the last, of each side


@dataclass(frozen=True)
class DatasetExamples(SynthesisMethod):
    """Portraits cut from natural pictures: nothing is synthesised (after Borowski et al. 2021, arXiv 2010.12606).

    Each of the method's examples is tried whole and in windows of `crop` of its sides, half a window apart, brought to
    the network's input size (`crop` 1: whole alone). It counts by the best of these, and a unit's portraits are its
    `examples` best pictures, the best first; `details` say which and where. `objective` and `layer` are those of
    activation maximization; `chunk` pictures are read at a time, which changes nothing but memory. It is told nothing
    of what the pictures show, unless the objective asks.

    >>> from ambench.toy import Squares, network
    >>> found = DatasetExamples(examples=2).synthesise(
    ...     network(), torch.tensor([0]), Squares().concepts("fit"), Randomness((0,))
    ... )
    >>> found.images.shape, bool(found.history[0] >= found.history[1])
    (torch.Size([2, 3, 16, 16]), True)
    """

    citation = "Borowski et al. 2021, arXiv 2010.12606"
    supervision = "natural images"

    objective: Seeking = "logit"
    layer: str | None = None
    examples: int = 1
    crop: float = 0.5
    chunk: int = 64

    def __post_init__(self) -> None:
        for name, value in (("examples", self.examples), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"dataset_examples needs {name} of at least 1, not {value}")
        if not 0 < self.crop <= 1:
            raise InputError(f"dataset_examples needs a crop above 0 and up to 1, not {self.crop:g}")

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `examples` portraits of each of the units [K] in turn: images [K * examples, *input].

        `history` [P, 1] is what they excite. Raises Skipped where there are fewer examples than that.
        """
        if len(concepts) < self.examples:
            raise Skipped(f"{self.examples} pictures were asked of each unit, and there are {len(concepts)} examples")
        model.at(self.layer) if self.layer else None  # refuses a name that is none
        wanted = sought(model, units, concepts, self.objective, self.layer)
        pictures = concepts.images.to(model.device, precision(model))
        windows = list(_windows(tuple(pictures.shape[2:]), self.crop))
        values = torch.stack([self._excited(model, wanted.objective, pictures, window) for window in windows])
        best, window_of = values.nan_to_num(-torch.inf).max(0)  # [K, N]; what is no number excites nothing
        responses, rows = best.topk(self.examples, dim=1)  # [K, examples]
        chosen = [windows[number] for number in window_of.gather(1, rows).flatten().tolist()]
        cut = [_cut(pictures[row : row + 1], at) for row, at in zip(rows.flatten().tolist(), chosen, strict=True)]
        mean = values[0].nanmean(1, keepdim=True)  # [K, 1], of whole pictures
        alive = responses - mean > RISE * (1 + mean.abs())
        return Portraits(
            torch.cat(cut).float(),
            units.to(model.device).repeat_interleave(self.examples),
            alive.flatten(),
            responses.reshape(-1, 1).float(),
            wanted.directions,
            {"example": rows.flatten(), "window": torch.tensor(chosen, device=model.device)},
        )

    def _excited(self, model: Model, objective: Objective, pictures: Tensor, window: Window) -> Tensor:
        """Return how far each picture, cut to a window, excites each unit [K, N]."""
        parts = [
            objective.on(outputs(model, objective.layer, _cut(part, window), self.chunk))
            for part in torch.split(pictures, self.chunk)
        ]
        return torch.cat(parts, 1)


def _windows(extent: tuple[int, ...], share: float) -> Iterator[Window]:
    """Yield the whole picture, then every window of a share of its sides, half a window apart, the last at the border.

    >>> list(_windows((4,), 0.5))
    [((0, 4),), ((0, 2),), ((1, 3),), ((2, 4),)]
    """
    yield tuple((0, side) for side in extent)
    if share == 1 or not extent:
        return
    sizes = [max(1, round(share * side)) for side in extent]
    sides = [
        [(first, first + size) for first in (*range(0, side - size, max(1, size // 2)), side - size)]
        for side, size in zip(extent, sizes, strict=True)
    ]
    yield from product(*sides)


def _cut(pictures: Tensor, window: Window) -> Tensor:
    """Return a window of pictures [N, C, *extent], enlarged to the whole extent."""
    cut = pictures
    for axis, (first, end) in enumerate(window, start=2):
        cut = cut.narrow(axis, first, end - first)
    return explanations.upsample(cut, pictures.shape[2:])
