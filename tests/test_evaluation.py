"""The benchmark from Python: names and objects give the same results, and a run handed a folder stays there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ambench
from ambench import registry, toy
from ambench.core import InputError
from ambench.evaluation import planned, run_suite
from ambench.results import Results
from ambench.store import Store
from ambench.suite import Suite

NAMES = ("python:ambench.toy:network", "saliency", "python:ambench.toy:Squares", "model_passes")
FAULTY = f"python:{Path(__file__).with_name('faulty.py')}"
METRIC = f"{FAULTY}:Strength"


def values(results: Results) -> list[float]:
    frame = results.to_frame("image")
    return [float(value) for value in frame.sort_values(["metric", "concept", "id"])["value"]]


def test_objects_and_names_give_the_same_numbers() -> None:
    method, metric = registry.load("methods", "saliency"), registry.load("metrics", METRIC)
    named = ambench.evaluate(NAMES[0], "saliency", NAMES[2], METRIC, jobs=0)
    handed = ambench.evaluate(toy.network(), method, toy.Squares(), metric)
    assert len(values(named)) == 24 * 3
    assert values(named) == values(handed)


def test_a_model_handed_in_is_the_one_that_is_explained() -> None:
    model = toy.network()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    results = ambench.evaluate([model, NAMES[0]], "input_magnitude", NAMES[2], "model_passes", jobs=0)
    assert {row.model for row in results.records} == {"toy", NAMES[0]}
    weights = {row.model: row.weights for row in results.records}
    assert weights["toy"] == "width 1"


def test_with_a_folder_the_same_call_resumes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    call = (NAMES[0], f"{FAULTY}:Honest,log={log}", NAMES[2], METRIC)
    first = ambench.evaluate(*call, out=tmp_path / "run", jobs=0)
    computed = log.read_text()
    again = ambench.evaluate(*call, out=tmp_path / "run", jobs=0)
    assert log.read_text() == computed
    assert values(first) == values(again) == values(Results.open(tmp_path / "run"))


def test_a_cell_that_failed_is_tried_again_and_a_finished_one_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    methods = [f"{FAULTY}:Wrong,log={log},number=1", f"{FAULTY}:Honest,log={log},number=2"]
    for _ in range(2):
        results = ambench.evaluate(NAMES[0], methods, NAMES[2], METRIC, out=tmp_path / "run", jobs=0)
        assert [row.method for row in results.failed] == methods[:1]
    tried = [line.split()[0] for line in log.read_text().splitlines()]
    assert tried.count("1") == 2 * tried[: tried.index("2")].count("1")
    assert tried[tried.index("2") :].count("2") == tried.count("2")


def test_a_limit_is_the_number_of_images_asked() -> None:
    results = ambench.evaluate(NAMES[0], "saliency", NAMES[2], METRIC, limit=5, jobs=0)
    assert set(results.to_frame("image")["id"]) == {f"test-{i}" for i in range(5)}


def test_the_seed_moves_chance_and_nothing_else() -> None:
    results = ambench.evaluate(NAMES[0], ["random_map", "saliency"], NAMES[2], METRIC, seed=[0, 1], jobs=0)
    frame = results.to_frame("image")
    means = frame.groupby(["method", "seed"], observed=True)["value"].mean()
    assert means["saliency", 0] == means["saliency", 1]
    assert means["random_map", 0] != means["random_map", 1]


@pytest.mark.parametrize(
    ("models", "methods", "sentence"),
    [
        (torch.nn.Linear(1, 1), "saliency", "one of the models is a Linear"),
        (NAMES[0], toy.Squares(), "one of the methods is a Squares"),
        ([toy.network(1.0), toy.network(2.0)], "saliency", "two of the models are called 'toy'"),
        ([], "saliency", "'models'"),
    ],
)
def test_what_is_no_model_or_method_is_refused(models: object, methods: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ambench.evaluate(models, methods, NAMES[2], METRIC)  # type: ignore[arg-type]


def test_nothing_is_written_before_all_names_are_known(tmp_path: Path) -> None:
    grid = {"models": ["cnn-untrained", "cnm"], "methods": "saliency", "datasets": NAMES[2], "metrics": "model_passes"}
    with pytest.raises(InputError, match="did you mean 'cnn'"):
        run_suite(Suite.parse({"grids": [grid]}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_script_without_a_guard_may_use_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    call = (
        f"ambench.evaluate({NAMES[0]!r}, 'saliency', {NAMES[2]!r}, {METRIC!r}, jobs=2, out={str(tmp_path / 'run')!r})"
    )
    script.write_text(f"import ambench\nprint('once')\n{call}\n", encoding="utf-8")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert ended.stdout == "once\n"
    assert Store.open(tmp_path / "run").unfinished() == []


def test_the_plan_of_a_suite_is_known_without_running_it() -> None:
    grid = {"models": NAMES[0], "methods": ["saliency", "gradcam"], "datasets": NAMES[2], "metrics": "model_passes"}
    assert [cell.method for cell in planned(Suite.parse({"grids": [grid]}))] == ["saliency", "gradcam"]
