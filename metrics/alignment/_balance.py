"""Weights with which the plain mean of per-image values is a mean over two classes of equal weight."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench.by_concept import sums
from ambench.core import Ledger, Values


def balanced(values: Values, ledger: Ledger, weight: Tensor | None = None) -> Values:
    """Return values [N, T] whose mean over a concept's images is (mean with the concept + mean without it) / 2.

    That mean A is a ratio of sums, so each image gets A and its own pull on it: A + w (v - m), where m is the mean of
    its class, and w is n / (2 W) times its `weight` [N, T] (None: 1), n being the concept's defined values and W the
    weight of its class among them. Spreads and differences of these are then those of A (plain weighted values would
    also vary where every answer is right). A concept with one class only becomes undefined.
    """
    present, targets = ledger.truth.present.long(), ledger.targets
    defined = values.defined.double()
    own = defined if weight is None else weight.double() * defined
    cells = 2 * targets + present  # concept and class in one number
    mine = sums(cells, own)
    valid = values.defined & (mine > 0) & (sums(targets, own) > mine)
    mine, count = torch.where(valid, mine, torch.ones_like(mine)), sums(targets, defined)
    share = own * count / (2 * mine)
    level = sums(targets, values.values * share) / count.clamp_min(1)
    usual = sums(cells, values.values * own) / mine
    return Values.of(level + share * (values.values - usual), valid, values.flat)
