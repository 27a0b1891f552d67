"""Dreams of series: filters as in pandas and scipy, optima known in closed form, borders where logits tie."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from torch import Tensor, nn

import networks
from ambench import features, models, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped

smoothing = importlib.import_module("ambench.methods.synthesis._smoothing")
borders = importlib.import_module("ambench.methods.synthesis._borders")
ranges = importlib.import_module("ambench.methods.synthesis._ranges")

LENGTH = 32
NAMES = ("first", "second", "third")
STILL = "smoothing=none,restart_every=0"  # nothing but the ascent


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weights: Tensor, bias: Tensor | None = None, classes: int | None = None) -> Model:
    """Logits that are weights [U, T] times the series, plus a bias [U]."""
    count, length = weights.shape
    layer = nn.Linear(length, count, dtype=torch.float64)
    layer.weight.data = weights.clone()
    layer.bias.data = torch.zeros(count, dtype=torch.float64) if bias is None else bias.clone()
    units = {name: unit for unit, name in enumerate(NAMES[:count])}
    classed = NAMES[: count if classes is None else classes]
    return Model("linear", "none", nn.Sequential(nn.Flatten(), layer), units, {}, "", (1, length), classed)


def examples(low: float, high: float, length: int = LENGTH, count: int = 20) -> Concepts:
    """Series that reach from low to high; the second half show the second concept and the others the first."""
    values = low + (high - low) * torch.rand(count, 1, length, generator=torch.Generator().manual_seed(1)).double()
    values[0, 0, 0], values[1, 0, 0] = low, high
    second = torch.arange(count) >= count // 2
    return Concepts(NAMES[:2], values, torch.stack([~second, second], 1))


def dream(model: Model, concepts: Concepts, settings: str = "", units: tuple[int, ...] = (0,)) -> Portraits:
    method = registry.load("methods", f"sequence_dreaming:{settings}" if settings else "sequence_dreaming")
    made: Portraits = method.synthesise(model, torch.tensor(units), concepts, Randomness((0, "sequence_dreaming")))
    return made


def logits(model: Model, portraits: Portraits) -> Tensor:
    return features.logits(model, portraits.images.double())


# ------------------------------------------------------------------------------------------------ smoothing


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 1.0])
def test_exponential_smoothing_is_that_of_pandas(alpha: float) -> None:
    series = numbers(3, 2, 50)
    theirs = pd.DataFrame(series.flatten(0, 1).T.numpy()).ewm(alpha=alpha, adjust=False).mean().to_numpy().T
    assert smoothing.exponential(series, alpha).flatten(0, 1).numpy() == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_the_moving_average_is_that_of_scipy_with_mirrored_ends(width: int) -> None:
    series = numbers(2, 1, 40)
    theirs = uniform_filter1d(series.numpy(), width, mode="reflect")
    assert smoothing.average(series, width).numpy() == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0, 3.3])
def test_the_gaussian_is_that_of_scipy(deviation: float) -> None:
    series = numbers(2, 1, 60)
    theirs = gaussian_filter1d(series.numpy(), deviation)
    assert smoothing.gaussian(series, deviation).numpy() == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(("length", "width"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5)])
def test_a_kernel_is_cut_to_a_shorter_series_and_stays_odd(length: int, width: int) -> None:
    series = numbers(1, 1, length)
    assert torch.equal(smoothing.average(series, 99), smoothing.average(series, width))
    kernel = np.exp(-0.5 * (np.arange(-(width // 2), width // 2 + 1) / 2) ** 2)
    theirs = np.convolve(np.pad(series[0, 0].numpy(), width // 2, mode="symmetric"), kernel / kernel.sum(), "valid")
    assert smoothing.gaussian(series, 2.0)[0, 0].numpy() == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("kind", ["exponential", "average", "gaussian", "none"])
@pytest.mark.parametrize("length", [1, 2, 3, 17])
def test_a_constant_stays_as_it_is(kind: str, length: int) -> None:
    constant = torch.full((2, 1, length), 0.3, dtype=torch.float64)
    assert torch.allclose(smoothing.smooth(constant, kind, 0.9, 5, 2.0), constant, atol=1e-15)


# ------------------------------------------------------------------------------------------------ closed forms


def test_a_matched_filter_is_answered_by_the_filter_over_twice_the_energy_weight() -> None:
    weights = numbers(2, LENGTH)
    settings = f"energy_weight=0.25,variation_weight=0,{STILL}"
    made = dream(linear(weights), examples(-10, 10), settings, (0, 1)).images[:, 0].double()
    optimum = weights / (2 * 0.25)
    assert torch.nn.functional.cosine_similarity(made, optimum).min() > 0.999
    assert torch.allclose(made, optimum, atol=0.05)


def test_without_a_price_every_value_goes_to_the_bound_that_its_weight_points_to() -> None:
    weights = numbers(1, LENGTH)
    made = dream(linear(weights), examples(-3, 5), f"energy_weight=0,variation_weight=0,steps=100,{STILL}").images
    assert torch.equal(made[0, 0], torch.where(weights[0] > 0, 5.0, -3.0).float())


def test_a_high_price_of_steps_makes_a_series_that_takes_none() -> None:
    weights = numbers(1, LENGTH) * 0.1 + 0.05
    smooth, rough = (
        dream(linear(weights), examples(-1, 1), f"variation_weight={price},rate=0.005,{STILL}").images
        for price in (100, 0)
    )
    assert smooth.diff(dim=-1).abs().mean() < 0.02 < 0.3 < rough.diff(dim=-1).abs().mean()


def test_the_first_step_goes_down_the_whole_loss() -> None:
    """Adam's first step is the sign of the slope, here by finite differences of a loss written out again."""
    model = networks.series(16)
    model = replace(model, network=model.network.double(), units={"first": 0, "second": 1})
    concepts = examples(-2, 2, 16)
    start, after = (
        dream(model, concepts, f"mode=centred,centre_weight=3,energy_weight=.01,variation_weight=2,rate={rate},steps=1")
        for rate in (1e-12, 1e-4)
    )
    with torch.no_grad():
        inside = features.read(model, concepts.images)[model.layer].mean(2)
    middle = inside[:10].mean(0).numpy()

    def loss(series: np.ndarray) -> float:
        given = torch.from_numpy(series)[None, None]
        cells = features.read(model, given)[model.layer].mean(2)[0].numpy()
        far = 3 * np.sum((cells - middle) ** 2) / len(middle)
        steps = 2 * np.abs(np.diff(series)).sum() / 16
        return -features.logits(model, given)[0, 0].item() + 0.01 * (series**2).sum() + steps + far

    here = start.images[0, 0].double().numpy()
    slope = [(loss(here + 1e-5 * unit) - loss(here - 1e-5 * unit)) / 2e-5 for unit in np.eye(16)]
    went = (after.images - start.images)[0, 0].double().numpy()
    assert np.abs(slope).min() > 1e-4
    assert np.array_equal(np.sign(went), -np.sign(slope))
    assert went == pytest.approx(-4e-4 * np.sign(slope), abs=1e-6)  # a share of the range of 4


