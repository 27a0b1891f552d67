"""The numbers of today are those of the reference run, or it was renewed on purpose."""

from pathlib import Path

import pytest

import ambench
from ambench import registry
from ambench.core import Heatmaps, Scores
from ambench.results import Results

BASELINE = Path(__file__).parent.parent / "results" / "baseline"
QUALITY = [
    name
    for name, metric in registry.names("metrics").items()
    if metric.standard and metric.reads in (Scores, Heatmaps) and "attribution" in metric.families
]


@pytest.mark.parametrize(
    ("model", "method", "dataset"),
    [("cnn", "gradcam", "shapes"), ("vit", "cav", "shapes"), ("vit-texture", "prediction", "cue_conflict")],
)
def test_a_part_of_the_suite_scores_as_the_baseline_does(model, method, dataset):
    metrics = QUALITY if dataset == "shapes" else ["shape_bias", "coverage"]
    run = ambench.evaluate(model, method, dataset, metrics, jobs=0)
    verdict = Results.open(BASELINE).compare(run)
    assert verdict.exit_code == 0, verdict.render()
    assert not verdict.improvements, f"better than results/baseline: renew it, and say so.\n{verdict.render()}"
    assert not verdict.refused, f"results/baseline answers another question: renew it.\n{verdict.render()}"
    assert {change.run.metric for change in verdict.changes} >= {"coverage"} if dataset != "shapes" else {"iou"}


def test_the_baseline_is_whole_and_its_numbers_follow_from_its_values():
    baseline = Results.open(BASELINE)
    assert not baseline.unfinished
    assert not baseline.failed
    assert {record.model for record in baseline.records} >= {"cnn", "vit", "cnn-texture", "vit-texture"}


def test_the_leaderboard_is_the_baselines_table():
    table = Results.open(BASELINE).table("md")
    assert (BASELINE.parent / "leaderboard.md").read_text().rstrip() == table.rstrip(), (
        "write it again: ambench table results/baseline --format md > results/leaderboard.md"
    )
