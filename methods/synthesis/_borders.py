"""How near the logits are to a tie between a unit and a rival that both beat everything else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ._objectives import Read, logit

MARGIN = 1.0  # by which the two are wanted above all others


def border(class_units: Sequence[int], rival: int | None) -> Read:
    """Return what reads minus the squared difference of the two logits, and minus what they lack to lead the others.

    `rival` (None: the strongest other class) stands aside for a unit that is the rival itself. The lead of both over
    all other classes is wanted to be MARGIN, and what is missing is squared too. Without named classes all units are
    classes; a unit that is no class has its border where its logit is 0.

    >>> border([0, 1, 2], None)(torch.tensor([[3.0, 1.0, 0.5]]), torch.tensor([0]))
    tensor([-4.2500])
    """

    def read(logits: Tensor, units: Tensor) -> Tensor:
        rivals = torch.tensor(class_units or range(logits.shape[1]), device=logits.device)
        own = logit(logits, units)
        is_class = torch.isin(units, rivals)
        if len(rivals) < 2 or not is_class.any():
            return -own.square()
        others = logits[:, rivals].masked_fill(rivals == units[:, None], -torch.inf)  # [N, classes]
        second = others.argmax(1)
        if rival is not None:
            second = torch.where(units == rival, second, (rivals == rival).int().argmax())
        facing = logit(others, second)
        behind = others.scatter(1, second[:, None], -torch.inf).amax(1)  # -inf where there is no third
        missing = F.relu(behind + MARGIN - torch.minimum(own, facing))
        between = -(own - facing).square() - missing.square()
        return torch.where(is_class, between, -own.square())

    return read
