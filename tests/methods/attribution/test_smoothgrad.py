"""SmoothGrad against captum on the same noise, and linear and quadratic networks in closed form."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
IDS = ("a", "b", "c", "d")


def explain(spec: str, model: Model, images: Tensor, targets: Tensor, seed: int = 0) -> Heatmaps:
    randomness = Randomness((seed,), IDS[: len(images)])
    return registry.load("methods", f"smoothgrad:{spec}").attribute(model, images, targets, NOBODY, randomness)


KINDS = {"mean": "smoothgrad", "square": "smoothgrad_sq", "variance": "vargrad"}


@pytest.mark.parametrize("chunk", [1, 5, 32])
@pytest.mark.parametrize("name", ["in-place", "48 x 80", "one channel", "transformer"])
@pytest.mark.parametrize("moment", sorted(KINDS))
def test_it_equals_captum_fed_the_same_noise(
    moment: str, name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets(columns=2)
    values = explain(f"samples=6,noise=0.2,moment={moment},mode=signed,chunk={chunk}", model, images, targets).values
    draws = torch.stack([Randomness((0,), IDS).normal(*images.shape[1:], repeat=n) for n in range(6)], 1)
    span = images.flatten(1).amax(1) - images.flatten(1).amin(1)
    noise = (draws * 0.2 * span.view(-1, 1, 1, 1, 1)).flatten(0, 1)  # captum's order: an image's copies in a row
    monkeypatch.setattr(torch, "normal", lambda mean, deviation: noise)
    for column in range(2):
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model.network))
        theirs = tunnel.attribute(
            images, nt_type=KINDS[moment], nt_samples=6, stdevs=1.0, target=targets[:, column], abs=False
        ).sum(1)
        torch.testing.assert_close(values[:, column], theirs.detach(), atol=1e-6, rtol=1e-5)


def linear() -> Model:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 2)))
    return Model("linear", "none", network, {}, {}, "", (3, 4, 5))


def test_a_linear_model_has_its_weights_as_mean_and_no_variance() -> None:
    model = linear()
    weights = model.network.get_parameter("1.weight").detach().view(2, 3, 4, 5)
    images, targets = networks.images(model), torch.tensor([[1, 0]] * 4)
    torch.testing.assert_close(explain("mode=signed", model, images, targets).values, weights.sum(1)[targets])
    torch.testing.assert_close(explain("noise=0.3", model, images, targets).values, weights.abs().amax(1)[targets])
    squares = explain("moment=square", model, images, targets).values
    torch.testing.assert_close(squares, weights.square().amax(1)[targets])
    variance = explain("moment=variance", model, images, targets).values
    assert (variance >= 0).all()
    assert float(variance.max()) < 1e-12


class Quadratic(nn.Module):
    """x'Ax / 2, of which the gradient is Ax."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return ((flat @ self.matrix) * flat).sum(1, keepdim=True) / 2


def test_a_quadratics_moments_are_within_four_standard_errors() -> None:
    """Gradients are A(x + sigma e): mean Ax, covariance sigma^2 A A'."""
    stream = torch.Generator().manual_seed(0)
    root = torch.randn(12, 12, generator=stream, dtype=torch.float64)
    matrix = root + root.T
    model = Model("quadratic", "none", Quadratic(matrix), {}, {}, "", (1, 3, 4))
    images = torch.rand(1, 1, 3, 4, generator=stream, dtype=torch.float64)
    asked, count = torch.zeros(1, 1, dtype=torch.long), 400
    variance = matrix.square().sum(1) * (0.25 * (images.max() - images.min())) ** 2
    mean = explain(f"samples={count},noise=0.25,mode=signed", model, images, asked).values.double().flatten()
    assert ((mean - matrix @ images.flatten()).abs() < 4 * (variance / count).sqrt()).all()
    spread = explain(f"samples={count},noise=0.25,moment=variance", model, images, asked).values.double().flatten()
    assert ((spread / variance - 1).abs() < 4 * (2 / count) ** 0.5).all()


def test_a_constant_image_has_no_noise_and_the_map_of_saliency() -> None:
    model = networks.every()["transformer"]
    images, targets = torch.full((2, *model.input_shape), 0.4), networks.targets(2)
    plain = registry.load("methods", "saliency").attribute(model, images, targets, NOBODY, Randomness((0,)))
    torch.testing.assert_close(explain("samples=3", model, images, targets).values, plain.values, atol=1e-6, rtol=1e-5)


def test_the_magnitude_is_taken_outside_the_mean() -> None:
    model = networks.cnn()
    images, targets = networks.images(model), networks.targets(columns=1)
    span = (images.flatten(1).amax(1) - images.flatten(1).amin(1)).view(-1, 1, 1, 1)
    slopes = []
    for number in range(4):
        noise = Randomness((0,), IDS).normal(*images.shape[1:], repeat=number)
        noisy = (images + 0.15 * span * noise).requires_grad_()
        slopes += torch.autograd.grad(model.network(noisy).gather(1, targets).sum(), noisy)
    gradients = torch.stack(slopes)  # [N, B, C, H, W]
    values = explain("samples=4", model, images, targets).values[:, 0]
    torch.testing.assert_close(values, gradients.mean(0).abs().amax(1), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(values, gradients.abs().mean(0).amax(1), rtol=1e-2)


@pytest.mark.parametrize("setting", ["samples=0", "noise=-0.1", "noise=nan", "chunk=0"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="at least"):
        registry.load("methods", f"smoothgrad:{setting}")
