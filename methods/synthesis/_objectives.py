"""What a portrait makes large: numbers [P] read from the logits [P, U] at each portrait's own unit [P]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.core import Model

Objective = Callable[[Tensor, Tensor], Tensor]


def objectives(model: Model) -> Mapping[str, Objective]:
    """Return a model's objectives by name: `logit`, and `probability`, of which the logarithm is climbed."""
    return {"logit": logit, "probability": lambda logits, units: log_probability(logits, units, model.class_units)}


def logit(logits: Tensor, units: Tensor) -> Tensor:
    """Return the logit of each row's unit.

    >>> logit(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return logits.gather(1, units[:, None])[:, 0]


def log_probability(logits: Tensor, units: Tensor, class_units: Sequence[int]) -> Tensor:
    """Return the log-probability of each row's unit: among the classes if it is one, else of yes against no.

    Without named classes all units are classes. The logarithm, because a probability near one has no slope left.

    >>> log_probability(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]), [0, 1]).exp()
    tensor([0.5000])
    """
    rivals = torch.tensor(class_units or range(logits.shape[1]), device=logits.device)
    own = logit(logits, units)
    among = own - logits[:, rivals].logsumexp(1)
    return torch.where(torch.isin(units, rivals), among, F.logsigmoid(own))