# ------------------------------------------------------------------------------------------------ on the way


def unmoved(concepts: Concepts, settings: str, length: int = LENGTH) -> Tensor:
    """What becomes of a start that no slope moves [T]."""
    silent = linear(torch.zeros(1, length, dtype=torch.float64))
    made = dream(silent, concepts, f"energy_weight=0,variation_weight=0,{settings}")
    assert not made.alive.any()
    return made.images[0, 0].double()


def test_smoothing_acts_between_steps_and_never_after_the_last() -> None:
    concepts = examples(-5, 5)
    start = unmoved(concepts, f"steps=20,{STILL}")
    found = unmoved(concepts, "steps=20,smooth_every=5,restart_every=0,alpha=0.6")
    theirs = pd.Series(start.numpy())
    for _ in range(3):  # after 5, 10 and 15 steps
        theirs = theirs.ewm(alpha=0.6, adjust=False).mean()
    assert found.numpy() == pytest.approx(theirs.to_numpy(), abs=1e-6)


def test_a_restart_blurs_and_stirs_instead() -> None:
    concepts = examples(-5, 5, 2000)
    start = unmoved(concepts, f"steps=10,{STILL}", 2000)
    found = unmoved(concepts, "steps=10,smooth_every=6,restart_every=6,sigma=3", 2000)
    stirred = found.numpy() - gaussian_filter1d(start.numpy(), 3)
    assert stirred.std() == pytest.approx(0.01 * 10, rel=0.06)
    assert abs(stirred.mean()) < 4 * 0.1 / 2000**0.5
    again = unmoved(concepts, "steps=10,smooth_every=6,restart_every=10", 2000)  # no step is left to climb on from it
    assert torch.equal(again, unmoved(concepts, "steps=10,smooth_every=6,restart_every=0", 2000))


