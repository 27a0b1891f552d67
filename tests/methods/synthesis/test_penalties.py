"""What pictures cost, against numbers worked out by hand and loops over pixels."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

penalties = importlib.import_module("ambench.methods.synthesis._penalties")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("height", "power", "expected"), [(1.0, 1, 0.125), (1.0, 2, 0.125), (0.5, 1, 0.0625), (0.5, 2, 0.03125)]
)
def test_a_step_across_the_middle(height: float, power: float, expected: float) -> None:
    picture = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    picture[..., 4:] = height
    assert float(penalties.total_variation(picture, power)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("power", "expected"), [(1, 0.125), (2, 1 / 56)])
def test_a_ramp_from_zero_to_one(power: float, expected: float) -> None:
    picture = torch.linspace(0, 1, 8, dtype=torch.float64).expand(1, 1, 8, 8)
    assert float(penalties.total_variation(picture, power)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_is_the_sum_over_pixels(power: float) -> None:
    pictures = random(2, 3, 5, 7)
    for picture, found in zip(pictures, penalties.total_variation(pictures, power), strict=True):
        total = 0.0
        for c in range(3):
            for i in range(5):
                for j in range(7):
                    down = float(picture[c, i + 1, j] - picture[c, i, j]) if i < 4 else 0.0
                    right = float(picture[c, i, j + 1] - picture[c, i, j]) if j < 6 else 0.0
                    total += (down**2 + right**2) ** (power / 2)
        assert float(found) == pytest.approx(total / 35, abs=1e-9)


def test_the_slope_of_a_flat_picture_is_zero_and_finite() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    for cost in (penalties.total_variation(flat, 1.0), penalties.extremes(flat), penalties.out_of_bounds(flat)):
        (slope,) = torch.autograd.grad(cost.sum(), flat)
        assert not slope.any()
        assert slope.isfinite().all()


def test_extreme_values_cost_the_sixth_power_of_their_distance_from_grey() -> None:
    pictures = random(2, 3, 4, 5)
    loops = [sum(float((p[:, i, j] - 0.5).norm()) ** 6 for i in range(4) for j in range(5)) / 20 for p in pictures]
    assert penalties.extremes(pictures).tolist() == pytest.approx(loops, abs=1e-12)


def test_inside_the_range_nothing_is_out_of_bounds() -> None:
    assert not penalties.out_of_bounds(random(2, 3, 4, 4)).any()
    assert float(penalties.out_of_bounds(torch.tensor([[[-2.0, 3.0]]]))) == (4 + 4) / 2


def test_energy_and_contrast() -> None:
    pictures = random(2, 3, 4, 5)
    assert penalties.energy(pictures).tolist() == pytest.approx([float(((p - 0.5) ** 2).mean()) for p in pictures])
    natural = random(6, 3, 4, 5, seed=1)
    wanted = penalties.deviation_of(natural)
    assert wanted[1].item() == pytest.approx(sum(float(n[1].std(correction=0)) for n in natural) / 6)
    own = [sum((float(p[c].std(correction=0)) - float(wanted[c])) ** 2 for c in range(3)) for p in pictures]
    assert penalties.contrast_difference(pictures, wanted).tolist() == pytest.approx(own)


def test_style_is_the_distance_of_gram_matrices() -> None:
    grid, natural = random(2, 4, 3, 5), penalties.gram(random(1, 4, 3, 5, seed=2))[0]
    for one, found in zip(grid, penalties.style_difference(grid, natural), strict=True):
        flat = one.reshape(4, 15)
        products = torch.tensor([[float(flat[a] @ flat[b]) / 60 for b in range(4)] for a in range(4)])
        assert float(found) == pytest.approx(float(((products - natural) ** 2).sum()), abs=1e-9)


def test_likeness_is_the_mean_cosine_with_the_other_portraits_of_the_unit() -> None:
    grid = random(6, 4, 3, 5)
    grams = penalties.gram(grid).flatten(1)
    found = penalties.likeness(grid, 3)
    for row in range(6):
        others = [o for o in range(3 * (row // 3), 3 * (row // 3) + 3) if o != row]
        cosines = [float(torch.cosine_similarity(grams[row], grams[o], dim=0)) for o in others]
        assert float(found[row]) == pytest.approx(sum(cosines) / 2, abs=1e-9)
    assert not penalties.likeness(grid, 1).any()
    assert penalties.likeness(grid[:1].repeat(3, 1, 1, 1), 3).tolist() == pytest.approx([1.0] * 3)


def test_costs_do_not_depend_on_the_neighbours_and_series_have_them_too() -> None:
    series = random(3, 1, 9)
    for cost in (penalties.total_variation, penalties.extremes, penalties.energy, penalties.out_of_bounds):
        assert torch.equal(cost(series)[1:2], cost(series[1:2]))
    assert float(penalties.total_variation(series[:1], 2.0)) == pytest.approx(
        math.fsum(float(d) ** 2 for d in series[0, 0].diff()) / 9, abs=1e-9
    )
