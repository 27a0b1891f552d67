"""Sobol indices: Ishigami's function, scipy's estimators, shares of a linear model, and a mixture by hand."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.stats import sobol_indices, spearmanr, uniform
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness, Skipped

sobol = importlib.import_module("ambench.methods.attribution._sobol")
SHARES = {"first": [0.3139, 0.4424, 0.0], "total": [0.5576, 0.4424, 0.2437]}


def explain(spec: str, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, seed: int = 0) -> Heatmaps:
    method = registry.load("methods", f"sobol:{spec}" if spec else "sobol")
    return method.attribute(model, images, targets, concepts, Randomness((seed,)))


def examples(images: Tensor) -> Concepts:
    return Concepts(("a",), images, torch.ones(len(images), 1, dtype=torch.bool))


class Ishigami(nn.Module):
    """sin a + 7 sin^2 b + .1 c^4 sin a for three inputs in [0, 1] stretched to [-pi, pi]; and its negative, halved."""

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = ((2 * x.flatten(1) - 1) * math.pi).unbind(1)
        answer = a.sin() + 7 * b.sin().square() + 0.1 * c.pow(4) * a.sin()
        return torch.stack([answer, -answer / 2], 1)


@pytest.mark.parametrize("order", ["first", "total"])
def test_ishigamis_function_as_a_table(order: str) -> None:
    rows = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Model("ishigami", "none", Ishigami(), {}, {}, "", (3,))
    answer = explain(f"order={order}", model, rows[:5], torch.tensor([[0, 1]] * 5), examples(rows))
    assert answer.values.shape == (5, 2, 3)
    assert (answer.values - torch.tensor(SHARES[order])).abs().max() < 0.03
    torch.testing.assert_close(answer.values[:, 0], answer.values[:, 1], atol=1e-6, rtol=0)  # scale does not matter
    assert torch.equal(answer.values[:1].expand(5, -1, -1), answer.values)  # the network's own, the same for all rows


@pytest.mark.parametrize("order", ["first", "total"])
def test_ishigamis_function_as_a_picture_of_three_cells(order: str) -> None:
    """Masks fade a white picture towards black, so the three pixels are the three inputs."""
    model = Model("ishigami", "none", Ishigami(), {}, {}, "", (1, 1, 3))
    images, asked = torch.ones(2, 1, 1, 3, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.long)
    answer = explain(
        f"order={order},designs=4096,grid=3,baseline=black,chunk=4096", model, images, asked, examples(images)
    )
    assert (answer.values.flatten(2) - torch.tensor(SHARES[order])).abs().max() < 0.01


def test_estimators_are_scipys_on_the_same_samples() -> None:
    def function(x: np.ndarray) -> np.ndarray:
        return np.stack([x[0] * x[1] + x[2] ** 3, np.sin(3 * x[0]) - x[2]])

    reference = sobol_indices(func=function, n=256, dists=[uniform()] * 3, rng=5)
    # scipy keeps its samples: A and B [3, N], AB [3, 3, N] with the first axis the column that comes from B
    plain, other, mixed = (torch.as_tensor(getattr(reference, name)) for name in ("_f_A", "_f_B", "_f_AB"))
    first = sobol.first_order(plain, other, mixed.movedim(0, 1))  # [2, N], [2, N], [2, 3, N]
    torch.testing.assert_close(first, torch.as_tensor(reference.first_order), atol=1e-12, rtol=0)
    total = sobol.total_order(plain, mixed.movedim(0, 1))
    variances = torch.cat([plain, other], 1).var(1, correction=0) / plain.var(1, correction=0)
    torch.testing.assert_close(total / variances[:, None], torch.as_tensor(reference.total_order), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("designs", "gate"), [(32, 0.25), (512, 0.04)])
def test_a_network_linear_in_the_masks_has_squared_coefficients(designs: int, gate: float) -> None:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2)))
    model = Model("linear", "none", network, {}, {}, "", (3, 4, 4))
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    start = images.mean((0, 2, 3))[:, None, None]
    cells = (network[1].weight.detach().view(2, 3, 4, 4) * (images - start)[:, None]).sum(2)  # [B, T, 4, 4]
    expected = cells.square() / cells.square().sum((2, 3), keepdim=True)
    found = explain(f"grid=4,designs={designs}", model, images, targets, examples(images)).values
    assert (found - expected).abs().max() < gate
    assert spearmanr(found.flatten().numpy(), expected.flatten().numpy()).statistic > 0.9


def test_total_order_by_hand() -> None:
    """Two masks, one cell exchanged: f(A) = (1, 3), f with B's cell = (2, 7): ((1 + 16) / 2) / 2 over a variance of 1."""
    plain, mixed = torch.tensor([1.0, 3.0]), torch.tensor([[2.0, 7.0], [1.0, 3.0]])
    assert sobol.total_order(plain, mixed).tolist() == [4.25, 0.0]
    assert sobol.total_order(torch.ones(2), torch.ones(1, 2)).tolist() == [0.0]


