"""Searches without gradients: what they may spend, what they share, and optima that are known."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import decoders, models, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness

spaces = importlib.import_module("ambench.methods.synthesis._spaces")
SEARCHES = ("random", "cma", "protes")
over_searches = pytest.mark.parametrize("search", SEARCHES)


def nothing(model: Model) -> Concepts:
    return Concepts(("a",), torch.empty(0, *model.input_shape), torch.empty(0, 1, dtype=torch.bool))


def make(spec: str, model: Model, units: list[int], seed: int = 0) -> Portraits:
    method = registry.load("methods", f"actmax_free:{spec}")
    return method.synthesise(model, torch.tensor(units), nothing(model), Randomness((seed,)))


def table(columns: int = 12) -> tuple[Model, Tensor]:
    """A linear network of numbers in [0, 1] without extent, whose best input is known."""
    network = networks.seeded(lambda: nn.Linear(columns, 3))
    return Model("table", "none", network, {}, {}, "", (columns,)), network.weight.detach()


class Counting(nn.Module):
    """A network that counts the images that it sees."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self.network(images)


# ------------------------------------------------------------------------------------------------ the budget


@over_searches
@pytest.mark.parametrize(
    ("evaluations", "more"), [(1, ""), (37, ",population=10"), (60, ",restarts=2"), (45, ",chunk=7")]
)
def test_no_image_is_evaluated_beyond_the_budget(search, evaluations, more):
    model = networks.cnn()
    network = Counting(model.network)
    portraits = make(
        f"search={search},evaluations={evaluations}{more}",
        Model("c", "", network, {}, {}, "", model.input_shape),
        [2, 0, 4],
    )
    rows, restarts, checked = len(portraits.units), len(portraits.units) // 3, 1  # that look for the number of outputs
    blind = evaluations if search == "random" else evaluations // 20  # all units look at the same blind draws
    assert network.seen == rows * (evaluations - blind) + restarts * blind + checked
    assert portraits.details["evaluations"].tolist() == [evaluations] * len(portraits.units)
    assert portraits.history.shape == (len(portraits.units), evaluations)


