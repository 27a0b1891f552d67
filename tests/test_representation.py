"""The study of representation: arms compared over paired seeds, learning curves, and pictures of any two networks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import feature_maps
import pages
import representation
from ambench.core import InputError
from ambench.suite import Suite

STUDIES = Path(__file__).parents[1] / "studies"


def rows(values: dict[str, float], metric: str = "silhouette") -> pd.DataFrame:
    """The rows of networks by name."""
    return pd.DataFrame(
        {
            "model": list(values),
            "metric": metric,
            "value": list(values.values()),
            "concept": "all",
            "better": "higher",
        }
    )


def results_of(frame: pd.DataFrame) -> Any:
    return SimpleNamespace(to_frame=lambda: frame)


ARMS = {f"cnn@networks/{arm}-{seed}.safetensors": level + 0.01 * seed for arm, level in (("baseline", 0.2), ("active", 0.3)) for seed in range(5)}  # fmt: skip


class TestPairs:
    def test_arms_are_paired_by_seed_and_others_stand_beside(self) -> None:
        frame = representation.rows_of(results_of(rows({**ARMS, "cnn": 0.9})))
        table = representation.paired(frame, "silhouette")
        assert (table.active - table.baseline).tolist() == pytest.approx([0.1] * 5)
        assert frame[frame.arm.isna()].model.tolist() == ["cnn"]

    def test_a_seed_without_its_pair_is_left_out(self) -> None:
        half = {name: value for name, value in ARMS.items() if name != "cnn@networks/active-3.safetensors"}
        frame = representation.rows_of(results_of(rows(half)))
        assert representation.paired(frame, "silhouette").index.tolist() == ["0", "1", "2", "4"]

    def test_the_tables_say_which_arm_is_higher(self) -> None:
        frame = representation.rows_of(results_of(rows({**ARMS, "cnn": 0.9})))
        *_, line = representation.differences(frame)
        assert "| `silhouette` | higher | 0.220" in line
        assert line.endswith("| above 0 |")
        assert any("0.900" in line for line in representation.references(frame))


class TestIntervals:
    def test_they_are_scipys_t_intervals(self) -> None:
        values = [0.1, 0.4, 0.2, 0.35]
        found = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
        assert pages.interval(values) == f"{np.mean(values):+.3f} [{found[0]:+.3f}, {found[1]:+.3f}], n 4"

    def test_of_fewer_than_three_there_is_a_range(self) -> None:
        assert pages.interval([0.1, 0.3], sign=False) == "0.200 (0.100 to 0.300), n 2"
        assert pages.verdict([0.1, 0.3]) == "too few networks"

    @pytest.mark.parametrize(
        ("values", "side"), [([1, 2, 1.5], "above 0"), ([-1, -2, -1.5], "below 0"), ([-1, 1, 0.5], "undecided")]
    )
    def test_a_verdict_is_the_side_of_the_whole_interval(self, values: list[float], side: str) -> None:
        assert pages.verdict(values) == side

    def test_what_stands_between_markers_is_replaced_and_nothing_else(self) -> None:
        page = "a\n<!-- t -->\nold\n<!-- end of t -->\nb"
        assert pages.written(page, {"t": "new | row"}) == "a\n<!-- t -->\nnew | row\n<!-- end of t -->\nb"
        with pytest.raises(SystemExit, match="no place for 'other'"):
            pages.written(page, {"other": ""})


class TestCurves:
    def test_they_follow_the_cards(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for seed in range(3):
            arms = {
                arm: [{"labels": n, "accuracy": base + 0.1 * seed, "classes": {"disc": 2, "star": 1}} for n in (10, 20)]
                for arm, base in (("baseline", 0.2), ("active", 0.25))
            }
            (tmp_path / f"seed-{seed}.json").write_text(json.dumps({"rounds": arms}))
        known = representation.cards(tmp_path)
        monkeypatch.setattr(representation, "cards", lambda: known)
        lines = list(representation.curves(pd.DataFrame()))
        assert len(lines) == 4
        assert "| +0.050 [+0.050, +0.050], n 3 | 2.00 |" in lines[-1]


class TestPictures:
    DATASET = "shapes:correlation=0.5,fit=0,calibrate=0,test=40"

    def test_any_two_networks_are_drawn_and_a_seed_draws_the_same_again(self, tmp_path: Path) -> None:
        figure = feature_maps.draw(("cnn-untrained", "vit-texture"), self.DATASET)
        figure.savefig(tmp_path / "a.png", dpi=40)
        assert (tmp_path / "a.png").stat().st_size > 1000
        features, _, _ = feature_maps.features_of("cnn-untrained", self.DATASET)
        one, again = (feature_maps.embedded(features) for _ in range(2))
        assert np.array_equal(one, again)

    def test_networks_are_drawn_by_the_cue_that_they_name(self) -> None:
        _, by_shape, shapes = feature_maps.features_of("cnn", self.DATASET)
        _, by_texture, textures = feature_maps.features_of("cnn-texture", self.DATASET)
        assert (by_shape != by_texture).any()
        assert set(shapes).isdisjoint(textures)

    def test_data_without_classes_are_refused(self) -> None:
        with pytest.raises(InputError, match="does not know its images'"):
            feature_maps.features_of("python:ambench.toy:network", "python:ambench.toy:Squares")


def test_the_suite_names_both_arms_of_five_seeds_and_its_page_has_a_place_for_each_table() -> None:
    suite = Suite.read(STUDIES / "representation.yaml")
    models = {model for grid in suite.grids for model in grid.models}
    assert {f"cnn@studies/networks/active/{arm}-{seed}.safetensors" for arm in ("baseline", "active") for seed in range(5)} <= models  # fmt: skip
    page = representation.PAGE.read_text(encoding="utf-8")
    for name in representation.TABLES:
        assert f"<!-- {name} -->" in page
        assert f"<!-- end of {name} -->" in page