def test_columns_take_only_values_that_they_have() -> None:
    """Of two columns, one is 0 or 1 with odds 3 to 1: x + y has the variances 3/16 and that of the other."""

    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert set(x[:, 0].tolist()) <= {0.0, 1.0}
            return x.sum(1, keepdim=True)

    rows = torch.tensor([[0.0, 0.1], [0.0, 0.4], [0.0, 0.6], [1.0, 0.9]])
    model = Model("sum", "none", Sum(), {}, {}, "", (2,))
    answer = explain("", model, rows, torch.zeros(4, 1).long(), examples(rows)).values[0, 0]
    variances = torch.tensor([3 / 16, float(rows[:, 1].var(correction=0))])
    assert (answer - variances / variances.sum()).abs().max() < 0.01


@pytest.mark.parametrize("targets", [[[0]], [[0, 0]], [[0, 1]]])
def test_one_column_owns_everything_and_a_dead_unit_has_nothing_to_own(targets: list[list[int]]) -> None:
    network = nn.Linear(1, 2)
    network.weight.data = torch.tensor([[2.0], [0.0]])
    model = Model("one", "none", network, {}, {}, "", (1,))
    rows = torch.rand(50, 1, generator=torch.Generator().manual_seed(1))
    for order in ("first", "total"):
        values = explain(f"order={order}", model, rows[:1], torch.tensor(targets), examples(rows)).values
        expected = (1 - torch.tensor(targets)).double()
        torch.testing.assert_close(values[..., 0].double(), expected, atol=2e-2, rtol=0)


def test_series_and_pictures_of_awkward_sides_have_maps_of_their_extent() -> None:
    for shape in ((2, 37), (1, 5, 11), (3, 2, 9)):
        network = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 3))
        model = Model("other", "none", network, {}, {}, "", shape)
        images = networks.images(model)
        answer = explain("grid=4,designs=4", model, images, networks.targets() % 3, examples(images))
        assert answer.values.shape == (4, 3, *shape[1:])
        assert answer.values.isfinite().all()


def test_masks_balance_and_depend_on_the_seed_alone() -> None:
    one, other = sobol.design(16, 5, 3)
    for sample in (one, other):
        assert ((sample * 16).floor().sort(0).values == torch.arange(16.0)[:, None]).all()
    assert not torch.equal(one, other)
    assert torch.equal(sobol.design(16, 5, 3)[0], one)
    assert not torch.equal(sobol.design(16, 5, 4)[0], one)


def test_a_table_without_examples_is_skipped() -> None:
    model = Model("table", "none", nn.Linear(3, 1), {}, {}, "", (3,))
    with pytest.raises(Skipped, match="need examples"):
        explain("", model, torch.rand(2, 3), torch.zeros(2, 1).long(), examples(torch.zeros(0, 3)))


@pytest.mark.parametrize("setting", ["designs=12", "designs=1", "grid=0", "chunk=0"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="sobol needs"):
        registry.load("methods", f"sobol:{setting}")
