"""What all probes ask of their examples: enough of them, a fold for each, and how many are judged rightly."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench.core import Concepts, InputError, Randomness, Skipped

FEWEST = 5  # examples on either side
FOLDS = 5
UNDECIDED = 1e-8  # a logit this close to 0 says nothing


def folds(concepts: Concepts, present: Tensor | None = None) -> Tensor:
    """Return the fold of each example for each concept [N, K]: as many of either side in each, by the ids.

    Copies of an example lie in the same fold.
    """
    ids = concepts.ids or tuple(map(str, range(len(concepts))))
    order = Randomness(("folds",), ids).uniform().argsort()
    shown = (concepts.present if present is None else present).cpu()[order]
    sorted_ids = [ids[place] for place in order.tolist()]  # copies have the same lot, so they are neighbours
    first = torch.tensor([not n or sorted_ids[n - 1] != name for n, name in enumerate(sorted_ids)], dtype=torch.bool)
    number = torch.empty(shown.shape, dtype=torch.long)
    for side in (shown, ~shown):
        number[order] = torch.where(side, ((side & first[:, None]).cumsum(0) - 1) % FOLDS, number[order])
    return number.to(concepts.present.device)


def balanced_accuracy(logits: Tensor, present: Tensor, used: Tensor | None = None) -> Tensor:
    """Return the mean share judged rightly of both sides [K], from logits and truth [N, K]; a logit of 0 is a coin.

    Only the examples `used` [N, K] bool count; a concept with one side only is a coin too.

    >>> balanced_accuracy(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[True], [True], [False]]))
    tensor([0.5000], dtype=torch.float64)
    """
    right = ((logits > 0) == present).double()
    right = torch.where(logits.abs() < UNDECIDED, 0.5, right)
    kept = torch.ones_like(present) if used is None else used
    shares = []
    for side in (present & kept, ~present & kept):
        shares.append(torch.where(side.any(0), (right * side).sum(0) / side.sum(0).clamp_min(1), 0.5))
    return (shares[0] + shares[1]) / 2


def refuse_too_few(concepts: Concepts, present: Tensor | None = None, of: str = "examples") -> None:
    """Raise Skipped for a concept with fewer than five examples on either side."""
    shown = concepts.present if present is None else present
    for name, count in zip(concepts.names, shown.sum(0).tolist(), strict=True):
        missing = len(shown) - count
        if min(count, missing) < FEWEST:
            raise Skipped(
                f"a probe needs {FEWEST} {of} with and {FEWEST} without '{name}'; there are {count} and {missing}"
            )


def refuse_broken(values: Tensor, rows: slice, concepts: Concepts, layer: str) -> None:
    """Raise InputError with the name of an example whose features [n, F] at a layer are not finite."""
    for row in (~values.isfinite().all(1)).nonzero().flatten().tolist():
        number = (rows.start or 0) + row
        name = concepts.ids[number] if concepts.ids else f"number {number}"
        raise InputError(f"example {name} has features at layer '{layer}' that are not finite; leave it out")
