"""Insertion and deletion on a network and photographs that nobody here made."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

import ambench
from real import layouts

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]  # one network at a time


def test_insertion_and_deletion_separate_gradcam_from_a_random_map(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty photographs, each asked for its own class among a thousand; the interval of the difference excludes 0.

    The folder has the same name in every run: a random map is keyed by it.
    """
    monkeypatch.chdir(tmp_path)
    folder = f"folder:{layouts.photographs(real, Path('photographs'), every=2)}"
    methods, metrics = ["gradcam", "random_map"], ["insertion", "deletion"]
    run = ambench.evaluate(layouts.squeezenet(real), methods, folder, metrics, jobs=0)
    frame = run.to_frame(level="image")
    for metric, sign in (("insertion", 1), ("deletion", -1)):
        wide = frame[frame.metric == metric].pivot_table(index="id", columns="method", values="value")
        gap = (sign * (wide["gradcam"] - wide["random_map"])).to_numpy()
        assert len(gap) == 30
        interval = ttest_1samp(gap, 0).confidence_interval(0.95)
        assert interval.low > 0, (metric, gap.tolist())
