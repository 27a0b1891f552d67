"""Objectives against torch's own softmax and sigmoid."""

from __future__ import annotations

import importlib

import torch
from torch import nn

from ambench.core import Model

objectives = importlib.import_module("ambench.methods.synthesis._objectives").objectives
LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
UNITS = torch.tensor([0, 1, 2, 3, 4, 0])


def named(classes: tuple[str, ...]) -> Model:
    return Model("m", "none", nn.Identity(), {name: unit for unit, name in enumerate("abcde")}, {}, "", (1,), classes)


def test_the_logit_is_each_rows_own() -> None:
    assert torch.equal(
        objectives(named(()))["logit"](LOGITS, UNITS), torch.stack([LOGITS[i, UNITS[i]] for i in range(6)])
    )


def test_without_classes_the_probability_is_the_softmax_of_all_units() -> None:
    expected = LOGITS.log_softmax(1)[range(6), UNITS]
    torch.testing.assert_close(objectives(named(()))["probability"](LOGITS, UNITS), expected)


def test_classes_compete_with_each_other_and_concepts_with_their_absence() -> None:
    found = objectives(named(("a", "b", "d")))["probability"](LOGITS, UNITS)
    among = LOGITS[:, [0, 1, 3]].log_softmax(1)
    expected = [among[0, 0], among[1, 1], LOGITS[2, 2].sigmoid().log(), among[3, 2], LOGITS[4, 4].sigmoid().log()]
    torch.testing.assert_close(found, torch.stack([*expected, among[5, 0]]))
