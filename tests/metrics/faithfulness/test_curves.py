"""Insertion and deletion: areas worked out by hand, the best and the worst order, ties, chunks, inputs of all kinds."""

from __future__ import annotations

import importlib
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

import networks
import perturbed
import trials
from ambench import registry
from ambench.core import Directions, InputError, Layer, Model, Skipped, Trial

order = importlib.import_module("ambench.metrics.faithfulness._order")
asking = importlib.import_module("ambench.metrics.faithfulness._asking")
NAMES = ("insertion", "deletion")


def gaussian(images: Tensor, deviation: float) -> Tensor:
    """scipy's blur of each axis, edges going on."""
    reach = max(1, int(np.ceil(3 * deviation)))
    found = images.double().numpy()
    for axis in range(2, images.ndim):
        found = gaussian_filter1d(found, deviation, axis=axis, mode="nearest", radius=reach)
    return torch.from_numpy(found).to(images)


def values(spec: str, given: Trial[Any]) -> Tensor:
    return registry.load("metrics", spec).score(given).values


# ------------------------------------------------------------------------------------------------ by hand


def test_the_area_of_a_curve_worked_out_by_hand() -> None:
    """Deletion 1, .3, 0 at 0, .5, 1 gives .4; insertion 0, .7, 1 gives .6 (a blur this wide leaves one grey)."""
    left, back = perturbed.two_pixels(0.0, 0.3, 1.0), perturbed.two_pixels(0.0, 0.7, 1.0)
    assert values("deletion:steps=2", left).item() == pytest.approx(0.4, abs=1e-9)
    assert values("insertion:steps=2,blur=1000", back).item() == pytest.approx(0.6, abs=1e-9)


def test_no_order_of_an_additive_model_is_better_than_the_exact_shares_and_none_worse_than_their_contrary() -> None:
    images = perturbed.images(1, 1, (2, 2), dtype=torch.float64)
    weights = perturbed.noise(3, 1, 2, 2, dtype=torch.float64)
    known = perturbed.model(perturbed.Additive(weights), (1, 2, 2))
    shares = (weights[0] * (images[0] - 0.5)).sum(0)  # against the mean colour
    orders = torch.tensor(list(permutations(range(4))), dtype=torch.float64).view(-1, 1, 2, 2)
    asked = perturbed.case(images.expand(24, -1, -1, -1))
    every = values("deletion:steps=4", perturbed.trial(known, asked, orders))
    best, worst = (
        values("deletion:steps=4", perturbed.trial(known, perturbed.case(images), sign * shares[None, None])).item()
        for sign in (1, -1)
    )
    assert every.unique().numel() == 24
    assert best == pytest.approx(every.min().item(), abs=1e-12)
    assert worst == pytest.approx(every.max().item(), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_exact_shares_are_best_among_a_thousand_random_orders(name: str) -> None:
    images = perturbed.images(1, 3, (6, 5), dtype=torch.float64)
    weights = perturbed.noise(3, 3, 6, 5, dtype=torch.float64) / 4
    known = perturbed.model(perturbed.Additive(weights), (3, 6, 5))
    start = torch.full_like(images, 0.5)
    if name == "insertion":
        start = gaussian(images, 5 / 16)
    shares = (weights[0] * (images - start)[0]).sum(0)
    rivals = perturbed.noise(1000, 1, 6, 5, dtype=torch.float64)
    found = values(name, perturbed.trial(known, perturbed.case(images.expand(1000, -1, -1, -1)), rivals))
    best = values(name, perturbed.trial(known, perturbed.case(images), shares[None, None])).item()
    assert best < found.min() if name == "deletion" else best > found.max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["module", "one channel", "48 x 80", "transformer"])
