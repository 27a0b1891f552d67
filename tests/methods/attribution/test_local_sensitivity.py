"""Local sensitivity against the weights of a linear model, gradients of a smooth one, and steps at the edge of [0, 1]."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    method = registry.load("methods", f"local_sensitivity:{spec}")
    return method.attribute(model, images, targets, NOBODY, Randomness((0,)))


def patchwise(values: Tensor, grid: int) -> Tensor:
    """Sums of [..., H, W] over each of grid x grid patches, at every pixel; sides are multiples of the grid."""
    height, width = values.shape[-2] // grid, values.shape[-1] // grid
    sums = values.unflatten(-2, (grid, height)).unflatten(-1, (grid, width)).sum((-3, -1))
    return sums.repeat_interleave(height, -2).repeat_interleave(width, -1)


@pytest.mark.parametrize("grid", [4, 12, 16])
@pytest.mark.parametrize("delta", [0.002, 8 / 255, 0.5])
@pytest.mark.parametrize("mode", ["absolute", "signed"])
def test_a_linear_model_gives_its_weights_whatever_the_step(mode: str, delta: float, grid: int) -> None:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 48, 2))).double()
    model = Model("linear", "none", network, {}, {}, "", (3, 24, 48))
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    if grid == 16:  # 24 rows do not divide by 16: one pixel a patch and more
        images, targets = images[:1], targets[:1]
        weights = network[1].weight.detach().view(2, 3, 24, 48).sum(1)
        row = torch.arange(24) * 16 // 24
        expected = torch.stack([weights[:, row == k].sum(1) for k in range(16)], 1)[:, row]
        expected = expected.unflatten(-1, (16, 3)).sum(-1).repeat_interleave(3, -1)[targets]
    else:
        expected = patchwise(network[1].weight.detach().view(2, 3, 24, 48).sum(1), grid)[targets]
    values = explain(f"delta={delta},grid={grid},mode={mode}", model, images, targets).values
    expected = expected.abs() if mode == "absolute" else expected
    torch.testing.assert_close(values.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("central", ["false", "true"])
def test_a_smooth_network_gives_its_gradient(central: str) -> None:
    model = networks.every()["transformer"]
    model.network.double()
    images, targets = networks.images(model, 2), networks.targets(2, 2)
    pixels = images.clone().requires_grad_()
    answer = model.network(pixels).gather(1, targets)
    slopes = [torch.autograd.grad(answer[:, k].sum(), pixels, retain_graph=True)[0].sum(1) for k in range(2)]
    expected = patchwise(torch.stack(slopes, 1), 4)
    values = explain(f"delta=0.00001,grid=4,mode=signed,central={central}", model, images, targets).values.double()
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


class Steps(nn.Module):
    """Remembers what it saw; answers the sum of squares."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x.square().flatten(1).sum(1, keepdim=True)


def test_the_step_goes_down_where_up_would_leave_the_range() -> None:
    network = Steps()
    model = Model("steps", "none", network, {}, {}, "", (1, 2, 2))
    image, asked = torch.tensor([[[[0.5, 0.95], [0.0, 1.0]]]]), torch.zeros(1, 1, dtype=torch.long)
    values = explain("delta=0.1,grid=2,mode=signed", model, image, asked).values[0, 0]
    seen = torch.cat(network.seen)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1
    by_hand = torch.tensor([[2 * 0.5 + 0.1, 2 * 0.95 - 0.1], [0.1, 2 - 0.1]])  # ((x ± d)^2 - x^2) / ±d
    torch.testing.assert_close(values, by_hand, atol=1e-5, rtol=0)
    both = explain("delta=0.1,grid=2,mode=signed,central=true", model, image, asked).values[0, 0]
    torch.testing.assert_close(both, 2 * image[0, 0], atol=1e-5, rtol=0)  # exact for a square


def test_steps_are_shares_of_the_range_that_inputs_have() -> None:
    network = Steps()
    model = Model("steps", "none", network, {}, {}, "", (1, 2))
    examples = Concepts((), torch.zeros(0, 1, 2), torch.zeros(0, 0, dtype=torch.bool), bounds=(-2.0, 3.0))
    method = registry.load("methods", "local_sensitivity:delta=0.1,mode=signed")
    image, asked = torch.tensor([[[1.0, 2.8]]]), torch.zeros(1, 1, dtype=torch.long)
    values = method.attribute(model, image, asked, examples, Randomness((0,))).values.flatten()
    torch.testing.assert_close(values, torch.tensor([2 * 1 + 0.5, 2 * 2.8 - 0.5]))
    assert float(torch.cat(network.seen).max()) == pytest.approx(2.8)


def test_a_grid_finer_than_the_picture_moves_single_pixels() -> None:
    model = networks.cnn(shape=(4, 4))
    images, targets = networks.images(model, 2), networks.targets(2)
    fine = explain("grid=64,delta=0.1", model, images, targets).values
    torch.testing.assert_close(explain("grid=4,delta=0.1", model, images, targets).values, fine)
    assert fine[0, 0].unique().numel() > 8


@pytest.mark.parametrize("shape", [(2, 30), (7,)], ids=["series", "table"])
def test_series_and_tables_have_maps_of_their_extent(shape: tuple[int, ...]) -> None:
    size = torch.Size(shape).numel()
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 2)))
    model = Model("other", "none", network, {}, {}, "", shape)
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    weights = network[1].weight.detach().view(2, *shape)
    expected = weights.sum(1).unflatten(1, (5, 6)).sum(2).repeat_interleave(6, 1) if len(shape) == 2 else weights
    values = explain("grid=5,delta=0.2", model, images, targets).values
    torch.testing.assert_close(values, expected.abs()[targets], atol=1e-5, rtol=0)


def test_a_step_that_single_precision_cannot_resolve_is_refused() -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match=r"0\.001 is wanted"):
        explain("delta=0.0001", model, networks.images(model), networks.targets())


@pytest.mark.parametrize("setting", ["delta=0", "grid=0", "chunk=0"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="local_sensitivity needs"):
        registry.load("methods", f"local_sensitivity:{setting}")
