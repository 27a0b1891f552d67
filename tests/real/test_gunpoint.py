"""Series that nobody here drew, and a small network taught by them in the test: they are read right and dreamt of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ambench
from ambench import features, models, registry
from ambench.core import Concepts, Dataset, Model, Portraits, Randomness

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]


def dataset(real: Path, settings: str = "") -> Dataset:
    loaded: Dataset = registry.load("datasets", f"ucr:{real / 'timeseries' / 'GunPoint'}{settings}")
    return loaded


def held_out(real: Path) -> tuple[Tensor, Tensor]:
    """The 150 test series and the number of the class of each."""
    cases = list(dataset(real))
    present = torch.cat([case.truth.present for case in cases])
    return torch.cat([case.images for case in cases]), present.int().argmax(1)


def network() -> nn.Module:
    widths = (1, 16, 32, 32)
    stages = [
        nn.Sequential(
            nn.Conv1d(*widths[k : k + 2], kernel, padding=kernel // 2), nn.BatchNorm1d(widths[k + 1]), nn.ReLU()
        )
        for k, kernel in enumerate((9, 5, 3))
    ]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 2))


@pytest.fixture(scope="module")
def model(real: Path) -> Model:
    """The network after 150 steps on the 50 training series, its outputs named as the classes are."""
    examples = dataset(real, ",calibrate=0").concepts("fit")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = network().train()
        optimiser = torch.optim.Adam(made.parameters(), lr=5e-3)
        for _ in range(150):
            loss = F.cross_entropy(made(examples.images), examples.present.int().argmax(1))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return models.wrap(made, "gunpoint", input_shape=(1, 150), names=examples.names)


def dream(real: Path, model: Model, settings: str = "") -> tuple[Portraits, Concepts]:
    method = registry.load("methods", f"sequence_dreaming:{settings}" if settings else "sequence_dreaming")
    concepts = dataset(real).concepts("fit")
    return method.synthesise(model, torch.tensor([0, 1]), concepts, Randomness((0, "sequence_dreaming"))), concepts


# ------------------------------------------------------------------------------------------------ reading


def test_the_nearest_neighbour_errs_on_13_of_150(real):
    examples = dataset(real, ",calibrate=0").concepts("fit")
    series, classes = held_out(real)
    assert examples.images.shape == (50, 1, 150)
    assert examples.present.sum(0).tolist() == [24, 26]
    assert series.shape == (150, 1, 150)
    nearest = torch.cdist(series[:, 0].double(), examples.images[:, 0].double()).argmin(1)
    assert int((examples.present.int().argmax(1)[nearest] != classes).sum()) == 13


def test_series_are_as_the_archive_normalised_them(real):
    examples = dataset(real).concepts("fit")
    assert dataset(real).names == ("1", "2")
    assert examples.images.mean(2).abs().max() < 1e-5
    assert examples.images.std(2).sub(1).abs().max() < 1e-5
    assert examples.bounds == pytest.approx((-2.3692, 2.0534), abs=1e-4)


# ------------------------------------------------------------------------------------------------ dreams


def test_the_network_knows_the_test_series(real, model):
    series, classes = held_out(real)
    assert (features.logits(model, series).argmax(1) == classes).double().mean() > 0.9


def test_dreams_of_both_classes_reach_their_class_and_beat_every_natural_series(real, model):
    made, concepts = dream(real, model)
    said = features.logits(model, made.images)
    assert made.alive.all()
    assert said.argmax(1).tolist() == [0, 1]
    assert (said.diagonal() > features.logits(model, concepts.images).amax(0)).all()
    assert concepts.images.min() <= made.images.min() < made.images.max() <= concepts.images.max()


def test_centred_dreams_reach_their_class_nearer_to_its_middle(real, model):
    plain, concepts = dream(real, model)
    centred, _ = dream(real, model, "mode=centred,centre_weight=10")
    assert features.logits(model, centred.images).argmax(1).tolist() == [0, 1]

    def cells(images: Tensor) -> Tensor:
        return features.read(model, images)[model.layer].mean(2)

    middles = torch.stack([cells(concepts.positives(k)).mean(0) for k in range(2)])
    far, near = ((cells(made.images) - middles).square().mean(1) for made in (plain, centred))
    assert (near < 0.5 * far).all()


def test_dreams_of_the_border_lie_between_the_classes(real, model):
    made, concepts = dream(real, model, "mode=border")
    gap = features.logits(model, made.images).diff(dim=1).abs()[:, 0]
    natural = features.logits(model, concepts.images).diff(dim=1).abs()[:, 0]
    assert (gap < 0.1).all()
    assert gap.max() < 0.2 * natural.median()


def test_series_in_their_own_units_go_through_the_benchmark(real, model):
    results = ambench.evaluate(
        model,
        ["sequence_dreaming:smoothing=gaussian", "saliency", "gradcam", "prediction", "random_map"],
        f"ucr:{real / 'timeseries' / 'GunPoint'}",
        ["normal_accuracy", "score_drift", "map_equivariance", "activation_gain", "roughness", "spectral_distance"],
        limit=48,
        jobs=0,
    )
    frame = results.to_frame()
    found = frame[frame.concept.isin(["all"]) | frame.concept.isna()].set_index(["method", "metric"])
    assert set(found.status) == {"ok"}
    assert found.loc[("prediction", "normal_accuracy"), "value"] > 0.85
    dreamt = found.loc["sequence_dreaming:smoothing=gaussian"]["value"]
    assert dreamt["activation_gain"] > 1
    assert dreamt["roughness"] < 6
    assert dreamt["spectral_distance"] < 0.3