def test_the_area_is_that_of_a_loop_in_numpy(name: str, key: str) -> None:
    """One image, one target, one step at a time; softmax over all five units."""
    known = networks.every()[key]
    images, targets = networks.images(known, 5), networks.targets(5) % 3
    maps = perturbed.noise(5, 3, *known.input_shape[1:], seed=3)
    asked = perturbed.case(images, targets)
    given = perturbed.trial(known, asked, maps, colour=0.3)
    found = values(f"{name}:steps=6,chunk=4", given)
    blurred = gaussian(images, min(images.shape[2:]) / 16)
    for row in range(5):
        for column in range(3):
            ranks = np.argsort(-maps[row, column].numpy().ravel())
            start, end = images[row].numpy().copy(), np.full(known.input_shape, 0.3, np.float32)
            if name == "insertion":
                start, end = blurred[row].numpy().copy(), images[row].numpy()
            curve, at = [], []
            for step in range(7):
                count = round(step / 6 * len(ranks))
                now = start.reshape(len(start), -1).copy()
                now[:, ranks[:count]] = end.reshape(len(end), -1)[:, ranks[:count]]
                with torch.no_grad():
                    said = known.network(torch.from_numpy(now.reshape(start.shape))[None])
                curve.append(said.double().softmax(1)[0, targets[row, column]].item())
                at.append(count / len(ranks))
            assert found[row, column].item() == pytest.approx(np.trapezoid(curve, at), abs=1e-6)


# ------------------------------------------------------------------------------------------------ order and ties


@pytest.mark.parametrize("name", NAMES)
def test_tied_pixels_are_in_every_order_equally_often(name: str) -> None:
    """Two values over four pixels: the mean over many images' orders is that over all orders there are."""
    image = perturbed.images(1, 1, (2, 2), dtype=torch.float64)
    known = perturbed.model(perturbed.Additive(perturbed.noise(3, 1, 2, 2, dtype=torch.float64) * 3), (1, 2, 2))
    tied = torch.tensor([[[[1.0, 2.0], [2.0, 1.0]]]], dtype=torch.float64)
    many = perturbed.case(image.expand(800, -1, -1, -1))
    found = values(
        f"{name}:steps=4,blur=1" if name == "insertion" else f"{name}:steps=4",
        perturbed.trial(known, many, tied.expand(800, -1, -1, -1)),
    )[:, 0]
    broken = [
        tied + torch.tensor([a, b, -b, -a]).view(1, 1, 2, 2)
        for a, b in ((0.1, 0.1), (0.1, -0.1), (-0.1, 0.1), (-0.1, -0.1))
    ]
    four = perturbed.trial(known, perturbed.case(image.expand(4, -1, -1, -1)), torch.cat(broken))
    every = values(f"{name}:steps=4,blur=1" if name == "insertion" else f"{name}:steps=4", four)
    error = found.std() / len(found) ** 0.5
    assert error > 0
    assert abs(found.mean() - every.mean()) < 3 * error


def test_the_first_places_are_those_of_a_sort_and_ties_are_in_the_images_own_order() -> None:
    maps = torch.cat(
        [perturbed.noise(3, 50), perturbed.noise(3, 50, seed=1).round(), torch.zeros(1, 50), -torch.zeros(1, 50)]
    )
    broken = order.ties(tuple("abcdefgg"), 50)
    assert all(row.unique().numel() == 50 for row in broken)
    assert torch.equal(broken[6], broken[7])
    assert not torch.equal(broken[0].argsort(), broken[1].argsort())
    keys = order.ranked(maps, broken)
    found = order.Order(keys, order._sorted(keys))
    for row in range(8):
        ranks = np.lexsort((broken[row].numpy(), maps[row].numpy()))[::-1]  # by value, then by tie-break, falling
        counts = (0, 1, 17, 49, 50)
        reached = found.steps(counts)[row]
        for step, count in enumerate(counts):
            assert set((reached <= step).nonzero()[:, 0].tolist()) == set(ranks[:count].tolist())
    assert torch.equal(keys[6], keys[7])  # zero has one sign


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_map_is_flat_and_a_random_order(name: str) -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 200))
    metric = registry.load("metrics", name)
    flat = metric.score(perturbed.trial(known, asked, torch.full((200, 1, 16, 16), 0.7)))
    other = metric.score(perturbed.trial(known, asked, torch.full((200, 1, 16, 16), -2.0)))
    random = metric.score(perturbed.trial(known, asked, perturbed.noise(200, 1, 16, 16)))
    assert flat.flat.all()
    assert not random.flat.any()
    assert torch.equal(flat.values, other.values)
    gap = (flat.values - random.values)[:, 0]
    assert abs(gap.mean()) < 3 * gap.std() / len(gap) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_only_the_order_counts(name: str) -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 6))
    maps = perturbed.noise(6, 1, 16, 16)
    before = values(name, perturbed.trial(known, asked, maps))
    for same in (3 * maps + 1, maps.exp()):
        assert torch.equal(values(name, perturbed.trial(known, asked, same)), before)
    assert not torch.allclose(values(name, perturbed.trial(known, asked, -maps)), before)


