"""The study of heatmaps: what counts as beaten, how agreement of metrics is measured, and that its page and suite fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution
from ambench import registry
from ambench.evaluation import planned
from ambench.suite import Suite
from pages import DOCS, written

STUDIES = Path(__file__).parents[1] / "studies"


def rows(model: str, method: str, metric: str, values: list[float]) -> pd.DataFrame:
    ids = [f"test-{number}" for number in range(len(values))]
    return pd.DataFrame({"model": model, "method": method, "metric": metric, "id": ids, "value": values})


def example() -> pd.DataFrame:
    wave = [0.1, -0.1, 0.05, -0.05, 0.0, 0.02]
    level = {"gradcam": 0.9, "saliency": 0.5, "centre_gaussian": 0.5, "edges": 0.7}
    parts = [rows("cnn", name, "pixel_auroc", [value + one for one in wave]) for name, value in level.items()]
    parts += [rows("cnn-untrained", "gradcam", "pixel_auroc", [0.5] * 6)]
    parts += [rows("cnn-untrained", "saliency", "pixel_auroc", [0.5 - one for one in wave])]
    return pd.concat(parts, ignore_index=True)


def test_gaps_are_taken_image_by_image() -> None:
    found = attribution.gaps(example(), "cnn", "pixel_auroc")
    assert set(found) == {"gradcam", "saliency"}
    assert found["gradcam"]["centre_gaussian"] == pytest.approx([0.4] * 6)
    assert found["gradcam"]["edges"] == pytest.approx([0.2] * 6)
    assert found["gradcam"]["untrained"] == pytest.approx([0.5, 0.3, 0.45, 0.35, 0.4, 0.42])
    assert found["saliency"]["centre_gaussian"] == pytest.approx([0.0] * 6)


def test_only_differences_above_chance_are_beaten() -> None:
    lines = list(attribution.beaten(example()))
    said = {line.split("|")[3].strip(" `"): line.split("|")[-2].strip() for line in lines[2:]}
    assert said == {"gradcam": "all", "saliency": "none"}


def test_holm_keeps_the_share_of_false_findings() -> None:
    random, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        found = {f"method {n}": {"edges": random.normal(size=30)} for n in range(10)}
        wrong += any(attribution.significant(found).values())
    assert wrong <= 20  # 5 % of 200 and three standard deviations


def test_agreement_of_a_metric_with_itself_is_one_and_of_noise_is_undecided() -> None:
    random = np.random.default_rng(1)
    names = [f"method {n}" for n in range(8)]
    one = pd.DataFrame(random.normal(size=(40, 8)) * 0.1 + np.arange(8), columns=names)
    other = pd.DataFrame(random.normal(size=(40, 8)), columns=names)
    assert attribution.agreement(one, one, "same") == (1.0, 1.0, 1.0)
    mean, low, high = attribution.agreement(one, other, "noise")
    assert low < mean < high
    assert low < 0 < high


def test_agreement_needs_no_images_in_common_and_no_order() -> None:
    names = list("abcd")
    one = pd.DataFrame(np.tile(np.arange(4.0), (6, 1)), columns=names, index=[f"x{n}" for n in range(6)])
    other = pd.DataFrame(np.tile(np.arange(4.0), (3, 1)), columns=names, index=[f"y{n}" for n in range(3)])
    assert attribution.agreement(one, other[names[::-1]], "apart") == (1.0, 1.0, 1.0)


def test_metrics_that_want_less_are_turned() -> None:
    assert {registry.load("metrics", name).better for name in attribution.LOCATING} == {"higher"}
    frame = attribution.rows_of(Recorded())  # type: ignore[arg-type]
    assert frame.set_index("metric").value.to_dict() == {"deletion": -0.3, "insertion": 0.5}


class Recorded:
    def to_frame(self, level: str) -> pd.DataFrame:
        assert level == "image"
        parts = [rows("cnn", "gradcam", metric, [value]) for metric, value in (("deletion", 0.3), ("insertion", 0.4))]
        more = rows("cnn", "gradcam", "insertion", [0.6])  # another concept of the same image
        return pd.concat([*parts, more], ignore_index=True).assign(defined=True)


def test_the_suite_can_be_planned_and_the_page_has_a_place_for_every_table() -> None:
    suite = Suite.read(STUDIES / "attribution.yaml")
    assert len(planned(suite)) == 84
    page = (DOCS / "attribution.md").read_text(encoding="utf-8")
    assert written(page, dict.fromkeys(attribution.TABLES, "x")).count("\nx\n") == len(attribution.TABLES)
