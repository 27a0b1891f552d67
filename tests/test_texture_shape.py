"""The study of texture and shape: pairs of networks compared by hand-made evidence, and the metric that it agrees with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ambench
import texture_shape as study
from ambench.suite import Suite

STUDIES = Path(__file__).parents[1] / "studies"


def places(level: float, seed: int, n: int = 40) -> pd.DataFrame:
    values = level + 0.1 * np.random.default_rng(seed).normal(size=n)
    return pd.DataFrame({"place": [f"i{k}" for k in range(n)], "value": values})


def networks(levels: dict[str, list[float]]) -> pd.DataFrame:
    """Evidence of networks of either cue, each at its level."""
    parts = [
        places(level, 10 * row + column).assign(cue=cue, model=f"{cue}-{column}")
        for row, (cue, several) in enumerate(levels.items())
        for column, level in enumerate(several)
    ]
    return pd.concat(parts, ignore_index=True)


class TestComparison:
    def test_twins_are_all_pairs_and_the_band_all_pairs_of_a_cue_in_both_orders(self) -> None:
        found = study.comparison(networks({"shape": [0.5] * 3, "texture": [0.5] * 2}))
        assert len(found.twins) == 6
        assert len(found.alike) == 2 * (3 + 1)
        assert np.mean(found.alike) == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("shape", "texture", "verdict"),
        [
            ([0.9, 0.91, 0.89], [0.1, 0.11, 0.09], "tells them apart"),
            ([0.1, 0.11, 0.09], [0.9, 0.91, 0.89], "tells them apart the wrong way"),
            ([0.1, 0.5, 0.9], [0.2, 0.5, 0.8], "no"),
            ([0.9, 0.9], [0.1], "too few networks"),
        ],
    )
    def test_the_verdict_asks_every_pair_of_twins(self, shape: list[float], texture: list[float], verdict: str) -> None:
        assert study.comparison(networks({"shape": shape, "texture": texture})).verdict == verdict

    def test_z_is_the_distance_from_the_band_in_its_deviations(self) -> None:
        found = study.Comparison([0.9, 0.7], [0.4, 0.6, 0.3, 0.7, 0.5, 0.5])
        assert found.z == pytest.approx((0.8 - 0.5) / np.std([0.4, 0.6, 0.3, 0.7, 0.5, 0.5]))
        assert study.Comparison([0.9], [0.5, 0.5]).z is None

    def test_only_places_that_both_have_are_compared(self) -> None:
        one, other = pd.Series([1.0, 2.0], ["a", "b"]), pd.Series([0.0, 5.0], ["a", "c"])
        assert study.exceeds(one, other) == 1.0


@pytest.fixture(scope="module")
def results() -> Any:
    """Both twins, and a network beside itself under another name, on few images."""
    settings = "fit=0,calibrate=0,test=24"
    asked = [f"cue_conflict:ask={cue},{settings}" for cue in ("shape", "texture")]
    metrics = ["shape_bias", "coverage", "hit_rate", "shape_evidence", "twin_detection"]
    return ambench.evaluate(["cnn", "cnn-texture"], ["prediction", "saliency"], asked, metrics, jobs=0)


def test_the_views_numbers_are_the_metrics(results: Any) -> None:
    found = study.evidence(study.rows_of(results))
    for target in ("own", "other"):
        (value,) = study.comparison(found[found.target == target]).twins
        if target == "own":
            (row,) = (
                r
                for r in results.records
                if r.metric == "twin_detection" and r.model == "cnn" and "ask=shape" in r.dataset and r.concept == "all"
            )
            values = results.to_frame("image")
            mine = values[(values.cell == row.cell) & (values.metric == "twin_detection") & values.defined]
            assert value == pytest.approx(mine.value.mean())
        assert 0.9 < value <= 1


def test_the_tables_can_be_written(results: Any) -> None:
    frame = study.rows_of(results)
    tables = {name: list(rows(frame)) for name, rows in study.TABLES.items()}
    assert len(tables["answers"]) == 4
    assert "too few networks" in tables["twins"][-1]
    assert all(line.count("|") == tables["levels"][0].count("|") for line in tables["levels"])


def test_the_suite_is_one_and_its_page_has_a_place_for_each_table() -> None:
    suite = Suite.read(STUDIES / "texture_shape.yaml")
    assert len({model for grid in suite.grids for model in grid.models}) == 12
    page = study.PAGE.read_text(encoding="utf-8")
    for name in study.TABLES:
        assert f"<!-- {name} -->" in page
        assert f"<!-- end of {name} -->" in page
