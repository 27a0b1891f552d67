"""What the documents tell people to type or to write works."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from torch import nn

import ambench
from ambench import promises, registry
from ambench.augmentations import AUGMENTATIONS
from ambench.cli import app
from ambench.core import Case, Heatmaps, Model, Randomness, Trial, Truth
from ambench.plan import cells
from ambench.record import KEYS
from ambench.suite import Suite, split_names

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "results" / "README.md", ROOT / "CONTRIBUTING.md"]
)
TOY = {"models": "python:ambench.toy:network", "datasets": "python:ambench.toy:Squares", "jobs": 0}


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def written(page: str, name: str, folder: Path) -> Path:
    """Write a page's first Python block to a file, as a reader would, and return its path."""
    path = folder / name
    path.write_text(blocks(page, "python")[0], encoding="utf-8")
    return path


def lines_of_code(text: str) -> int:
    tree = re.sub(r'"""(.|\n)*?"""', "", text)
    kept = [line for line in tree.splitlines() if line.strip() and not line.startswith(("from ", "import "))]
    return len(kept)


# ------------------------------------------------------------------------------------------------ add a method


@pytest.fixture
def method_file(tmp_path) -> Path:
    return written("docs/add_a_method.md", "gradient_times_input.py", tmp_path)


def test_the_documented_method_is_twenty_lines(method_file):
    assert lines_of_code(method_file.read_text()) <= 20


def test_the_documented_method_is_pixels_times_weights_of_a_linear_network(method_file):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False)).eval()
    model = Model("linear", "none", network, {}, {}, "", (3, 2, 2))
    images = torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    method = registry.load("methods", f"python:{method_file}:GradientTimesInput")
    maps = method.attribute(model, images, torch.tensor([[0, 1]] * 5), None, Randomness((0,))).values
    by_hand = (images[:, None] * network[1].weight.view(2, 3, 2, 2)).sum(2)
    assert torch.allclose(maps, by_hand, atol=1e-6)
    absolute = replace(method, absolute=True).attribute(
        model, images, torch.tensor([[0, 1]] * 5), None, Randomness((0,))
    )
    assert torch.allclose(absolute.values, by_hand.abs(), atol=1e-6)


def test_the_documented_method_keeps_the_promises_and_runs(method_file):
    name = f"python:{method_file}:GradientTimesInput"
    method = registry.load("methods", name)
    assert [promise(method) for promise in promises.of("methods", method)] == [None] * 4
    frame = ambench.evaluate(methods=[name, "random_map"], metrics="pixel_auroc", **TOY).to_frame()
    found = frame[frame.concept == "all"].set_index("method")
    assert (found.status == "ok").all()
    assert found.value[name] > 0.7 > found.value["random_map"]


# ------------------------------------------------------------------------------------------------ add a metric


@pytest.fixture
def metric_file(tmp_path) -> Path:
    return written("docs/add_a_metric.md", "centre_distance.py", tmp_path)


def test_the_documented_metric_is_the_distance_of_two_points(metric_file):
    metric = registry.load("metrics", f"python:{metric_file}:CentreDistance")
    maps, masks = torch.zeros(3, 1, 5, 9), torch.zeros(3, 1, 5, 9, dtype=torch.bool)
    maps[0, 0, 0, 0] = maps[1, 0, 4, 8] = 1.0
    maps[1, 0, 0, 0] = -7.0  # evidence against is no heat
    masks[:2, 0, 4, 8] = True
    case = Case(torch.zeros(3, 3, 5, 9), torch.zeros(3, 1).long(), Truth(masks.flatten(2).any(2), masks), tuple("abc"))
    values = metric.score(Trial(None, case, Heatmaps(torch.zeros(3, 1), maps), None, None, None))
    assert values.values[:2, 0].tolist() == pytest.approx([1.0, 0.0])  # corner to corner, and on the spot
    assert values.defined.tolist() == [[True], [True], [False]]
    assert values.flat.tolist() == [[False], [False], [False]]


def test_the_documented_metric_keeps_the_promises_and_runs(metric_file):
    name = f"python:{metric_file}:CentreDistance"
    metric = registry.load("metrics", name)
    assert {promise(metric) for promise in promises.of("metrics", metric)} == {None}
    frame = ambench.evaluate(methods=["gradcam", "centre_gaussian"], metrics=name, **TOY).to_frame()
    found = frame[frame.concept == "all"].set_index("method")
    assert found.value["gradcam"] < found.floor["gradcam"] == found.value["centre_gaussian"]


# ------------------------------------------------------------------------------------------------ commands and links


def commands(page: Path) -> list[list[str]]:
    """Return the words of each `ambench …` line in a page's shell blocks; a backslash joins two lines."""
    text = "".join(blocks(str(page.relative_to(ROOT)), "sh")).replace("\\\n", " ")
    found = [
        shlex.split(re.split(r"&& | > ", line)[0 if " > " in line else -1], comments=True)
        for line in text.splitlines()
        if "ambench" in line
    ]
    return [words for words in found if words[:1] == ["ambench"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_have_options_and_names_that_exist(page):
    group = typer.main.get_command(app)
    for _, name, *arguments in commands(page):
        command = group.commands[name]
        with command.make_context(name, list(arguments)) as context:
            given = context.params
        for kind in ("methods", "metrics", "datasets"):
            for spec in split_names(given.get(kind) or ""):
                if not spec.startswith(("python:", "folder:")):
                    registry.load(kind, spec)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text) for target in target if target]
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_every_column_of_a_row_is_explained():
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8").partition("## What a row means")[2]
    page = page.partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == set(KEYS)


def test_the_documented_changes_are_those_that_there_are():
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8").partition("## The changes that")[2]
    rows = [line.strip("| ").split(" | ") for line in page.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    documented = {cells[place].strip("`| "): cells[place + 1] for cells in rows for place in (0, len(cells) - 2)}
    assert set(documented) == set(AUGMENTATIONS)
    for name, text in documented.items():
        strengths = AUGMENTATIONS[name].strengths
        said = [float(number) for number in re.findall(r"\d*\.?\d+", text)]
        assert said == list(strengths) if len(strengths) > 1 else text == "one", name


def test_the_documented_suite_is_one(tmp_path):
    (tmp_path / "mine.yaml").write_text(blocks("README.md", "yaml")[0], encoding="utf-8")
    suite = Suite.read(tmp_path / "mine.yaml")
    assert suite.seeds == (0, 1, 2)
    assert {(cell.model, cell.seed) for cell in cells(suite)} == {(m, s) for m in ("cnn", "vit") for s in (0, 1, 2)}


def test_the_documented_python_runs(capsys):
    exec(blocks("README.md", "python")[0].replace("limit=32", "limit=2, jobs=0"), {})
    assert "iou" in capsys.readouterr().out