@over_searches
def test_the_portrait_is_the_best_that_was_seen_and_the_curve_never_falls(search):
    model = networks.cnn()
    portraits = make(f"search={search},evaluations=90,restarts=2", model, [3, 1])
    with torch.no_grad():
        reached = model.network(portraits.images)[torch.arange(4), portraits.units]
    torch.testing.assert_close(reached, portraits.history[:, -1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(portraits.details["value"], portraits.history[:, -1])
    assert (portraits.history.diff(dim=1) >= 0).all()
    assert portraits.alive.all()
    assert (portraits.history[:, -1] > portraits.details["blind_mean"]).all()


def test_random_search_is_the_best_of_uniform_draws():
    model = networks.cnn()
    found = make("search=random,evaluations=200,population=50", model, [0, 1, 2])
    stream = Randomness((0,)).generator("blind", 0)
    draws = torch.cat([8 * torch.rand(50, 270, generator=stream, dtype=torch.float64) - 4 for _ in range(4)])
    images = spaces.Waves(model.input_shape, 4).render(draws.float())
    with torch.no_grad():
        logits = model.network(images)[:, :3]
    expected = np.maximum.accumulate(logits.numpy(), 0).T
    np.testing.assert_allclose(found.history.numpy(), expected, atol=1e-5)
    assert torch.equal(found.images, images[logits.argmax(0)])


@over_searches
def test_the_same_seed_gives_the_same_curve_and_another_another(search):
    model = networks.cnn()
    spec = f"search={search},evaluations=60,population=20,frequencies=1"
    first = make(spec, model, [1])
    torch.rand(7)  # the global state is nobody's business
    assert torch.equal(make(spec, model, [1]).history, first.history)
    assert not torch.equal(make(spec, model, [1], seed=1).history, first.history)


def test_restarts_differ_and_the_first_is_the_portrait_without_restarts():
    model = networks.cnn()
    model.network.double()
    for search in SEARCHES:
        spec = f"search={search},evaluations=40,population=20"
        several, single = make(f"{spec},restarts=3", model, [1, 4]), make(spec, model, [4])
        assert torch.equal(several.images[3:4], single.images)
        assert not torch.equal(several.images[3], several.images[4])


def test_a_unit_that_is_always_the_same_is_dead_and_gives_its_first_draw():
    model = networks.cnn()
    model.network.get_submodule("fc").weight.data[2] = 0
    for search in SEARCHES:
        spec = f"search={search},evaluations=50,population=20"
        found = make(spec, model, [0, 2])
        assert found.alive.tolist() == [True, False]
        assert torch.equal(found.images[1], make(spec.replace("=50", "=1"), model, [2]).images[0])


def test_nan_in_one_unit_leaves_the_others_alone():
    class Broken(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            return self.network(images) * torch.tensor([1, torch.nan, 1, 1, 1])

    model = networks.cnn()
    broken = Model("broken", "", Broken(model.network), {}, {}, "", model.input_shape)
    for search in SEARCHES:
        spec = f"search={search},evaluations=50,population=20"
        found = make(spec, broken, [0, 1])
        assert found.alive.tolist() == [True, False]
        assert torch.equal(found.history[0], make(spec, model, [0]).history[0])
        assert found.history.isfinite().all()


# ------------------------------------------------------------------------------------------------ known optima


@pytest.mark.parametrize(("search", "share"), [("cma", 0.99), ("protes:", 0.97)])
def test_a_linear_unit_is_brought_close_to_its_bound(search, share):
    """Each number lies between the odds of -4 and 4; the best takes the end that its weight's sign names."""
    model, weights = table()
    low, high = torch.sigmoid(torch.tensor([-4.0, 4.0]))
    bound = torch.where(weights > 0, high * weights, low * weights).sum(1) + model.network.bias.detach()
    middle = weights.sum(1) / 2 + model.network.bias.detach()
    more = ",points=8,population=50" if search == "protes:" else ""
    found = make(f"search={search.rstrip(':')},evaluations=3000{more}", model, [0, 1, 2])
    reached = (found.history[:, -1] - middle) / (bound - middle)
    assert (reached > share).all()
    assert (reached <= 1 + 1e-6).all()


def test_an_evolution_beats_blind_draws_on_a_trained_network():
    model = models.resolve("cnn")
    units = [0, 5, 9, 11]
    blind, led = (
        make(f"search={search},evaluations=1500", model, units).history[:, -1] for search in ("random", "cma")
    )
    assert (led - blind).mean() > 3  # logits; natural images rise 6 to 25 above blind draws
    assert (led > blind).sum() >= 3


def test_probability_is_the_log_probability_among_classes():
    model = networks.cnn()
    found = make("search=random,evaluations=100,objective=probability", model, [0, 3])
    with torch.no_grad():
        expected = model.network(found.images).log_softmax(1)[[0, 1], [0, 3]]
    torch.testing.assert_close(found.history[:, -1], expected)
    assert not found.details["in_logits"].any()
    assert make("search=random,evaluations=10", model, [0]).details["in_logits"].all()


# ------------------------------------------------------------------------------------------------ the space


@pytest.mark.parametrize("shape", [(3, 64, 64), (3, 48, 80), (1, 5, 5), (3, 9, 12), (2, 128), (1, 4, 4), (1, 3, 8, 8)])
def test_images_hold_slow_waves_only(shape):
    space = spaces.Waves(shape, 2)
    codes = 8 * torch.rand(3, space.dimensions, generator=torch.Generator().manual_seed(0)).double() - 4
    images = space.render(codes)
    assert images.shape == (3, *shape)
    odds = torch.logit(images).numpy()  # colours mix, frequencies do not
    axes = tuple(range(2, odds.ndim))
    spectrum = np.abs(np.fft.fftn(odds, axes=axes)).max((0, 1))
    cycles = np.meshgrid(*[np.abs(np.fft.fftfreq(side, 1 / side)) for side in shape[1:]], indexing="ij")
    fast = np.max(cycles, 0) > 2.5
    assert spectrum[fast].max(initial=0) < 1e-9 * spectrum.max()
    assert (spectrum[~fast] > 1e-3 * spectrum.max()).all()


@pytest.mark.parametrize("shape", [(1, 64), (1, 64, 64), (1, 16, 16, 16)])
def test_waves_rise_as_high_along_any_number_of_axes(shape):
    space = spaces.Waves(shape, 4)
    for place, code in enumerate(4 * torch.eye(space.dimensions, dtype=torch.float64)[[0, 2, 4]]):
        height = torch.logit(space.render(code[None])).abs().amax().item()
        assert height == pytest.approx([1, 2, 1][place])  # the mean; one cycle; two cycles, damped to a half


def test_three_colours_have_270_slow_coefficients():
    assert spaces.Waves((3, 64, 64), 4).dimensions == 3 * 90
    assert spaces.Waves((3, 64, 64), 0).dimensions == 3 * 2


def test_codes_of_a_decoder_are_standard_deviations_about_its_mean():
    decoder = decoders.resolve("shapes")
    space = spaces.Codes(decoder, (3, 64, 64))
    codes = torch.stack([torch.zeros(119), torch.full((119,), 4.0)])
    expected = decoder.network(torch.stack([decoder.mean, decoder.mean + 4 * decoder.std])).clamp(0, 1)
    assert torch.equal(space.render(codes), expected)


def test_rectified_codes_go_from_nothing_to_the_highest():
    network = nn.Sequential(nn.Linear(2, 12), nn.Unflatten(1, (3, 2, 2)))
    mean, deviation = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0])
    space = spaces.Codes(decoders.wrap(network, (2,), "relu", mean, deviation), (3, 2, 2))
    made = space.render(torch.tensor([[-4.0, -4.0], [4.0, 4.0], [0.0, 4.0]]))
    expected = network(torch.tensor([[0.0, 0.0], [2.5, 5.0], [1.25, 5.0]])).clamp(0, 1)
    torch.testing.assert_close(made, expected)


def test_a_decoders_pictures_are_resized_by_area():
    network = nn.Sequential(nn.Linear(2, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4)))
    decoder, codes = decoders.wrap(network, (2,)), torch.tensor([[0.5, -2.0]])
    whole, half = (spaces.Codes(decoder, (3, side, side)).render(codes) for side in (4, 2))
    torch.testing.assert_close(half, whole.unflatten(2, (2, 2)).unflatten(4, (2, 2)).mean((3, 5)))


