"""What the study of searches without gradients says of curves that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradient_free as study
from ambench import registry
from ambench.plan import cells
from ambench.suite import Suite

STUDIES = Path(__file__).parents[1] / "studies"


def search(curve, name="random", unit="ring", seed=0, seconds=0.0, network_seconds=0.001):
    return study.Search("cnn", "fourier", name, unit, seed, np.array(curve, dtype=float), seconds, network_seconds)


def steps(height: float, budget: int = 1000) -> list[float]:
    """Half a height until the middle, then all of it."""
    return [height / 2] * (budget // 2) + [height] * (budget // 2)


def test_the_suite_asks_for_eight_units_five_seeds_and_one_budget():
    suite = Suite.read(STUDIES / "gradient_free.yaml")
    asked = cells(suite)
    assert len({cell.model for cell in asked}) * len(registry.load("datasets", "shapes").names) == 8
    assert {cell.seed for cell in asked} == {0, 1, 2, 3, 4}
    methods = [registry.load("methods", cell.method) for cell in asked]
    assert {method.evaluations for method in methods} == {10_000}
    assert {method.search for method in methods} == {"random", "cma", "protes"}


def test_a_curve_knows_when_it_beat_natural_images_and_its_area():
    assert search(steps(1.5)).needed == 501
    assert search(steps(1.0)).needed == np.inf
    assert search(steps(2.0)).at(500) == 1
    share = np.log(1000 / 501) / np.log(10)  # of the logarithm from 100 to 1000, with the whole height
    assert search(steps(2.0)).area == pytest.approx(1 + share)


def test_unit_means_are_over_seeds():
    some = [search(steps(height), seed=seed, unit=unit) for unit in "ab" for seed, height in enumerate((1, 3))]
    assert study.by_unit(some, 1000) == {("cnn", "a"): 2, ("cnn", "b"): 2}
    assert study.by_unit(some, 500) == {("cnn", "a"): 1, ("cnn", "b"): 1}


def test_the_slower_search_is_read_when_the_quicker_one_is_done():
    """At 1 ms an evaluation of the network, 2 ms of thinking make a search three times slower."""
    quick = [search(steps(2.0), unit=unit) for unit in "ab"]
    slow = [search(np.arange(1, 1001), "protes", unit, seconds=2.0) for unit in "ab"]
    mine, theirs = study.at_equal_seconds(quick, slow)
    assert mine == {("cnn", "a"): 2, ("cnn", "b"): 2}
    assert theirs == {("cnn", "a"): 333, ("cnn", "b"): 333}
    assert study.at_equal_seconds(slow, quick) == (theirs, mine)


def test_differences_are_paired_by_unit():
    units = {"a": 1.0, "b": 2.0, "c": 4.0}
    found = [search(steps(height), unit=unit) for unit, height in units.items()]
    found += [search(steps(height + 0.5), "cma", unit) for unit, height in units.items()]
    row = list(study.differences(found))[2]
    assert row.startswith("| fourier | cma - random | +0.500 [+0.500, +0.500], n 3 | above 0 | +0.500")


def test_every_search_is_a_row_and_every_space_a_picture(tmp_path):
    found = [search(steps(height), name) for name, height in (("random", 0.5), ("cma", 2.0), ("protes, 2 points", 1))]
    for table in study.TABLES.values():
        assert sum("fourier" in row for row in table(found)) == 3
    assert "| 0.50 (ring) |" in list(study.progress(found))[2]
    assert "| never | 0 of 1 |" in list(study.efforts(found))[2]
    study.draw(found, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