def test_all_channels_of_a_pixel_change_together() -> None:
    seen: list[Tensor] = []
    known = perturbed.model(perturbed.Told(lambda x: seen.append(x) or x.flatten(1)[:, :3]), (4, 5, 3))
    images = perturbed.images(3, 4, (5, 3))
    values("deletion:steps=5", perturbed.trial(known, perturbed.case(images), perturbed.noise(3, 1, 5, 3), colour=7.0))
    removed = torch.cat(seen) == 7
    assert torch.equal(removed.all(1), removed.any(1))
    assert removed.any()


# ------------------------------------------------------------------------------------------------ bounded memory


@pytest.mark.parametrize("name", NAMES)
def test_no_more_images_pass_at_a_time_however_many_steps_there_are(name: str) -> None:
    largest, passed = {}, {}
    for steps in (5, 80):
        network = perturbed.Counted(networks.cnn().network)
        known = perturbed.model(network, (3, 16, 16))
        asked = perturbed.case(networks.images(networks.cnn(), 9), networks.targets(9) % 3)
        values(f"{name}:steps={steps},chunk=8", perturbed.trial(known, asked, perturbed.noise(9, 3, 16, 16)))
        largest[steps], passed[steps] = max(network.batches), sum(network.batches)
    assert largest == {5: 8, 80: 8}
    assert passed[80] - passed[5] == 75 * 27


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_chunk_changes_nothing(name: str, chunk: int) -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 10), networks.targets(10) % 3)
    maps = perturbed.noise(10, 3, 16, 16)
    whole, part = (values(f"{name}{more}", perturbed.trial(known, asked, maps)) for more in ("", f":chunk={chunk}"))
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_the_second_batch_score_what_they_score_alone(name: str) -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 100), networks.targets(100) % 3)
    maps = perturbed.noise(100, 3, 16, 16)
    whole = values(name, perturbed.trial(known, asked, maps))
    for row in (0, 64, 99):
        alone = asked.select([row])
        torch.testing.assert_close(
            values(name, perturbed.trial(known, alone, maps[row : row + 1])), whole[[row]], rtol=0, atol=1e-6
        )
    assert whole.unique().numel() == 300


def test_ends_are_asked_once_for_both_metrics_and_for_other_methods() -> None:
    network = perturbed.Counted(networks.cnn().network)
    known, store = perturbed.model(network, (3, 16, 16)), {}
    asked = perturbed.case(networks.images(networks.cnn(), 5))
    passed = []
    for seed in range(2):
        given = perturbed.trial(known, asked, perturbed.noise(5, 1, 16, 16, seed=seed), lasting=lambda case: store)
        for name in NAMES:
            network.batches.clear()
            values(f"{name}:steps=3", given)
            passed.append(sum(network.batches))
    assert passed == [10 + 10, 10 + 1, 10, 10]  # clean and blurred, the mean colour; then nothing but what maps change


# ------------------------------------------------------------------------------------------------ probabilities


