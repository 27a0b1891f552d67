"""The study of tables: where two inputs decide, the indices say so, and leaving the others out costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import ambench
import tabular as study
from ambench import registry
from ambench.core import Case, Concepts, Dataset, Truth

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Planted(Dataset):
    """Six independent inputs, of which the second says most of the answer and the fifth the rest."""

    name = "planted"
    revision = "1"
    names = ("answer",)
    columns = tuple("abcdef")

    def concepts(self, part: str) -> Concepts:
        rows, present = self._drawn({"fit": 0, "calibrate": 1}[part], 150)
        return Concepts(self.names, rows, present)

    def __iter__(self) -> Iterator[Case]:
        rows, present = self._drawn(2, 100)
        yield Case(rows, torch.zeros(100, 1, dtype=torch.long), Truth(present), tuple(map(str, range(100))))

    def _drawn(self, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.rand(count, 6, generator=torch.Generator().manual_seed(seed))
        return rows, (2 * rows[:, 1] + rows[:, 4] > 1.5)[:, None]


def test_what_decides_is_found_and_the_rest_can_go() -> None:
    splits = study.Splits.of(Planted(), 6)
    assert splits.train.shape == (6, 320, 6)
    indices = splits.indices()
    assert (indices.argsort(1, descending=True)[:, :2] == torch.tensor([1, 4])).all()
    assert (indices[:, [0, 2, 3, 5]] < 0.03).all()
    whole = splits.score(torch.ones(6, 6))
    assert float(whole.mean()) > 0.93
    order = indices.argsort(1)
    assert float((splits.score(study.left_after(order, 4)) - whole).mean()) > -0.01
    assert float((splits.score(study.left_after(order.flip(1), 2))).mean()) < 0.6
    said = "\n".join(study.told(splits))
    assert "| b | 0." in said
    assert "6 splits." in said


def test_side_by_side_networks_are_the_single_ones() -> None:
    splits = study.Splits.of(Planted(), 3)
    seen = torch.tensor([[1.0] * 6, [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]])
    networks = study.trained(splits.train, splits.taught, seen)
    for number in range(3):
        model = networks.one(number, "one", ("answer",))
        torch.testing.assert_close(model.network(splits.test[number]), networks(splits.test)[number])
        changed = splits.test[number] + 5 * (1 - seen[number])  # what it was not to see changes nothing
        torch.testing.assert_close(model.network(changed), networks(splits.test)[number])


def test_the_interval_is_that_of_overlapping_splits() -> None:
    differences = torch.tensor([0.01, 0.03, -0.02, 0.02], dtype=torch.float64)
    middle, low, high = study.interval(differences, share=0.25)
    half = 3.182446 * (np.var(differences.numpy(), ddof=1) * (1 / 4 + 0.25)) ** 0.5
    assert (middle, high - middle, middle - low) == pytest.approx((0.01, half, half), abs=1e-6)


def test_the_studys_network_goes_through_a_cell() -> None:
    name = f"python:{ROOT / 'studies' / 'tabular.py'}:network"
    methods = ["prediction", "sobol:designs=256", "input_x_gradient:baseline=mean", "occlusion"]
    results = ambench.evaluate(name, methods, "diabetes", "normal_accuracy", jobs=0)
    found = {record.method: record.value for record in results.records if record.concept == "all"}
    assert found["prediction"] > 0.7
    assert found["input_x_gradient:baseline=mean"] > 0.7  # additive: its score is nearly the logit's change
    assert found["sobol:designs=256"] == pytest.approx(0.5)


@pytest.mark.real
def test_pima_is_learnt_as_well_as_by_logistic_regression_and_glucose_matters_most(real: Path) -> None:
    dataset = registry.load("datasets", f"table:{real / 'tabular' / 'pima-indians-diabetes.csv'}")
    splits = study.Splits.of(dataset, 5)
    ours = splits.score(torch.ones(5, 8))
    theirs = []
    for train, taught, test, truth in zip(splits.train, splits.taught, splits.test, splits.truth, strict=True):
        scale = StandardScaler().fit(train)
        fitted = LogisticRegression().fit(scale.transform(train), taught[:, 1])
        theirs.append(fitted.score(scale.transform(test), truth[:, 1]))
    assert float(ours.mean()) > np.mean(theirs) - 0.02
    indices = splits.indices()
    assert (indices.argmax(1) == 1).all()  # plasma glucose
    order = indices.argsort(1)
    costs = [float((splits.score(study.left_after(o, 4)) - ours).mean()) for o in (order, order.flip(1))]
    assert costs[0] > -0.02
    assert costs[1] < -0.05
