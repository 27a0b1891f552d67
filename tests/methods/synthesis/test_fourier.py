"""Rendered waves against numpy and the published formula."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

Fourier = importlib.import_module("ambench.methods.synthesis._fourier").Fourier
Pixels = importlib.import_module("ambench.methods.synthesis._pixels").Pixels
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / 0.4620


def by_numpy(real: np.ndarray, shape: tuple[int, ...], decay: float) -> np.ndarray:
    """Images of coefficients [P, C, H, W // 2 + 1, 2], wave by wave."""
    channels, height, width = shape
    image = np.zeros((len(real), *shape))
    rows, columns = np.mgrid[:height, :width]
    for k in range(height):
        for m in range(width // 2 + 1):
            fk, fm = (k if k <= (height - 1) // 2 else k - height) / height, m / width
            size = max(np.hypot(fk, fm), 1 / max(height, width)) ** decay
            value = (real[:, :, k, m, 0] + 1j * real[:, :, k, m, 1]) / size
            wave = np.exp(2j * np.pi * (k * rows / height + m * columns / width))
            twice = 1 if m == 0 or 2 * m == width else 2  # the other half of the spectrum mirrors this one
            image += twice * (value[..., None, None] * wave).real
    image /= np.sqrt(height * width) * 4
    if channels == 3:
        image = np.einsum("dc,pchw->pdhw", COLOURS, image)
    return 1 / (1 + np.exp(-image))


@pytest.mark.parametrize("decay", [1.0, 0.5])
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 7, 9), (1, 6, 10), (3, 5, 12), (2, 9, 4)])
def test_fourier_images_equal_numpy(shape: tuple[int, ...], decay: float) -> None:
    images = Fourier(shape, decay)
    start = torch.stack([images.start(torch.Generator().manual_seed(seed)) for seed in range(2)]).double() * 100
    np.testing.assert_allclose(images.render(start), by_numpy(start.numpy(), shape, decay), atol=1e-4)


def test_series_are_waves_too() -> None:
    images = Fourier((1, 12))
    start = images.start(torch.Generator().manual_seed(0))[None].double() * 100
    floor = np.maximum(np.fft.rfftfreq(12), 1 / 12)
    waves = np.fft.irfft(torch.view_as_complex(start)[0, 0].numpy() / floor, 12, norm="ortho") / 4
    np.testing.assert_allclose(images.render(start)[0, 0], 1 / (1 + np.exp(-waves)), atol=1e-6)


@pytest.mark.parametrize("kind", [Fourier, Pixels])
def test_a_start_is_nearly_grey_and_of_the_stated_spread(kind: type) -> None:
    images = kind((3, 32, 32))
    start = images.start(torch.Generator().manual_seed(0))
    assert abs(float(start.std()) - 0.01) < 0.001
    assert (images.render(start[None]) - 0.5).abs().max() < 0.1


def test_pixels_are_a_sigmoid_each() -> None:
    odds = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Pixels((1, 3, 3)).render(odds), 1 / (1 + (-odds).exp()))