def test_classes_share_one_softmax_and_other_units_stand_alone() -> None:
    logits = perturbed.noise(4, 5, seed=8)
    known = replace(networks.cnn(), units={"a": 0, "b": 3, "c": 1, "d": 2, "e": 4}, classes=("a", "b"))
    found = asking.probabilities(known, torch.tensor([3, 2, 0]), logits).numpy()
    softmax = logits[:, [0, 3]].double().softmax(1).numpy()
    np.testing.assert_allclose(found[:, 0], softmax[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found[:, 2], softmax[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-logits[:, 2].double().numpy())), rtol=1e-12)
    one = replace(known, classes=("a",))
    np.testing.assert_allclose(
        asking.probabilities(one, torch.tensor([0]), logits)[:, 0], logits[:, 0].double().sigmoid()
    )


def probe() -> tuple[Model, Directions]:
    """A network whose layer is a convolution, and directions of three concepts in it."""
    network = torch.nn.Sequential()
    network.add_module("layer", networks.seeded(lambda: torch.nn.Conv2d(3, 4, 3)))
    known = Model(
        "known", "none", network, {}, {"layer": Layer("layer", network.layer, lambda z: z)}, "layer", (3, 9, 7)
    )
    vectors = torch.nn.functional.normalize(perturbed.noise(3, 4), dim=1)
    return known, Directions(vectors, perturbed.noise(3, seed=1), "layer")


def test_a_probe_is_sure_by_its_logit_in_deviations_from_the_threshold() -> None:
    known, directions = probe()
    images, targets = perturbed.images(8, 3, (9, 7)), torch.arange(3).expand(8, -1)
    maps = perturbed.noise(8, 3, 9, 7)
    scale = asking.Scale(
        torch.tensor([0.1, -0.2, 0.0]), torch.tensor([0.5, 0.3, 1.0]), torch.tensor([True, True, False])
    )
    given = perturbed.trial(known, perturbed.case(images, targets), maps, directions=directions, calibration=scale)
    said = registry.load("metrics", "deletion:steps=2").score(given)
    assert said.defined.tolist() == [[True, True, False]] * 8  # the third concept has no threshold

    def probability(pixels: Tensor, concept: int) -> float:
        with torch.no_grad():
            pooled = known.network(pixels[None]).double().mean((2, 3))[0]
        logit = pooled @ directions.vectors[concept].double() + directions.bias[concept].double()
        return torch.sigmoid((logit - scale.thresholds[concept]) / scale.deviations[concept]).item()

    for row in range(8):
        for concept in range(2):
            half = images[row].clone().flatten(1)
            half[:, maps[row, concept].flatten().argsort(descending=True)[:32]] = 0.5  # of 63 pixels
            curve = [probability(p, concept) for p in (images[row], half.view(3, 9, 7), torch.full((3, 9, 7), 0.5))]
            expected = 32 / 63 * (curve[0] + curve[1]) / 2 + 31 / 63 * (curve[1] + curve[2]) / 2
            assert said.values[row, concept].item() == pytest.approx(expected, abs=1e-6)


def test_a_probe_without_calibration_has_no_value() -> None:
    known, directions = probe()
    asked = perturbed.case(perturbed.images(2, 3, (9, 7)))
    given = perturbed.trial(known, asked, perturbed.noise(2, 1, 9, 7), directions=directions)
    for name in ("insertion", "deletion", "road"):
        assert registry.load("metrics", name).score(given) is None


def test_thresholds_and_deviations_are_those_of_the_calibration_part() -> None:
    metric, examples = registry.load("metrics", "deletion"), trials.case(60, part="calibrate")
    scale = trials.learn(metric, [trials.trial(examples, trials.seen)])
    scores = trials.seen(examples.images, examples).scores
    for concept in range(3):
        mine = scores[examples.targets == concept].double()
        assert scale.deviations[concept].item() == pytest.approx(mine.numpy().std(), rel=1e-12)
        present = examples.truth.present[examples.targets == concept]
        right = ((mine > scale.thresholds[concept]) == present).double()
        balanced = (right[present].mean() + right[~present].mean()) / 2
        others = [((mine > cut) == present).double() for cut in mine]
        assert all(balanced >= (o[present].mean() + o[~present].mean()) / 2 - 1e-12 for o in others)


