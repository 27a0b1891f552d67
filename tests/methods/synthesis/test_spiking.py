"""Searches on the documented spiking network: rates that rise, noise that counts, and a run from end to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from ambench import evaluate, models, registry, toy
from ambench.core import Model, Portraits, Randomness

pytest.importorskip("snntorch")
PAGE = Path(__file__).parents[3] / "docs" / "spiking.md"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's network, in a file as a reader would write it."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    path = tmp_path_factory.mktemp("spiking") / "spiking.py"
    path.write_text(blocks[0], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def steady(file: Path) -> Model:
    return models.resolve(f"python:{file}:steady")


@pytest.fixture(scope="module")
def noisy(file: Path) -> Model:
    return models.resolve(f"python:{file}:noisy")


def make(spec: str, model: Model, units: list[int], seed: int = 0) -> Portraits:
    method = registry.load("methods", f"actmax_free:{spec}")
    return method.synthesise(model, torch.tensor(units), toy.Squares().concepts("fit"), Randomness((seed,)))


@pytest.mark.parametrize("search", ["random", "cma", "protes"])
def test_firing_rates_rise_above_those_of_natural_images(search, steady):
    found = make(f"search={search},evaluations=300", steady, [0, 1, 2])
    natural = steady.network(toy.Squares().concepts("fit").images).amax(0)
    assert (found.history[:, -1] > natural).all()
    assert found.alive.all()
    rates = steady.network(found.images).diagonal()
    assert torch.equal(rates, found.history[:, -1])


def test_a_noisy_network_is_read_several_times_and_its_best_honestly(noisy):
    found = make("search=random,evaluations=900,passes=3", noisy, [0, 1])
    torch.manual_seed(1)
    truth = torch.stack(
        [noisy.network(image.expand(400, -1, -1, -1))[:, k].mean() for k, image in enumerate(found.images)]
    )
    error = 0.1 / 30**0.5  # a rate of 25 steps spreads by less than .1
    assert ((found.details["value"] - truth).abs() < 4 * error).all()
    assert found.details["evaluations"].tolist() == [900, 900]


def test_the_noise_is_the_seeds_and_no_units_business(noisy):
    spec = "search=cma,evaluations=360,passes=3,population=10"
    before = torch.get_rng_state()
    both = make(spec, noisy, [0, 2])
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(make(spec, noisy, [2]).history[0], both.history[1])
    assert not torch.equal(make(spec, noisy, [2], seed=1).history[0], both.history[1])


def test_a_spiking_network_runs_from_end_to_end(file):
    """It has no layer that runs once, so nothing is read between input and rates; the portrait's own scores are there."""
    results = evaluate(
        f"python:{file}:steady",
        "actmax_free:evaluations=300",
        "python:ambench.toy:Squares",
        ["activation_gain", "iou"],
        jobs=0,
    )
    rows = {record.metric: record for record in results.records if record.concept == "all"}
    assert rows["activation_gain"].value > 1
    assert rows["iou"].status == "skipped"
    assert "has no layer in which its portraits could be read" in rows["iou"].error