def test_a_search_in_a_decoders_codes_gives_its_pictures():
    model = models.resolve("cnn")
    found = make("space=shapes,evaluations=80", model, [8, 11])
    assert found.images.shape == (2, 3, 64, 64)
    assert (found.history[:, -1] > found.details["blind_mean"]).all()
    method = registry.load("methods", "actmax_free:space=shapes")
    assert (method.supervision, registry.load("methods", "actmax_free").supervision) == ("decoder", "nothing")


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("unit", [-1, 5])
def test_a_unit_that_is_not_there_is_refused_before_the_first_evaluation(unit):
    with pytest.raises(InputError, match=f"no output unit {unit}; it has units 0 to 4"):
        make("evaluations=1000000", networks.cnn(), [0, unit])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("evaluations=0", "evaluations of at least 1, not 0"),
        ("search=cma,population=1", "population of at least 2, not 1"),
        ("points=1", "points of at least 2, not 1"),
        ("binary=true,points=6", "a power of two of points into binary choices, not 6"),
        ("passes=3,evaluations=302", "more than 302 evaluations for 3 passes: 300 are kept"),
        ("restarts=0", "restarts of at least 1, not 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, reason):
    with pytest.raises(InputError, match=reason):
        registry.load("methods", f"actmax_free:{settings}")


def test_a_space_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="there is no space 'furier' to search; did you mean 'fourier'"):
        make("space=furier", networks.cnn(), [0])


def test_a_decoder_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="makes images of 3 channel"):
        make("space=shapes", networks.cnn(channels=1), [0])
    with pytest.raises(InputError, match=r"makes pictures, and the network takes \[3, 9\]"):
        make(
            "space=shapes", Model("series", "", nn.Sequential(nn.Flatten(), nn.Linear(27, 3)), {}, {}, "", (3, 9)), [0]
        )


# ------------------------------------------------------------------------------------------------ networks without gradients


class Votes(nn.Module):
    """The share of 40 yes-or-no answers of each of three units: a step has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.votes = nn.Linear(3 * 8 * 8, 120)

    def forward(self, images: Tensor) -> Tensor:
        return (self.votes(images.flatten(1) - 0.5) > 0.3).float().unflatten(1, (3, 40)).mean(2)


def test_a_network_without_gradients_is_searched_where_an_ascent_sends_one_here():
    model = Model("votes", "", networks.seeded(Votes), {}, {}, "", (3, 8, 8))
    with pytest.raises(InputError, match="actmax_free"):
        registry.load("methods", "actmax:steps=3").synthesise(
            model, torch.tensor([0, 2]), nothing(model), Randomness((0,))
        )
    found = make("evaluations=400", model, [0, 2])
    assert found.alive.all()
    assert (found.history[:, -1] > found.details["blind_mean"] + 0.2).all()


class Integers(nn.Module):
    """Eight-bit pixels times eight-bit weights, summed in whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.randint(-128, 128, (192, 3), generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        return ((images.flatten(1) * 255).round().long() @ self.weights).float() / 1e4


def test_a_quantised_network_is_searched():
    model = Model("integers", "", Integers(), {}, {}, "", (3, 8, 8))
    found = make("search=protes,points=4,evaluations=200", model, [0, 1])
    assert found.alive.all()
    assert torch.equal(model.network(found.images).diagonal(), found.history[:, -1])
