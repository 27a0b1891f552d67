"""Weights with which the plain mean of per-image values is a mean over two classes of equal weight."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench.core import Ledger, Values

from ._by_concept import sums


def balanced(values: Values, ledger: Ledger, weight: Tensor | None = None) -> Values:
    """Return values [N, T] whose mean over a concept's images is (mean with the concept + mean without it) / 2.

    Each value is multiplied by n / (2 W) times its own `weight` [N, T] (None: 1), n the concept's defined values and
    W the weight of its own class among them. A concept with one class only becomes undefined.
    """
    present, targets = ledger.truth.present.long(), ledger.targets
    defined = values.defined.double()
    own = defined if weight is None else weight.double() * defined
    cells = 2 * targets + present  # concept and class in one number
    mine = sums(cells, own)
    both = sums(targets, own)
    valid = values.defined & (mine > 0) & (both > mine)
    share = own * sums(targets, defined) / (2 * torch.where(valid, mine, torch.ones_like(mine)))
    return Values.of(values.values * share, valid, values.flat)
