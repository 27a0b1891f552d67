"""The prediction is what the network says."""

from __future__ import annotations

import pytest
import torch

import networks
from ambench import registry
from ambench.core import Concepts, InputError, Predictions, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
MODELS = networks.every()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_logits_and_scores_are_the_networks(name: str) -> None:
    model, targets = MODELS[name], networks.targets()
    images = networks.images(model)
    answer = registry.load("methods", "prediction").attribute(model, images, targets, NOBODY, Randomness((0,)))
    assert isinstance(answer, Predictions)
    with torch.no_grad():
        logits = model.network(images)
    torch.testing.assert_close(answer.logits, logits)
    for row in range(len(images)):
        torch.testing.assert_close(answer.scores[row], logits[row, targets[row]])


@pytest.mark.parametrize("unit", [-1, 5])
def test_a_unit_that_is_not_there_is_refused(unit: int) -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match=f"unit {unit}"):
        registry.load("methods", "prediction").attribute(
            model, networks.images(model), torch.full((4, 1), unit), NOBODY, Randomness((0,))
        )