# ------------------------------------------------------------------------------------------------ inputs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 6, 11), (2, 40), (8,)], ids=str)
def test_pictures_series_and_tables_of_more_images_than_a_batch(name: str, shape: tuple[int, ...]) -> None:
    """The best order beats its contrary; a table's columns are its places."""
    images = perturbed.images(70, shape[0], shape[1:])
    weights = perturbed.noise(3, *shape)
    known = perturbed.model(perturbed.Additive(weights), shape)
    shares = weights[0] * (images - 0.5)
    maps = shares.unsqueeze(1) if len(shape) == 1 else shares.sum(1, keepdim=True)
    asked = perturbed.case(images)
    good, bad = (registry.load("metrics", name).score(perturbed.trial(known, asked, sign * maps)) for sign in (1, -1))
    assert good.values.shape == (70, 1)
    difference = (good.values - bad.values) * {"insertion": 1, "deletion": -1}[name]
    assert difference.mean() > 0
    assert (difference > 0).double().mean() > 0.9


@pytest.mark.parametrize("name", [*NAMES, "infidelity"])
def test_a_map_of_one_place_is_skipped(name: str) -> None:
    known = perturbed.model(perturbed.Additive(perturbed.noise(3, 2, 1, 1)), (2, 1, 1))
    given = perturbed.trial(known, perturbed.case(torch.rand(4, 2, 1, 1)), torch.zeros(4, 1, 1, 1))
    with pytest.raises(Skipped, match=r"\[2, 1, 1\] have one place"):
        registry.load("metrics", name).score(given)


def test_a_tables_columns_take_and_begin_with_the_mean_of_their_own() -> None:
    seen: list[Tensor] = []
    known = perturbed.model(perturbed.Told(lambda x: seen.append(x) or x[:, :3]), (4,))
    given = perturbed.trial(known, perturbed.case(torch.rand(3, 4)), perturbed.noise(3, 1, 4))
    means = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    given = replace(given, concepts=replace(given.concepts, images=means))
    for name in NAMES:
        seen.clear()
        values(f"{name}:steps=4", replace(given, shared={}))
        rows = torch.cat(seen)
        assert rows.shape[1:] == (4,)
        assert (rows == means).all(1).any()
        assert ((rows == means) | (rows[:, None] == given.case.images).any(1)).all()


@pytest.mark.parametrize("name", [*NAMES, "road", "infidelity", "infidelity:scaled=false"])
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_network_that_answers_a_changed_image_with_no_number_is_refused(name: str, broken: float) -> None:
    clean = perturbed.images(3, 3, (8, 8))
    said = lambda x: torch.where((x == clean[0]).flatten(1).all(1)[:, None], x.flatten(1)[:, :3], broken)  # noqa: E731
    given = perturbed.trial(
        perturbed.model(perturbed.Told(said), (3, 8, 8), "abc"), perturbed.case(clean), perturbed.noise(3, 1, 8, 8)
    )
    with pytest.raises(InputError, match="'known' answers a changed image with NaN or infinity"):
        registry.load("metrics", name).score(given)


def test_concepts_that_an_image_does_not_show_are_left_out() -> None:
    asked = trials.case(30)
    for name in NAMES:
        said = registry.load("metrics", name).score(trials.trial(asked, trials.seen))
        assert torch.equal(said.defined, asked.truth.present)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("deletion:steps=1", "at least 2 steps, not 1"),
        ("deletion:chunk=0", "chunk of at least 1, not 0"),
        ("deletion:fractions=0.2+0.1", "must rise from above 0 to below 1, not 0.2, 0.1"),
        ("insertion:fractions=0.5+1", "must rise"),
        ("insertion:blur=0", "a blur above 0, not 0"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_a_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.load("metrics", spec)
