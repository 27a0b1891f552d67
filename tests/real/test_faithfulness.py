"""Insertion and deletion on a network and photographs that nobody here made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import ttest_1samp

import ambench

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]  # one network at a time


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


layouts = _beside("layouts")


def test_insertion_and_deletion_separate_gradcam_from_a_random_map(real: Path, tmp_path: Path) -> None:
    """Twelve photographs, each asked for its own class among a thousand; the interval of the difference excludes 0."""
    folder = f"folder:{layouts.photographs(real, tmp_path, every=5)}"
    methods, metrics = ["gradcam", "random_map"], ["insertion", "deletion"]
    run = ambench.evaluate(layouts.squeezenet(real), methods, folder, metrics, jobs=0)
    frame = run.to_frame(level="image")
    for metric, sign in (("insertion", 1), ("deletion", -1)):
        wide = frame[frame.metric == metric].pivot_table(index="id", columns="method", values="value")
        gap = (sign * (wide["gradcam"] - wide["random_map"])).to_numpy()
        assert len(gap) == 12
        interval = ttest_1samp(gap, 0).confidence_interval(0.95)
        assert interval.low > 0, (metric, gap.tolist())