def test_the_last_steps_settle_without_smoothing_at_a_falling_rate() -> None:
    concepts = examples(-5, 5)
    start = unmoved(concepts, f"steps=20,{STILL}")
    found = unmoved(concepts, "steps=20,smooth_every=5,restart_every=0,alpha=0.6,settling=0.5")
    theirs = pd.Series(start.numpy())
    for _ in range(2):  # after 5 and 10 steps
        theirs = theirs.ewm(alpha=0.6, adjust=False).mean()
    assert found.numpy() == pytest.approx(theirs.to_numpy(), abs=1e-6)
    weights = numbers(1, LENGTH).abs()  # every value goes up at the rate of each step
    climb = f"steps=10,rate=1e-3,energy_weight=0,variation_weight=0,{STILL}"
    went = [dream(linear(weights), concepts, f"{climb},settling={share}").images - start for share in (0, 0.1)]
    cosine = sum((1 + np.cos(np.pi * step / 10)) / 2 for step in range(10))
    assert went[0].double().flatten().numpy() == pytest.approx(10 * 1e-3 * 10, rel=1e-3)
    assert went[1].double().flatten().numpy() == pytest.approx(cosine * 1e-3 * 10, rel=1e-3)


def test_a_start_is_near_the_examples_mean_in_their_own_units() -> None:
    concepts = examples(100, 300, 2000)
    start = unmoved(concepts, f"steps=1,{STILL}", 2000)
    assert start.mean().item() == pytest.approx(concepts.images.mean().item(), abs=0.2)
    assert start.std().item() == pytest.approx(2.0, rel=0.06)


def test_values_stay_between_the_least_and_the_greatest_of_the_examples() -> None:
    model, concepts = linear(numbers(2, LENGTH) * 100), examples(-0.4, 0.2)
    images = dream(model, concepts, "steps=60,restart_every=20", (0, 1)).images
    assert images.min().item() == pytest.approx(-0.4, abs=1e-6)
    assert images.max().item() == pytest.approx(0.2, abs=1e-6)


def test_without_examples_values_stay_between_the_bounds() -> None:
    nothing = replace(examples(0, 1).select(torch.tensor([], dtype=torch.long)), bounds=(2.0, 3.0))
    images = dream(linear(numbers(1, LENGTH)), nothing, f"steps=100,energy_weight=0,{STILL}").images
    assert set(images.unique().tolist()) == {2.0, 3.0}


# ------------------------------------------------------------------------------------------------ borders


