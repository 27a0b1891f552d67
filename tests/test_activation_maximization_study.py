"""The study's questions are about cells that its suite has."""

from __future__ import annotations

from pathlib import Path

import pytest

import activation_maximization as study
from ambench.plan import Cell, cells
from ambench.suite import Suite

STUDIES = Path(__file__).parents[1] / "studies"


@pytest.fixture(scope="module")
def planned() -> list[Cell]:
    return cells(Suite.read(STUDIES / "activation_maximization.yaml"))


def test_every_question_is_answered_by_cells_of_the_suite(planned: list[Cell]) -> None:
    for question in study.QUESTIONS:
        metric = "activation_gain" if question.metric == "success" else question.metric
        for method in (question.method, question.other):
            found = [cell for cell in planned if (cell.method, cell.dataset) == (method, question.dataset)]
            assert method is None or len({cell.model for cell in found if metric in cell.metrics}) == 6, question


def test_every_column_is_a_metric_of_the_suite(planned: list[Cell]) -> None:
    asked = {metric for cell in planned if cell.dataset == study.CLASSES for metric in cell.metrics}
    assert set(study.COLUMNS) - {"success"} <= asked


def test_twins_are_asked_alike(planned: list[Cell]) -> None:
    for method in (study.PLAIN, study.LATENT, study.NATURAL):
        models = {cell.model for cell in planned if cell.method == method and "texture_share" in cell.metrics}
        assert len(models) == 12
