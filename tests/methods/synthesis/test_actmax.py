"""Activation maximization where the answer is known, and its promises about batches, seeds and dead units."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness

Fourier = importlib.import_module("ambench.methods.synthesis._fourier").Fourier
Pixels = importlib.import_module("ambench.methods.synthesis._pixels").Pixels
STILL = "jitter=0,zoom=0,rotation_degrees=0"


def examples(model: Model, count: int = 12) -> Concepts:
    images = networks.images(model, count, seed=5)
    return Concepts(("a",), images.float(), torch.arange(count)[:, None] % 3 == 0)


def make(spec: str, model: Model, units: list[int], seed: int = 0) -> Portraits:
    method = registry.load("methods", f"actmax:{spec}")
    return method.synthesise(model, torch.tensor(units), examples(model), Randomness((seed,)))


def linear(shape: tuple[int, ...]) -> tuple[Model, Tensor]:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(Tensor(*shape).numel(), 3)))
    return Model("linear", "none", network, {}, {}, "", shape), network[1].weight.detach().view(3, *shape)


@pytest.mark.parametrize("shape", [(3, 6, 8), (1, 5, 5)])
def test_a_linear_unit_ends_in_the_corner_that_its_weights_name(shape: tuple[int, ...]) -> None:
    model, weights = linear(shape)
    portraits = make(f"parametrisation=pixel,variation=0,extremes=0,steps=200,{STILL}", model, [0, 2])
    assert torch.equal(portraits.images.round(), (weights[[0, 2]] > 0).float())
    assert portraits.alive.all()


def test_fourier_portraits_of_a_linear_unit_come_close_to_its_maximum() -> None:
    """The most that pixels in [0, 1] can give is the sum of the positive weights; smooth weights are a few waves."""
    model, _ = linear((3, 16, 16))
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    smooth = torch.sin(rows * torch.pi / 8) + torch.cos(columns * torch.pi / 4)
    model.network[1].weight.data[0] = smooth.expand(3, -1, -1).flatten()
    history = make(f"steps=250,{STILL}", model, [0]).history[0]
    bias = float(model.network[1].bias.detach()[0])
    grey, most = bias + float(smooth.sum()) * 3 / 2, bias + float(smooth.relu().sum()) * 3
    assert (float(history[-1]) - grey) / (most - grey) > 0.75


@pytest.mark.parametrize("parametrisation", ["fourier", "pixel"])
@pytest.mark.parametrize("name", ["module", "in-place", "one channel", "48 x 80", "transformer"])
def test_the_end_beats_the_best_of_256_random_images(name: str, parametrisation: str) -> None:
    model = networks.every()[name]
    images = (Fourier if parametrisation == "fourier" else Pixels)(model.input_shape)
    starts = torch.stack([images.start(torch.Generator().manual_seed(seed)) for seed in range(256)])
    portraits = make(f"parametrisation={parametrisation},steps=100", model, [0, 1, 2, 3, 4])
    assert portraits.images.shape == (5, *model.input_shape)
    assert 0 <= portraits.images.min() <= portraits.images.max() <= 1
    with torch.no_grad():
        reached = model.network(portraits.images).diagonal()
        for size in (1, 30):  # as drawn, and with contrast
            assert (reached > model.network(images.render(starts * size)).amax(0)).all()


@pytest.mark.parametrize("name", ["module", "functional", "in-place", "48 x 80", "transformer", "swin", "registered"])
def test_units_in_one_batch_equal_units_alone(name: str) -> None:
    model = networks.every()[name]
    model.network.double()
    together = make("steps=8,restarts=2", model, [3, 0, 4])
    assert together.units.tolist() == [3, 3, 0, 0, 4, 4]
    for place, unit in enumerate([3, 0, 4]):
        alone = make("steps=8,restarts=2", model, [unit])
        mine = slice(2 * place, 2 * place + 2)
        assert torch.equal(together.images[mine], alone.images)
        assert torch.equal(together.history[mine], alone.history)
    chunked = make("steps=8,restarts=2,chunk=4", model, [3, 0, 4])
    assert torch.equal(chunked.images, together.images)


def test_restarts_differ_and_the_first_is_the_portrait_without_restarts() -> None:
    model = networks.cnn()
    model.network.double()
    several, single = make("steps=10,restarts=3", model, [1]), make("steps=10", model, [1])
    assert torch.equal(several.images[:1], single.images)
    assert (several.images[1:] - several.images[:1]).abs().flatten(1).amax(1).min() > 1e-3


def test_the_same_seed_gives_the_same_picture_and_another_another() -> None:
    model = networks.cnn()
    first = make("steps=10", model, [1]).images
    torch.rand(7)  # the global state is nobody's business
    assert torch.equal(make("steps=10", model, [1]).images, first)
    assert not torch.equal(make("steps=10", model, [1], seed=1).images, first)


def test_louder_units_make_the_same_portraits() -> None:
    """The objective is measured by its spread over natural images, so 1000 times the logit is the same objective."""
    model = networks.cnn()
    model.network.double()
    plain = make("steps=30", model, [0, 1]).images
    head = model.network.get_submodule("fc")
    head.weight.data *= 1000
    head.bias.data *= 1000
    torch.testing.assert_close(make("steps=30", model, [0, 1]).images, plain, atol=1e-5, rtol=0)


def test_probability_of_two_linear_units_ends_in_the_corner_that_their_difference_names() -> None:
    model, weights = linear((3, 5, 5))
    model.network[1].weight.data[2] = 0
    model.network[1].bias.data[2] = -1e6  # a third unit that nobody takes for the answer
    portraits = make(
        f"objective=probability,parametrisation=pixel,variation=0,extremes=0,steps=300,{STILL}", model, [0, 1]
    )
    ahead = weights[0] - weights[1]
    assert torch.equal(portraits.images.round(), torch.stack([ahead, -ahead]).gt(0).float())


def test_a_unit_that_depends_on_nothing_is_dead_and_stays_grey() -> None:
    model = networks.cnn()
    model.network.get_submodule("fc").weight.data[2] = 0
    portraits = make("steps=20", model, [0, 2, 4])
    assert portraits.alive.tolist() == [True, False, True]
    start = Fourier(model.input_shape)
    grey = start.render(start.start(Randomness((0,)).generator("portrait", 2, 0))[None])
    assert torch.equal(portraits.images[1:2], grey)
    assert (portraits.images[1] - 0.5).abs().max() < 0.1


@pytest.mark.parametrize(("redirected_steps", "alive"), [(16, True), (0, False)])
def test_a_unit_behind_closed_relus_is_reached_by_redirection(redirected_steps: int, alive: bool) -> None:
    """A pixel counts from a brightness of .6 on: grey is closed, some natural pixels are not."""
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 2))
    network[0].weight.data[:] = 1 / 3
    network[0].bias.data[:] = -0.6
    network[3].weight.data.abs_()
    model = Model("closed", "none", network, {}, {}, "", (3, 8, 8))
    made = make(f"steps=40,rate=0.1,redirected_steps={redirected_steps}", model, [0, 1])
    assert made.alive.tolist() == [alive, alive]
    assert network[1].inplace


@pytest.mark.parametrize("unit", [-1, 5])
def test_a_unit_that_is_not_there_is_refused_before_the_first_step(unit: int) -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match=f"no output unit {unit}; it has units 0 to 4"):
        make("steps=1000000", model, [0, unit])


@pytest.mark.parametrize(("size", "steps"), [(64, 256), (127, 256), (128, 512), (224, 512)])
def test_larger_inputs_get_more_steps(size: int, steps: int) -> None:
    assert registry.load("methods", "actmax").steps_for((3, size, 16)) == steps


@pytest.mark.parametrize("count", [0, 1])
def test_it_works_without_natural_images(count: int) -> None:
    model = networks.cnn()
    concepts = Concepts(("a",), torch.rand(count, 3, 16, 16), torch.ones(count, 1, dtype=torch.bool))
    portraits = registry.load("methods", "actmax:steps=30").synthesise(
        model, torch.tensor([1]), concepts, Randomness((0,))
    )
    assert portraits.alive.all()
    assert portraits.history.shape == (1, 30)
    assert portraits.images.dtype == portraits.history.dtype == torch.float32


@pytest.mark.parametrize("setting", ["steps=0", "restarts=0", "chunk=0"])
def test_settings_below_one_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="at least 1"):
        registry.load("methods", f"actmax:{setting}")