@pytest.mark.parametrize("seed", range(4))
def test_two_classes_tie_on_their_border(seed: int) -> None:
    model = linear(numbers(2, LENGTH, seed=seed), numbers(2, seed=seed + 10))
    made = dream(model, examples(-2, 2), f"mode=border,{STILL}", (0, 1))
    said = logits(model, made)
    assert (said[:, 0] - said[:, 1]).abs().max() < 1e-3
    assert made.history[:, -1].abs().max() < 1e-5


def test_smoothing_on_the_way_leaves_the_border_near() -> None:
    model = linear(numbers(2, LENGTH), numbers(2, seed=10))
    said = logits(model, dream(model, examples(-2, 2), "mode=border", (0, 1)))
    assert (said[:, 0] - said[:, 1]).abs().max() < 0.01


@pytest.mark.parametrize("rival", [None, "third"])
def test_both_lead_all_others(rival: str | None) -> None:
    model = linear(numbers(3, LENGTH), torch.tensor([0.0, 3.0, -1.0]).double())
    made = dream(model, examples(-2, 2), f"mode=border,rival={rival},{STILL}", (0, 1, 2))
    said = logits(model, made)
    for row, unit in zip(said, (0, 1, 2), strict=True):
        other = 2 if rival and unit != 2 else max({0, 1, 2} - {unit}, key=lambda k: row[k].item())
        third = row[3 - unit - other]
        assert abs(row[unit] - row[other]) < 5e-3
        assert torch.minimum(row[unit], row[other]) - third > 0.99


def test_the_price_of_a_border_by_hand() -> None:
    said = torch.tensor([[3.0, 1.0, 0.5, 9.0]] * 3)
    units = torch.tensor([0, 2, 3])
    free, given = borders.border([0, 1, 2], None), borders.border([0, 1, 2], 1)
    # 0: 3 against 1, which leads .5 by .5 where 1 is wanted; 2: .5 against 3, 1 lies 1.5 too high; 3 is no class
    assert free(said, units).tolist() == pytest.approx([-4 - 0.25, -6.25 - 2.25, -81])
    assert given(said, units).tolist() == pytest.approx([-4 - 0.25, -0.25 - 3.5**2, -81])
    assert borders.border([0], None)(said[:1], torch.tensor([0])).tolist() == [-9]
    assert given(said[:1], torch.tensor([1])).tolist() == pytest.approx([-4 - 0.25])  # the rival's own: the strongest


def test_a_unit_that_is_no_class_has_its_border_where_its_logit_is_zero() -> None:
    model = linear(numbers(3, LENGTH), numbers(3, seed=5), classes=2)
    said = logits(model, dream(model, examples(-2, 2), f"mode=border,{STILL}", (2,)))
    assert abs(said[0, 2]) < 1e-3


# ------------------------------------------------------------------------------------------------ centres


def test_the_dearer_the_distance_the_nearer_is_the_middle_of_the_class() -> None:
    model = models.resolve("series-cnn")
    concepts = registry.load("datasets", "series:fit=120").concepts("fit")
    units = (model.units["spike"], model.units["burst"])
    seen = features.read(model, concepts.images)[model.layer].mean(2)
    middles = torch.stack([seen[concepts.present[:, number]].mean(0) for number in (0, 1)])

    def distance(settings: str) -> Tensor:
        made = dream(model, concepts, f"steps=80,{settings}", units).images
        return (features.read(model, made)[model.layer].mean(2) - middles).square().mean(1)

    free, near = distance("mode=plain"), distance("mode=centred,centre_weight=100")
    assert (near < 0.1 * free).all()


def test_a_unit_without_examples_has_no_middle() -> None:
    model = models.resolve("series-cnn")
    concepts = registry.load("datasets", "series:fit=12").concepts("fit")
    with pytest.raises(Skipped, match="examples of what output 0 of model 'series-cnn' stands for"):
        dream(model, concepts, "mode=centred", (0,))
    none = replace(concepts, present=torch.zeros_like(concepts.present))
    with pytest.raises(Skipped, match="output 4"):
        dream(model, none, "mode=centred", (4,))


