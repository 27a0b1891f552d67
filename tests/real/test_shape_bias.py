"""Shape bias of people and trained networks: the published answers and stimuli, held against counts made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import cohen_kappa_score
from torch import Tensor, nn
from torchvision.models import squeezenet1_0
from torchvision.transforms.functional import pil_to_tensor

import ambench
from ambench import categories, consistency, decisions, psychophysics, registry
from ambench.core import Case, Concepts, Model, Predictions, Randomness, Trial, Truth
from ambench.observer import network_trials

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def trials(real: Path) -> pd.DataFrame:
    folder = real / "cue_conflict" / "decisions"
    return psychophysics.read_trials([folder / "humans", folder / "torchvision"])


@pytest.fixture(scope="module")
def table(real: Path) -> dict[tuple[str, str], dict[str, float]]:
    folder = real / "cue_conflict" / "decisions"
    rows = decisions.shape_bias_table([folder / "humans", folder / "torchvision"]).to_dict("records")
    return {(row["group"], row["observer"]): row for row in rows}


class TestDecisions:
    def test_every_observer_has_the_expected_counts_and_bias(
        self, real: Path, table: dict[tuple[str, str], dict[str, float]]
    ) -> None:
        expected = json.loads((real / "cue_conflict" / "expected.json").read_text())["observers"]
        for name, figures in expected.items():
            row = table[tuple(name.split("/"))]
            for count in ("trials", "conflicts", "shape", "texture", "other"):
                assert row[count] == figures[count], (name, count)
            assert row["shape_bias"] == pytest.approx(figures["shape_bias"], abs=5e-5)
        assert len(expected) == 12

    def test_people_together_equal_the_published_counts(self, table: dict[tuple[str, str], dict[str, float]]) -> None:
        row = table["humans", "pooled"]
        assert (row["shape"], row["texture"], row["other"], row["no_answer"]) == (9236, 398, 2366, 118)
        assert row["shape_bias"] == pytest.approx(0.958688, abs=5e-5)
        assert row["observer_mean"] == pytest.approx(0.957587, abs=5e-5)
        assert row["category_mean"] == pytest.approx(0.9538, abs=5e-5)
        assert row["coverage"] == pytest.approx(0.803, abs=5e-4)
        assert row["ci_low"] < 0.9587 < row["ci_high"]

    @pytest.mark.parametrize(
        ("network", "shape", "texture", "bias", "coverage", "category_mean"),
        [("alexnet", 182, 537, 0.2531, 0.599, 0.2329), ("resnet50", 162, 572, 0.2207, 0.612, 0.1951)],
    )
    def test_networks_equal_the_published_counts(
        self,
        table: dict[tuple[str, str], dict[str, float]],
        network: str,
        shape: int,
        texture: int,
        bias: float,
        coverage: float,
        category_mean: float,
    ) -> None:
        row = table["torchvision", network]
        assert (row["shape"], row["texture"]) == (shape, texture)
        assert row["shape_bias"] == pytest.approx(bias, abs=5e-5)
        assert row["coverage"] == pytest.approx(coverage, abs=5e-4)
        assert row["category_mean"] == pytest.approx(category_mean, abs=5e-5)

    def test_categories_add_up_and_their_mean_is_the_other_estimator(
        self, trials: pd.DataFrame, table: dict[tuple[str, str], dict[str, float]]
    ) -> None:
        by_category = decisions.bias_by_category(trials).groupby(["group", "observer"])
        for place, rows in by_category:
            assert len(rows) == 16
            assert (rows["conflicts"] == 75 * rows["observers"]).all()
            whole = table[place]  # type: ignore[index]
            assert rows[["shape", "texture", "other", "no_answer"]].sum().tolist() == [
                whole[name] for name in ("shape", "texture", "other", "no_answer")
            ]
            assert rows["shape_bias"].mean() == pytest.approx(whole["category_mean"], abs=1e-12)
            if rows["observers"].iloc[0] != 2:  # two observers are too few to resample
                assert whole["category_low"] < whole["category_mean"] < whole["category_high"]

    def test_kappa_equals_scikit_learns_and_people_err_alike(self, trials: pd.DataFrame) -> None:
        right = trials.assign(right=trials["response"] == trials["shape"])
        table = right.pivot_table(index=["exemplar", "texture"], columns="observer", values="right")
        pairs = consistency.error_consistency(trials)
        assert len(pairs) == 66
        for row in pairs.to_dict("records"):
            expected = cohen_kappa_score(table[row["observer"]], table[row["other_observer"]])
            assert row["kappa"] == pytest.approx(expected, abs=1e-12)
            assert row["stimuli"] == 1280
            assert row["ci_low"] < row["kappa"] < row["ci_high"]
        means = consistency.mean_by_group(pairs).set_index(["group", "other_group"])["kappa"]
        assert means["humans", "humans"] > 0.3
        assert means["humans", "torchvision"] < 0.1
        assert means["torchvision", "torchvision"] > 0.5


class _Normalised(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        return self.network((images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])


@pytest.fixture(scope="module")
def trial(real: Path) -> Trial[Predictions]:
    files = sorted((real / "cue_conflict" / "stimuli").rglob("*.png"))
    names = tuple(categories.sixteen())
    pairs = [[part.rstrip("0123456789") for part in file.stem.split("-")] for file in files]
    shape, texture = torch.tensor([[names.index(name) for name in pair] for pair in pairs]).T
    images = torch.stack([pil_to_tensor(Image.open(file).convert("RGB")) for file in files]) / 255
    network = squeezenet1_0()
    network.load_state_dict(load_file(real / "squeezenet1_0.safetensors"))
    units = {f"class {i}": i for i in range(1000)}
    model = Model("squeezenet", "real", _Normalised(network).eval(), units, {}, "", (3, 224, 224), tuple(units))
    with torch.no_grad():
        logits = torch.cat([model.network(part) for part in images.split(16)])
    targets = torch.zeros(len(images), 1).long()
    case = Case(images, targets, Truth(targets == 0, shape=shape, texture=texture), tuple(f.stem for f in files))
    nothing = Concepts((), images[:0], torch.ones(0, 0).bool())
    answer = Predictions(torch.zeros(len(images), 1), logits)
    return Trial(model, case, answer, nothing, Randomness((0,)), torch.zeros(1).long(), classes=names)


class TestStimuli:
    def test_squeezenet_names_8_shapes_and_31_textures_of_64(self, trial: Trial[Predictions]) -> None:
        bias = registry.load("metrics", "shape_bias").score(trial)
        coverage = registry.load("metrics", "coverage").score(trial)
        assert (bias.values[bias.defined] == 1).sum() == pytest.approx(8, abs=1)  # the arithmetic of another machine
        assert (bias.values[bias.defined] == 0).sum() == pytest.approx(31, abs=1)
        assert coverage.values.sum() == bias.defined.sum() == pytest.approx(39, abs=1)
        assert len(coverage.values) == 64

    @pytest.mark.parametrize(
        ("aggregate", "shape", "texture", "bias"),
        [("mean", 8, 31, 0.205), ("sum", 9, 30, 0.231), ("max", 10, 29, 0.256)],
    )
    def test_as_an_observer_it_has_an_interval_and_coverage(
        self, real: Path, aggregate: str, shape: int, texture: int, bias: float
    ) -> None:
        name = f"torchvision:squeezenet1_0@{real / 'squeezenet1_0.safetensors'}"
        (row,) = decisions.bias_of(network_trials(name, real / "cue_conflict", aggregate)).to_dict("records")
        assert row["shape"] == pytest.approx(shape, abs=1)
        assert row["texture"] == pytest.approx(texture, abs=1)
        assert row["shape_bias"] == pytest.approx(bias, abs=0.03)
        assert row["ci_low"] < row["shape_bias"] < row["ci_high"]
        assert row["coverage"] == pytest.approx(39 / 64, abs=0.02)
        assert row["conflicts"] == 64

    def test_in_a_run_it_has_them_too_and_maps_are_held_against_silhouettes(self, real: Path) -> None:
        results = ambench.evaluate(
            f"torchvision:squeezenet1_0@{real / 'squeezenet1_0.safetensors'}",
            ["prediction", "gradcam", "centre_gaussian"],
            f"cue_conflict_folder:{real / 'cue_conflict'}",
            ["shape_bias", "coverage", "energy_inside", "shape_evidence"],
            jobs=0,
            batch_size=16,
        )
        said = {(r.method, r.metric): r for r in results.records if r.concept == "all"}
        bias = said["prediction", "shape_bias"]
        assert bias.value == pytest.approx(8 / 39, abs=0.03)
        assert bias.ci_low < bias.value < bias.ci_high
        assert bias.n == pytest.approx(39, abs=1)
        assert said["prediction", "coverage"].value == pytest.approx(39 / 64, abs=0.02)
        for method in ("gradcam", "centre_gaussian"):
            assert said[method, "energy_inside"].n == 64
            assert said[method, "shape_evidence"].n == 63  # a chair has hardly any inside
