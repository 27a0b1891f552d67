"""How far portraits are from natural images: features, spectra, and whole sets."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import chi2, ks_2samp, kstest
from sklearn.covariance import ledoit_wolf
from torch import Tensor

import portrayed
from ambench import registry
from ambench.core import Concepts, InputError, Layer, Model, Portraits, Skipped, Trial, Values, generator

frechet = importlib.import_module("ambench.metrics.portraits._frechet").distance
slopes = importlib.import_module("ambench.metrics.portraits._waves").slopes


def naturalness(trial: Trial[Portraits], **settings: object) -> Values:
    values = registry.build(registry.find("metrics", "naturalness"), settings).score(trial)
    assert values is not None
    return values


def points(count: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Inputs of one cell [count, channels, 1, 1], correlated, of unequal spread."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return (torch.randn(count, channels, generator=draw, dtype=torch.float64) @ mixing + 1)[:, :, None, None]


def cloud(portraits: Tensor, natural: Tensor, alive: list[bool] | None = None) -> Trial[Portraits]:
    model = portrayed.network(lambda x: x.flatten(1)[:, :3], shape=tuple(natural.shape[1:]))
    shown = torch.ones(len(natural), 3)
    return portrayed.portrayed(portraits, [0] * len(portraits), model, portrayed.examples(natural, shown), alive=alive)


class TestFeatures:
    def test_it_equals_ledoit_wolf_by_hand(self) -> None:
        natural, asked = points(60), points(9, seed=1)
        order = torch.randperm(60, generator=generator("natural halves", 60))
        learned = natural[order[::2]].flatten(1).numpy()
        covariance, _ = ledoit_wolf(learned)
        away = asked.flatten(1).numpy() - learned.mean(0)
        expected = (away * np.linalg.solve(covariance, away.T).T).sum(1) / 3
        np.testing.assert_allclose(naturalness(cloud(asked, natural)).values[:, 0], expected, rtol=1e-9)

    def test_gaussian_features_are_chi_square_over_their_channels(self) -> None:
        spread = torch.tensor([1.0, 1.2, 1.4, 1.6, 2.0], dtype=torch.float64)
        draws = torch.randn(7000, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * spread
        values = naturalness(cloud(draws[:1000, :, None, None], draws[1000:, :, None, None])).values[:, 0]
        assert kstest((5 * values).numpy(), chi2(5).cdf).pvalue > 0.01

    def test_percentiles_of_natural_images_are_uniform(self) -> None:
        values = naturalness(cloud(points(1000, seed=1), points(6000)), measure="percentile").values[:, 0]
        assert kstest(values.numpy(), "uniform").pvalue > 0.01

    def test_the_percentile_is_the_share_of_held_out_images_that_are_nearer(self) -> None:
        natural = points(40)
        order = torch.randperm(40, generator=generator("natural halves", 40))
        held_out = natural[order[1::2]]
        distance = naturalness(cloud(held_out, natural)).values[:, 0]
        percentile = naturalness(cloud(held_out, natural), measure="percentile").values[:, 0]
        ranks = distance.argsort().argsort().double()  # each is in the pool itself, and half as far as itself
        torch.testing.assert_close(percentile, (ranks + 0.5) / 20)

    @pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (0.01, 3.0)])
    def test_rescaling_all_features_alike_changes_nothing(self, scale: float, shift: float) -> None:
        natural, asked = points(60), points(9, seed=1)
        before = naturalness(cloud(asked, natural)).values
        after = naturalness(cloud(scale * asked + shift, scale * natural + shift)).values
        torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)

    def test_cells_are_averaged_before_anything_else(self) -> None:
        natural, asked = points(60), points(9, seed=1)
        ramp = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)
        before = naturalness(cloud(asked, natural)).values
        torch.testing.assert_close(naturalness(cloud(asked + ramp, natural + 2 * ramp)).values, before)

    def test_features_come_from_the_layer_named(self) -> None:
        trial = cloud(points(9, seed=1), points(60))
        doubled = torch.nn.Sequential(trial.model.network, torch.nn.Linear(3, 3).double())
        layers = trial.model.layers | {"1": Layer("1", doubled[1], lambda grid: grid)}
        other = replace(trial, model=replace(trial.model, network=doubled, layers=layers), shared={})
        assert torch.equal(naturalness(other).values, naturalness(trial).values)
        assert not torch.allclose(naturalness(other, layer="1").values, naturalness(trial).values)
        with pytest.raises(InputError, match="no layer 'pixel'; did you mean 'pixels'"):
            naturalness(other, layer="pixel")

    def test_features_that_never_change_tell_nothing(self) -> None:
        values = naturalness(cloud(points(4), torch.ones(20, 3, 1, 1, dtype=torch.float64)))
        assert not values.defined.any()

    def test_more_channels_than_images_are_judged_by_what_shrinkage_leaves(self) -> None:
        values = naturalness(cloud(points(8, 40, seed=1), points(20, 40))).values
        assert values.isfinite().all()
        assert (values > 0).all()


class TestSpectrum:
    @pytest.mark.parametrize("extent", [(64, 64), (48, 80), (65, 65)])
    @pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
    def test_fields_of_falling_amplitude_have_twice_the_slope(self, extent: tuple[int, ...], power: float) -> None:
        found = slopes(fields(power, extent, 200))
        assert found.mean() == pytest.approx(-2 * power, abs=0.1)
        assert found.std() < 0.25

    def test_edges_that_do_not_meet_change_little(self) -> None:
        cut = fields(1.0, (256, 256), 60)[:, :, :64, :64]
        assert slopes(cut).mean() == pytest.approx(-2, abs=0.1)

    @pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
    def test_series_have_a_slope_too(self, power: float) -> None:
        assert slopes(fields(power, (256,), 200)).mean() == pytest.approx(-2 * power, abs=0.15)

    def test_a_slope_equals_numpys(self) -> None:
        image = np.random.default_rng(0).random((2, 24, 36)).cumsum(1)
        window = np.hanning(24)[:, None] * np.hanning(36)
        grey = image.mean(0)
        power = np.abs(np.fft.fft2(window * (grey - (window * grey).sum() / window.sum()))) ** 2
        frequency = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(36))
        band = np.floor(8 * np.log(frequency.clip(1e-9) / (2 / 24)) / np.log(0.5 / (2 / 24)) + 1e-9)
        inside = [(frequency <= 0.5 + 1e-9) & (band == number) for number in range(8)]
        inside[-1] |= np.isclose(frequency, 0.5)
        line = [(np.log(frequency[rows]).mean(), np.log(power[rows].mean())) for rows in inside if rows.any()]
        expected = np.polyfit(*np.transpose(line), 1)[0]
        assert slopes(torch.tensor(image)[None]).item() == pytest.approx(expected, abs=1e-9)

    def test_it_is_the_distance_from_the_mean_slope_in_deviations(self) -> None:
        natural = torch.cat([fields(power, (32, 32), 20) for power in (0.8, 1.0, 1.2)]).expand(-1, 3, -1, -1)
        asked = torch.cat([natural[:2], fields(0.0, (32, 32), 3).expand(-1, 3, -1, -1)])
        mean, deviation = slopes(natural).mean(), slopes(natural).std()
        values = naturalness(square(asked, natural), measure="spectrum").values[:, 0]
        torch.testing.assert_close(values, ((slopes(asked) - mean) / deviation).abs())
        assert values[:2].max() < 3 < values[2:].min()

    def test_brightness_and_contrast_change_nothing(self) -> None:
        natural = fields(1.0, (32, 32), 20).expand(-1, 3, -1, -1)
        asked = fields(0.5, (32, 32), 3).expand(-1, 3, -1, -1)
        before = naturalness(square(asked, natural), measure="spectrum").values
        torch.testing.assert_close(naturalness(square(0.3 * asked + 0.2, natural), measure="spectrum").values, before)

    def test_a_flat_portrait_has_none(self) -> None:
        natural = fields(1.0, (32, 32), 20).expand(-1, 3, -1, -1)
        asked = torch.cat([torch.full_like(natural[:1], 0.5), natural[:1]])
        assert naturalness(square(asked, natural), measure="spectrum").defined[:, 0].tolist() == [False, True]

    def test_natural_images_of_one_slope_measure_nothing(self) -> None:
        natural = fields(1.0, (32, 32), 1).expand(6, 3, -1, -1)
        values = naturalness(square(fields(1.0, (32, 32), 3).expand(-1, 3, -1, -1), natural), measure="spectrum")
        assert not values.defined.any()

    @pytest.mark.parametrize("shape", [(3,), (3, 4, 40), (3, 7)], ids=str)
    def test_inputs_without_waves_are_skipped(self, shape: tuple[int, ...]) -> None:
        asked = torch.rand(2, *shape)
        with pytest.raises(Skipped, match="too few waves"):
            naturalness(square(asked, torch.rand(9, *shape)), measure="spectrum")


class TestFrechet:
    def test_diagonal_gaussians_have_the_closed_form(self) -> None:
        spread_a, spread_b, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5]), np.array([1.0, 0.0, -2.0])
        corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T  # covariance 8/7 of the identity
        found = frechet(torch.tensor(spread_a * corners), torch.tensor(spread_b * corners + shift))
        expected = (shift**2).sum() + 8 / 7 * ((spread_a - spread_b) ** 2).sum()
        assert found.item() == pytest.approx(expected, abs=1e-6)

    def test_it_equals_scipys_matrix_root(self) -> None:
        one, other = points(50, 6).flatten(1), points(40, 6, seed=1).flatten(1) ** 2
        a, b = np.cov(one.T), np.cov(other.T)
        means = ((one.mean(0) - other.mean(0)) ** 2).sum().item()
        expected = means + np.trace(a + b - 2 * sqrtm(a @ b).real)
        assert frechet(one, other).item() == pytest.approx(expected, abs=1e-6)

    def test_all_portraits_together_are_one_row(self) -> None:
        natural, asked = points(60), points(30, seed=1)
        values = naturalness(cloud(asked, natural), measure="frechet")
        assert values.ids == ("all portraits",)
        expected = frechet(asked.flatten(1), natural.flatten(1))
        assert values.values.tolist() == [[pytest.approx(expected.item(), abs=1e-9)] * 3]

    def test_a_set_has_no_distance_to_itself(self) -> None:
        assert naturalness(cloud(points(60), points(60)), measure="frechet").values.max() < 1e-9

    @pytest.mark.parametrize(("made", "known"), [(29, 60), (60, 29)])
    def test_fewer_than_ten_a_channel_are_skipped_with_the_numbers(self, made: int, known: int) -> None:
        with pytest.raises(Skipped, match=f"wants 30 .* there are {made} and {known}"):
            naturalness(cloud(points(made), points(known)), measure="frechet")

    def test_small_samples_of_one_gaussian_lie_apart(self) -> None:
        draws = torch.randn(2 * 2048, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert frechet(draws[:64], draws[2048:]).item() == pytest.approx(21.1, abs=1)
        assert frechet(draws[:1024], draws[2048:]).item() == pytest.approx(1.6, abs=0.1)


@pytest.mark.parametrize("measure", ["features", "percentile", "spectrum"])
def test_a_dead_portrait_is_judged_as_noise(measure: str) -> None:
    natural = fields(1.0, (32, 32), 40).repeat(1, 3, 1, 1) + torch.rand(40, 3, 1, 1, dtype=torch.float64) / 10
    values = naturalness(square(natural, natural, [True, False] * 20), measure=measure)
    assert values.flat[:, 0].tolist() == [False, True] * 20
    noise = torch.rand(200, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    of_noise = naturalness(square(noise, natural), measure=measure).values[:, 0]
    assert ks_2samp(values.values[1::2, 0].numpy(), of_noise.numpy()).pvalue > 0.01
    assert torch.equal(values.values[::2], naturalness(square(natural[::2], natural), measure=measure).values)


def test_noise_has_the_bounds_of_the_inputs() -> None:
    natural = 40 * fields(1.0, (32, 32), 40).repeat(1, 3, 1, 1) - 20
    trial = square(natural[:20], natural, [False] * 20)
    trial = replace(trial, concepts=replace(trial.concepts, bounds=(-20.0, 20.0)))
    noise = 40 * torch.rand(200, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 20
    values, of_noise = (naturalness(one).values[:, 0].numpy() for one in (trial, square(noise, natural)))
    assert ks_2samp(values, of_noise).pvalue > 0.01


@pytest.mark.parametrize("measure", ["features", "percentile", "spectrum", "frechet"])
def test_without_four_natural_images_there_is_no_value(measure: str) -> None:
    metric = registry.load("metrics", f"naturalness:measure={measure}")
    assert metric.score(square(torch.rand(2, 3, 16, 16), torch.rand(3, 3, 16, 16))) is None


def test_a_model_without_layers_is_skipped() -> None:
    trial = cloud(points(3), points(9))
    with pytest.raises(Skipped, match="model 'answers' has no layer"):
        naturalness(replace(trial, model=replace(trial.model, layers={}, layer="")))


def fields(power: float, extent: tuple[int, ...], count: int) -> Tensor:
    """Gaussian fields in [0, 1] whose amplitude falls with frequency to a power [count, 1, *extent]."""
    frequency = torch.stack(torch.meshgrid(*[torch.fft.fftfreq(side).double() for side in extent], indexing="ij"))
    amplitude = frequency.norm(dim=0).clamp_min(1 / max(extent)) ** -power
    axes = tuple(range(1, len(extent) + 1))
    noise = torch.randn(count, *extent, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    field = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * amplitude, dim=axes).real
    low, high = field.amin(axes, keepdim=True), field.amax(axes, keepdim=True)
    return ((field - low) / (high - low))[:, None]


def square(asked: Tensor, natural: Tensor, alive: list[bool] | None = None) -> Trial[Portraits]:
    model: Model = portrayed.network(
        lambda x: x.flatten(2).mean(2) if x.ndim > 2 else x, shape=tuple(natural.shape[1:])
    )
    concepts: Concepts = portrayed.examples(natural, torch.ones(len(natural), 3))
    return portrayed.portrayed(asked, [0] * len(asked), model, concepts, alive=alive)
