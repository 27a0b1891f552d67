"""How rough portraits of series are, and how fast their waves: against numpy and scipy, and values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from scipy.stats import wasserstein_distance
from torch import Tensor

from ambench import registry
from ambench.core import Case, Concepts, InputError, Model, Portraits, Randomness, Skipped, Trial, Truth, Values

METRICS = ("roughness", "spectral_distance")


def trial(made: Tensor, natural: Tensor, alive: Sequence[bool] | None = None) -> Trial[Portraits]:
    """The trial of portraits [P, C, T] beside natural series [N, C, T]; no network is asked."""
    count = len(made)
    ids = tuple(f"a/{number}" for number in range(count))
    case = Case(made, torch.zeros(count, 1).long(), Truth(torch.ones(count, 1).bool()), ids)
    living = torch.ones(count).bool() if alive is None else torch.tensor(alive)
    portraits = Portraits(made, torch.zeros(count).long(), living, torch.zeros(count, 1))
    concepts = Concepts(("a",), natural, torch.ones(len(natural), 1).bool())
    nobody = Model("none", "none", torch.nn.Identity(), {"a": 0}, {}, "", tuple(made.shape[1:]))
    return Trial(nobody, case, portraits, concepts, Randomness((0,)), torch.arange(1))


def scored(name: str, *about: object) -> Values:
    values = registry.load("metrics", name).score(trial(*about))  # type: ignore[arg-type]
    assert values is not None
    return values


def walks(count: int, length: int, channels: int = 1, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, length, generator=draw, dtype=torch.float64).cumsum(2)


def noise(count: int, length: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ------------------------------------------------------------------------------------------------ roughness


def test_roughness_is_the_number_of_doublings_between_mean_steps() -> None:
    made, natural = walks(7, 40, 2), walks(30, 40, 2, seed=1)
    mean = np.abs(np.diff(natural.numpy(), axis=2)).mean()
    expected = [abs(np.log2(np.abs(np.diff(one)).mean() / mean)) for one in made.numpy()]
    assert scored("roughness", made, natural).values[:, 0].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("factor", "octaves"), [(1.0, 0.0), (2.0, 1.0), (0.25, 2.0), (-8.0, 3.0)])
def test_a_series_enlarged_by_a_factor_is_that_many_doublings_away(factor: float, octaves: float) -> None:
    natural = walks(1, 50)
    assert scored("roughness", factor * natural + 3, natural).values.item() == pytest.approx(octaves, abs=1e-12)


# ------------------------------------------------------------------------------------------------ spectra


@pytest.mark.parametrize("length", [2, 3, 31, 64])
def test_the_distance_is_scipys_between_scipys_periodograms(length: int) -> None:
    made, natural = walks(5, length), noise(9, length)
    frequency, own = periodogram(made[:, 0].numpy(), window="hann", detrend="constant")
    other = periodogram(natural[:, 0].numpy(), window="hann", detrend="constant")[1]
    usual = (other / other.sum(1, keepdims=True)).mean(0)
    places = frequency / frequency[-1]
    expected = [wasserstein_distance(places, places, one, usual) for one in own]
    assert scored("spectral_distance", made, natural).values[:, 0].tolist() == pytest.approx(expected, abs=1e-9)


def test_a_wave_is_as_far_as_its_frequency_is() -> None:
    time = torch.arange(256, dtype=torch.float64)
    waves = torch.stack([torch.cos(torch.pi * place * time) for place in (0.125, 0.25, 0.5, 0.875)])[:, None]
    found = scored("spectral_distance", waves, waves[:1]).values[:, 0]
    assert found.tolist() == pytest.approx([0, 0.125, 0.375, 0.75], abs=1e-3)


def test_noise_beside_slow_series_is_about_half_the_range_away() -> None:
    slow = torch.cos(2 * torch.pi * torch.arange(512, dtype=torch.float64) / 512)[None, None]
    assert scored("spectral_distance", noise(40, 512), slow).values.mean().item() == pytest.approx(0.5, abs=0.02)


def test_size_and_height_do_not_matter_to_a_spectrum() -> None:
    made, natural = walks(4, 60), walks(20, 60, seed=3)
    plain = scored("spectral_distance", made, natural).values
    assert torch.allclose(scored("spectral_distance", 50 * made - 7, natural).values, plain, atol=1e-12)
    assert torch.allclose(scored("spectral_distance", made, 0.01 * natural + 2).values, plain, atol=1e-12)


# ------------------------------------------------------------------------------------------------ both


@pytest.mark.parametrize("name", METRICS)
def test_the_data_itself_is_nearer_than_noise(name: str) -> None:
    natural = walks(60, 80) / 10
    held_out, rough = walks(20, 80, seed=5) / 10, 5 * noise(20, 80)
    assert scored(name, held_out, natural).values.mean() < 0.5 * scored(name, rough, natural).values.mean()


@pytest.mark.parametrize("name", METRICS)
def test_a_constant_portrait_is_undefined_and_constant_examples_say_nothing(name: str) -> None:
    made = walks(3, 30)
    made[1] = 0.4
    found = scored(name, made, walks(10, 30, seed=2))
    assert found.defined[:, 0].tolist() == [True, False, True]
    assert not found.flat.any()
    assert not scored(name, made, torch.full((10, 1, 30), 0.3)).defined.any()


def test_a_constant_example_has_no_spectrum_that_could_count() -> None:
    natural = walks(10, 30, seed=2)
    more = torch.cat([natural, torch.full((5, 1, 30), 0.3, dtype=torch.float64)])
    made = walks(3, 30)
    one, other = (scored("spectral_distance", made, pool).values for pool in (natural, more))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", METRICS)
def test_a_dead_portrait_scores_what_noise_between_the_bounds_does(name: str) -> None:
    made, natural = walks(2, 400) / 50, walks(20, 400, seed=4) / 50
    found = scored(name, made, natural, [True, False])
    assert found.flat[:, 0].tolist() == [False, True]
    assert found.values[1].item() == pytest.approx(scored(name, noise(1, 400), natural).values.item(), rel=0.1)
    wide = trial(made, natural, [True, False])
    wide = replace(wide, concepts=replace(wide.concepts, bounds=(-10.0, 10.0)))
    louder = registry.load("metrics", name).score(wide).values[1].item()
    assert (louder - found.values[1].item()) == pytest.approx(np.log2(20) if name == "roughness" else 0, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_a_series_and_its_mirror_image_in_time_score_the_same(name: str) -> None:
    made, natural = walks(6, 41), walks(9, 41, seed=8)
    window_is_even = name == "roughness"  # the periodic window of the spectrum is not, quite
    one, other = (scored(name, part, natural).values for part in (made, made.flip(2)))
    assert torch.allclose(one, other, atol=1e-12 if window_is_even else 0.05)


@pytest.mark.parametrize("name", METRICS)
def test_pictures_and_single_samples_are_passed_over_with_the_reason(name: str) -> None:
    for shape in ((3, 8, 8), (1, 1), (5,)):
        with pytest.raises(Skipped, match=rf"{name} is about series \[C, T\] .*; these portraits are"):
            scored(name, torch.rand(2, *shape), torch.rand(4, *shape))


@pytest.mark.parametrize("name", METRICS)
def test_without_natural_series_there_is_nothing_to_be_like(name: str) -> None:
    assert registry.load("metrics", name).score(trial(walks(2, 20), walks(0, 20))) is None


@pytest.mark.parametrize("name", METRICS)
def test_a_portrait_that_is_not_finite_is_refused_by_name(name: str) -> None:
    made = walks(3, 20)
    made[1, 0, 4] = torch.nan
    with pytest.raises(InputError, match="portrait 'a/1' holds NaN or infinity"):
        scored(name, made, walks(4, 20))