# ------------------------------------------------------------------------------------------------ real networks


def test_the_embedded_networks_dreams_beat_every_natural_series_and_are_what_they_were_made_for() -> None:
    model = models.resolve("series-cnn")
    concepts = registry.load("datasets", "series").concepts("fit")
    natural = features.logits(model, concepts.images).amax(0)
    made = dream(model, concepts, "steps=250", tuple(range(7)))
    said = features.logits(model, made.images)
    own = said.diagonal()
    assert made.alive.all()
    assert (own > natural).all()
    assert said[:4, :4].argmax(1).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("kind", ["exponential", "average", "gaussian"])
def test_a_series_shorter_than_the_kernel_is_dreamt_all_the_same(kind: str, length: int) -> None:
    made = dream(linear(numbers(1, length) + 3), examples(-1, 1, length), f"smoothing={kind},steps=60,restart_every=20")
    assert made.images.isfinite().all()
    assert made.alive.all()


def test_pictures_and_series_of_several_channels_are_passed_over_with_the_reason() -> None:
    concepts = examples(0, 1)
    with pytest.raises(Skipped, match=r"series \[1, T\], and model 'tiny' takes \[3, 16, 16\]"):
        dream(networks.cnn(), concepts)
    two = replace(linear(numbers(1, 2 * LENGTH)), input_shape=(2, LENGTH))
    with pytest.raises(Skipped, match=r"takes \[2, 32\]"):
        dream(two, concepts)


def test_examples_of_another_number_of_channels_are_refused() -> None:
    model = networks.series()
    wrong = Concepts(("dark",), torch.rand(4, 2, 24), torch.ones(4, 1).bool())
    with pytest.raises(InputError, match=r"takes floating-point inputs \[B, 1, 24\], not float32 \[4, 2, 24\]"):
        dream(model, wrong, "mode=centred", (3,))


def test_examples_that_hold_one_value_or_none_at_all_leave_no_range() -> None:
    constant = replace(examples(0, 1), images=torch.full((20, 1, LENGTH), 0.7))
    with pytest.raises(InputError, match=r"nothing but the value 0\.7"):
        dream(linear(numbers(1, LENGTH)), constant)
    broken = examples(0, 1)
    broken.images[3, 0, 5] = torch.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        dream(linear(numbers(1, LENGTH)), broken)


def test_units_and_rivals_that_are_not_there_are_refused() -> None:
    model = linear(numbers(2, LENGTH))
    with pytest.raises(InputError, match="no output unit 2"):
        dream(model, examples(0, 1), "", (0, 2))
    with pytest.raises(InputError, match="no class 'firsst'; did you mean 'first'"):
        dream(model, examples(0, 1), "mode=border,rival=firsst")
    with pytest.raises(InputError, match="no class 'third'; valid: first, second"):
        dream(linear(numbers(3, LENGTH), classes=2), examples(0, 1), "mode=border,rival=third")


@pytest.mark.parametrize(
    "settings",
    ["steps=0", "restarts=0", "smooth_every=0", "alpha=0", "reach=-1", "sigma=0", "settling=1.5", "restart_every=-1"],
)
def test_impossible_settings_are_refused(settings: str) -> None:
    with pytest.raises(InputError):
        registry.load("methods", f"sequence_dreaming:{settings}")


def test_only_the_centred_mode_says_that_it_was_given_concept_images() -> None:
    plain, centred = (registry.load("methods", f"sequence_dreaming:mode={mode}") for mode in ("border", "centred"))
    assert (plain.supervision, centred.supervision) == ("contrast images", "concept images")
    assert replace(centred, mode="plain").supervision == "contrast images"


def test_a_range_says_where_a_share_lies() -> None:
    found = ranges.Range.of(examples(-2, 6), (1, LENGTH))
    assert (found.low, found.high) == (-2, 6)
    assert found.render(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-2, 2, 6]
