"""Whether the restarts of a unit show different things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

import portrayed
from ambench import registry
from ambench.core import Portraits, Skipped, Trial, Values

CENTRE = torch.tensor([0.2, 0.3, 0.4], dtype=torch.float64)


def diversity(trial: Trial[Portraits], **settings: object) -> Values:
    values = registry.build(registry.find("metrics", "diversity"), settings).score(trial)
    assert values is not None
    return values


def restarts(points: Tensor, asked: list[int] | None = None, alive: list[bool] | None = None) -> Trial[Portraits]:
    """Portraits of one cell [P, 3] before natural images around a known centre; every unit answers with their sum."""
    around = torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 1, -1], [0, -1, 1]], dtype=torch.float64) / 10
    natural = (CENTRE + around)[:, :, None, None]
    model = portrayed.network(lambda x: x.flatten(1).sum(1, keepdim=True).expand(-1, 3), shape=(3, 1, 1))
    concepts = portrayed.examples(natural, torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]))
    images = (CENTRE + points)[:, :, None, None]
    return portrayed.portrayed(images, asked or [0] * len(points), model, concepts, alive)


def random(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.05


def test_its_mean_over_a_unit_equals_the_mean_over_pairs_of_scipys_cosine_distance() -> None:
    points, asked = random(9), [0, 1, 0, 0, 1, 0, 1, 0, 0]
    values = diversity(restarts(points, asked)).values[:, 0].numpy()
    for concept in (0, 1):
        rows = [row for row, one in enumerate(asked) if one == concept]
        assert values[rows].mean() == pytest.approx(pdist(points[rows].numpy(), "cosine").mean(), abs=1e-9)


def test_identical_restarts_score_zero_and_opposite_ones_two() -> None:
    point = random(1)
    assert diversity(restarts(point.repeat(4, 1))).values.max() < 1e-12
    opposite = torch.cat([point, -point])
    np.testing.assert_allclose(diversity(restarts(opposite), successful=False).values, 2)


def test_one_restart_has_nothing_to_differ_from() -> None:
    assert diversity(restarts(random(4), [0, 1, 1, 2])).defined[:, 0].tolist() == [False, True, True, False]


def test_features_are_averaged_over_cells_and_centred_on_natural_images() -> None:
    points = random(5)
    trial = restarts(points)
    ramp = torch.linspace(-1, 1, 4, dtype=torch.float64).view(1, 1, 2, 2)
    wide = replace(trial.case, images=trial.case.images + ramp)
    examples = replace(trial.concepts, images=trial.concepts.images.expand(-1, -1, 2, 2))
    model = replace(trial.model, input_shape=(3, 2, 2))
    portraits = replace(trial.explanation, images=wide.images)
    network = portrayed.network(lambda x: x.mean((2, 3)).sum(1, keepdim=True).expand(-1, 3)).network
    model = replace(model, network=network, layers=portrayed.network(lambda x: x).layers)
    model = replace(model, layers={"pixels": replace(model.layers["pixels"], module=network[0])})
    other = replace(trial, model=model, case=wide, explanation=portraits, concepts=examples, shared={})
    torch.testing.assert_close(diversity(other).values, diversity(trial).values)


def test_a_pair_with_a_dead_restart_counts_zero() -> None:
    points = random(4)
    values = diversity(restarts(points, alive=[True, True, False, True]))
    expected = pdist(points[[0, 1, 3]].numpy(), "cosine").sum() / 6
    assert values.values.mean().item() == pytest.approx(expected, abs=1e-12)
    assert values.values[2].item() == 0
    assert values.flat[:, 0].tolist() == [False, False, True, False]


def test_noise_that_does_not_excite_the_unit_is_not_diverse() -> None:
    points = random(4)
    points[1], points[2] = -points[1], -points[2]  # weaker than natural images
    expected = pdist(points[[0, 3]].numpy(), "cosine").sum() / 6
    assert diversity(restarts(points)).values.mean().item() == pytest.approx(expected, abs=1e-12)
    everything = diversity(restarts(points), successful=False).values.mean().item()
    assert everything == pytest.approx(pdist(points.numpy(), "cosine").mean(), abs=1e-12)


def test_the_yardstick_is_the_same_of_the_strongest_natural_images() -> None:
    trial = restarts(random(3))
    model = replace(trial.model, network=torch.nn.Sequential(trial.model.layers["pixels"].module, First()))
    trial = replace(trial, model=model)
    natural = trial.concepts.images[[0, 2, 1]].flatten(1) - CENTRE  # those that show it, by their first number
    values = diversity(trial, yardstick=True)
    assert values.values.mean().item() == pytest.approx(pdist(natural.numpy(), "cosine").mean(), abs=1e-12)
    assert values.defined.all()


def test_the_yardstick_is_undefined_beyond_the_natural_images_that_there_are() -> None:
    values = diversity(restarts(random(5)), yardstick=True)  # three show it
    assert values.defined[:, 0].tolist() == [True, True, True, False, False]
    nobody = diversity(restarts(random(2), [2, 2]), yardstick=True)
    assert not nobody.defined.any()


def test_without_natural_images_there_is_no_centre() -> None:
    trial = restarts(random(3))
    nothing = trial.concepts.map(lambda tensor: tensor[:0])
    assert registry.load("metrics", "diversity").score(replace(trial, concepts=nothing)) is None


def test_a_model_without_layers_is_skipped() -> None:
    trial = restarts(random(3))
    with pytest.raises(Skipped, match="has no layer"):
        diversity(replace(trial, model=replace(trial.model, layers={}, layer="")))


class First(torch.nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :1].expand(-1, 3)
