"""Portraits with natural magnitudes: what is kept of the spectrum, and what is written down beside them."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import Tensor

import networks
from ambench import registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped

phases_module = importlib.import_module("ambench.methods.synthesis._phases")
Crops = importlib.import_module("ambench.methods.synthesis._crops").Crops
fourier = importlib.import_module("ambench.methods.synthesis._fourier")
Phases, magnitudes = phases_module.Phases, phases_module.magnitudes


def examples(model: Model, count: int = 12) -> Concepts:
    images = networks.images(model, count, seed=5)
    return Concepts(("a",), images, torch.arange(count)[:, None] % 3 == 0)


def make(spec: str, model: Model, units: list[int], concepts: Concepts | None = None) -> Portraits:
    asked = examples(model) if concepts is None else concepts
    return registry.load("methods", f"maco:{spec}").synthesise(model, torch.tensor(units), asked, Randomness((0,)))


@pytest.mark.parametrize("extent", [(8, 8), (9, 7), (6, 10), (7, 12)])
def test_the_waves_keep_the_magnitudes_they_were_given(extent: tuple[int, int]) -> None:
    """On the inner columns: the first and, of even widths, the last are their own mirror image, and may not."""
    random = torch.Generator().manual_seed(0)
    magnitude = torch.rand(3, extent[0], extent[1] // 2 + 1, generator=random, dtype=torch.float64)
    images = Phases((3, *extent), magnitude)
    waves = images.waves(torch.stack([images.start(random).double() for _ in range(2)]))
    assert waves.shape == (2, 3, *extent)
    inner = slice(1, (extent[1] + 1) // 2)
    found = torch.fft.rfft2(waves).abs()[..., inner]
    torch.testing.assert_close(found, magnitude[..., inner].expand_as(found), atol=1e-12, rtol=0)


def test_rendering_is_numpys_inverse_transform_standardised_mixed_and_squashed() -> None:
    random = torch.Generator().manual_seed(1)
    magnitude = torch.rand(3, 6, 5, generator=random, dtype=torch.float64)
    images = Phases((3, 6, 8), magnitude)
    phases = images.start(random).double()[None]
    waves = np.fft.irfft2(magnitude.numpy() * np.exp(1j * phases[0].numpy()), s=(6, 8))
    waves = (waves - waves.mean()) / waves.std()
    axes = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    axes /= np.linalg.norm(axes, axis=0).max()
    expected = 1 / (1 + np.exp(-np.einsum("dc,chw->dhw", axes, waves)))
    np.testing.assert_allclose(images.render(phases)[0].numpy(), expected, atol=1e-10)


def test_magnitudes_are_those_of_unmixed_colours_around_grey() -> None:
    images = torch.rand(4, 3, 6, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    axes = fourier.mixing(images).numpy()
    unmixed = np.einsum("cd,ndhw->nchw", np.linalg.inv(axes), images.numpy() - 0.5)
    np.testing.assert_allclose(magnitudes(images).numpy(), np.abs(np.fft.rfft2(unmixed)).mean(0), atol=1e-10)
    grey = images[:, :1]
    np.testing.assert_allclose(magnitudes(grey).numpy(), np.abs(np.fft.rfft2(grey.numpy() - 0.5)).mean(0), atol=1e-10)


@pytest.mark.parametrize("name", ["module", "one channel", "48 x 80", "transformer"])
def test_portraits_excite_their_units_more_than_where_they_started(name: str) -> None:
    model = networks.every()[name]
    portraits = make("steps=150,crops=4", model, [0, 3])
    assert portraits.images.shape == (2, *model.input_shape)
    assert portraits.alive.all()
    assert portraits.details["transparency"].shape == (2, *model.input_shape[1:])
    assert (portraits.details["transparency"] > 0).any()
    assert portraits.details["natural_images"].tolist() == [8]


def test_transparency_is_the_summed_size_of_the_slope() -> None:
    """Of a linear network through whole-picture crops without noise, the slope is the weight in every step."""
    network = networks.seeded(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 6 * 6, 2)))
    model = Model("linear", "none", network, {}, {}, "", (3, 6, 6))
    portraits = make("steps=4,crops=1,first_side=1,last_side=1,noise=0", model, [1])
    weights = network[1].weight.detach()[1].view(3, 6, 6)
    torch.testing.assert_close(portraits.details["transparency"][0], 4 * weights.abs().sum(0), rtol=1e-4, atol=1e-6)


def test_without_images_magnitudes_fall_with_frequency() -> None:
    model = networks.cnn()
    nothing = Concepts(("a",), torch.empty(0, 3, 16, 16), torch.empty(0, 1, dtype=torch.bool))
    portraits = make("steps=3,crops=1", model, [1], nothing)
    assert portraits.details["natural_images"].tolist() == [0]
    spectrum = portraits.details["spectrum"][0, 0]
    assert float(spectrum[0, 0]) == 16
    assert float(spectrum[0, 4]) == pytest.approx(4)


def crop(picture: Tensor, side: float, count: int = 1) -> Tensor:
    return Crops(count, side, side, 0.0, steps=1)(picture, 0, torch.Generator().manual_seed(3))


def test_a_crop_of_the_whole_is_the_picture_and_sides_are_kept() -> None:
    picture = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(crop(picture, 1.0), picture, atol=1e-5, rtol=0)
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    cut = crop(ramp, 0.25, count=5)
    assert cut.shape == (5, 1, 64, 64)
    across = cut[..., -1] - cut[..., 0]
    assert across.mean().item() == pytest.approx(0.25, abs=0.02)
    assert len({round(float(c.mean()), 3) for c in cut}) == 5


def test_sides_go_in_a_straight_line() -> None:
    crops = Crops(1, 0.75, 0.3, 0.0, steps=10)
    assert [crops.side_at(step) for step in (0, 9)] == pytest.approx([0.75, 0.3])
    assert np.diff([crops.side_at(step) for step in range(10)]) == pytest.approx([-0.05] * 9)


@pytest.mark.parametrize("setting", ["crops=0", "first_side=0", "last_side=1.5", "steps=0"])
def test_settings_that_make_no_sense_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="maco needs"):
        registry.load("methods", f"maco:{setting}")


def test_series_are_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten())
    model = Model("series", "none", network.eval(), {}, {}, "", (1, 20))
    nothing = Concepts(("a",), torch.empty(0, 1, 20), torch.empty(0, 1, dtype=torch.bool))
    with pytest.raises(Skipped, match="draws pictures"):
        make("steps=2", model, [0], nothing)
