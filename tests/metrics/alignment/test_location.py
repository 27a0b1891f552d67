"""Scores of where: equal to scikit-learn, scipy, loops or hand values, and blind to what they should be blind to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score
from torch import Tensor

import trials
from ambench import registry
from ambench.core import InputError, Values, generator

LOCATION = ("pixel_auroc", "average_precision", "iou:share=0.2", "energy_inside", "pointing_game", "distractor_mass")


def score(name: str, maps: Tensor, mask: Tensor, **truth: Tensor) -> Values:
    """The values of maps [B, T, *extent] against masks; distractors lie outside the masks unless told."""
    truth = {"distractors": ~mask[:, 0]} | truth
    values = registry.load("metrics", name).score(trials.one(maps, mask, **truth))
    assert values is not None
    return values


def drawn(seed: int, ties: bool = True) -> tuple[Tensor, Tensor]:
    """A map [1, 1, 9, 7] and a mask of it."""
    draw = generator("location", seed)
    maps = torch.randn(1, 1, 9, 7, generator=draw, dtype=torch.float64)
    mask = torch.rand(1, 1, 9, 7, generator=draw) < torch.rand((), generator=draw)
    mask[0, 0, 0, :2] = torch.tensor([True, False])
    return (maps * 2).round() if ties else maps, mask


def rows(maps: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return mask.flatten().numpy(), maps.flatten().numpy()


def hundred(ties: bool) -> tuple[Tensor, Tensor]:
    """A hundred of them [100, 1, 9, 7]."""
    parts = [drawn(seed, ties) for seed in range(100)]
    return torch.cat([maps for maps, _ in parts]), torch.cat([mask for _, mask in parts])


def one_by_one(reference: Callable[[np.ndarray, np.ndarray], float], maps: Tensor, mask: Tensor) -> Tensor:
    """What a reference says of each map against its mask [B, 1]."""
    found = [reference(*rows(m, inside)) for m, inside in zip(maps, mask, strict=True)]
    return torch.tensor(found, dtype=torch.float64)[:, None]


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_pixel_auroc_is_sklearns_roc_auc(ties: bool) -> None:
    maps, mask = hundred(ties)
    assert_same(score("pixel_auroc", maps, mask).values, one_by_one(roc_auc_score, maps, mask))


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_sklearns(ties: bool) -> None:
    maps, mask = hundred(ties)
    assert_same(score("average_precision", maps, mask).values, one_by_one(average_precision_score, maps, mask))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.5])
def test_iou_is_sklearns_jaccard_of_the_cut_map(share: float) -> None:
    maps, mask = hundred(ties=False)

    def cut(inside: np.ndarray, values: np.ndarray) -> float:
        kept = np.argsort(-values)[: max(1, round(share * values.size))]
        return float(jaccard_score(inside, np.isin(np.arange(values.size), kept)))

    assert_same(score(f"iou:share={share}", maps, mask).values, one_by_one(cut, maps, mask))


@pytest.mark.parametrize("seed", range(20))
def test_iou_with_ties_is_that_of_a_plain_loop(seed: int) -> None:
    maps, mask = drawn(seed)
    inside, values = rows(maps, mask)
    kept, cut = round(0.2 * values.size), np.sort(values)[::-1][round(0.2 * values.size) - 1]
    above = inside_above = tied = inside_tied = 0
    for value, counts in zip(values, inside, strict=True):
        above, inside_above = above + (value > cut), inside_above + (value > cut and counts)
        tied, inside_tied = tied + (value == cut), inside_tied + (value == cut and counts)
    both = inside_above + (kept - above) * inside_tied / tied
    expected = both / (kept + inside.sum() - both)
    assert score("iou:share=0.2", maps, mask).values.item() == expected


def test_energy_inside_is_the_ratio_of_clipped_sums() -> None:
    maps, mask = hundred(ties=False)

    def ratio(inside: np.ndarray, values: np.ndarray) -> float:
        return float(np.maximum(values, 0)[inside].sum() / np.maximum(values, 0).sum())

    assert_same(score("energy_inside", maps, mask).values, one_by_one(ratio, maps, mask))


def test_energy_inside_equals_hand_values() -> None:
    maps = torch.tensor([[3.0, -9, 0, 1], [2, -1, 0, 0], [0, 0, 2, 0], [0, 0, 0, -5]]).view(1, 1, 4, 4)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, :2, :2] = True
    assert score("energy_inside", maps, mask).values.item() == 5 / 8
    assert score("distractor_mass", maps, mask).values.item() == 3 / 8


@pytest.mark.parametrize("seed", range(20))
def test_distractor_mass_is_energy_inside_of_the_distractors(seed: int) -> None:
    maps, mask = drawn(seed)
    other = drawn(seed + 1000)[1] & ~mask
    expected = score("energy_inside", maps, other).values
    assert torch.equal(score("distractor_mass", maps, mask, distractors=other[:, 0]).values, expected)


def test_a_pixel_of_the_concept_is_never_a_distractor() -> None:
    maps, mask = drawn(0)
    everywhere = torch.ones_like(mask[:, 0])
    expected = score("distractor_mass", maps, mask, distractors=~mask[:, 0]).values
    assert torch.equal(score("distractor_mass", maps, mask, distractors=everywhere).values, expected)


def test_distractors_are_enough_for_their_mass() -> None:
    maps, other = drawn(0)
    values = registry.load("metrics", "distractor_mass").score(trials.one(maps, None, distractors=other[:, 0]))
    assert torch.equal(values.values, score("energy_inside", maps, other).values)


@pytest.mark.parametrize("place", range(16))
def test_pointing_game_of_one_hot_pixel(place: int) -> None:
    maps = torch.zeros(16).index_fill(0, torch.tensor(place), 1.0).view(1, 1, 4, 4)
    mask = (torch.arange(16) < 6).view(1, 1, 4, 4)
    assert score("pointing_game", maps, mask).values.item() == float(place < 6)


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 3.0])
def test_tolerance_counts_what_is_near_enough(tolerance: float) -> None:
    maps, mask = drawn(3)
    inside, values = rows(maps, mask & (torch.rand(1, 1, 9, 7, generator=generator("few")) < 0.1))
    places = np.argwhere(np.ones((9, 7)))
    near = (cdist(places, places[inside]) <= tolerance).any(1)
    hottest = values == values.max()
    expected = (hottest & near).sum() / hottest.sum()
    found = score(f"pointing_game:tolerance_pixels={tolerance}", maps, torch.from_numpy(inside).view(1, 1, 9, 7))
    assert found.values.item() == expected


@pytest.mark.parametrize("name", LOCATION)
def test_a_flat_map_scores_what_the_area_says_and_is_counted(name: str) -> None:
    mask = (torch.arange(40) < 10).view(1, 1, 8, 5)
    values = score(name, torch.full((1, 1, 8, 5), 2.5), mask)
    expected = {
        "pixel_auroc": 0.5,
        "average_precision": 0.25,
        "iou:share=0.2": 2 / (8 + 10 - 2),
        "energy_inside": 0.25,
        "pointing_game": 0.25,
        "distractor_mass": 0.75,
    }
    assert values.values.item() == expected[name]
    assert values.flat.all()


@pytest.mark.parametrize("name", ["energy_inside", "distractor_mass"])
def test_a_map_without_positive_values_counts_as_flat(name: str) -> None:
    maps, mask = drawn(0, ties=False)
    values = score(name, -maps.abs(), mask)
    area = (mask if name == "energy_inside" else ~mask).double().mean().item()
    assert values.values.item() == pytest.approx(area, abs=1e-15)
    assert values.flat.all()


@pytest.mark.parametrize("name", LOCATION)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_empty_and_full_masks_are_undefined(name: str, share: float) -> None:
    maps, _ = drawn(0)
    mask = torch.full(maps.shape, bool(share))
    values = score(name, maps, mask, distractors=mask[:, 0])
    assert not values.defined.any()
    assert not values.flat.any()


@pytest.mark.parametrize("name", LOCATION)
def test_images_without_the_concept_are_undefined(name: str) -> None:
    maps, mask = drawn(0)
    assert not score(name, maps, mask, present=torch.tensor([[False]])).defined.any()


@pytest.mark.parametrize("name", LOCATION)
def test_extents_of_one_and_three_dimensions_are_pixels_in_a_row(name: str) -> None:
    maps, mask = drawn(5)
    flat = score(name, maps, mask).values
    for extent in ((63,), (3, 7, 3)):
        shaped = (tensor.reshape(1, 1, *extent) for tensor in (maps, mask))
        assert torch.equal(score(name, *shaped).values, flat)


@pytest.mark.parametrize("name", LOCATION)
def test_maps_and_masks_of_different_extents_are_refused(name: str) -> None:
    maps, mask = drawn(0)
    with pytest.raises(InputError, match="equal shapes are wanted"):
        score(name, maps[..., :5], mask)


# ------------------------------------------------------------------------------------------------ invariances

CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "twice": lambda maps: 2 * maps,
    "plus one": lambda maps: maps + 1,
    "negative": lambda maps: -maps,
    "exponential": torch.exp,
}
BLIND = {  # to which of these changes of the values
    "pixel_auroc": {"twice", "plus one", "exponential"},
    "average_precision": {"twice", "plus one", "exponential"},
    "iou:share=0.2": {"twice", "plus one", "exponential"},
    "pointing_game": {"twice", "plus one", "exponential"},
    "energy_inside": {"twice"},
    "distractor_mass": {"twice"},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", LOCATION)
def test_declared_invariances_hold_and_others_do_not(name: str, change: str) -> None:
    maps, mask = drawn(11)
    maps[0, 0, 0, 0] = 9  # the maximum is inside, and so can move out
    before, after = score(name, maps, mask).values, score(name, CHANGES[change](maps), mask).values
    assert torch.allclose(before, after, rtol=0, atol=1e-12) == (change in BLIND[name])


def test_turning_the_sign_turns_auroc_round() -> None:
    maps, mask = hundred(ties=True)
    assert_same(score("pixel_auroc", -maps, mask).values, 1 - score("pixel_auroc", maps, mask).values)


@pytest.mark.parametrize("name", LOCATION)
def test_moving_the_pixels_of_map_and_mask_together_changes_nothing(name: str) -> None:
    maps, mask = drawn(2)
    before = score(name, maps, mask).values
    order = torch.randperm(63, generator=generator("order"))
    moved = (tensor.flatten(2)[..., order].view_as(tensor) for tensor in (maps, mask))
    assert_same(score(name, *moved).values, before)
    assert_same(score(name, maps.flip(-1), mask.flip(-1)).values, before)


@pytest.mark.parametrize("name", ["pixel_auroc", "iou:share=0.2", "pointing_game"])  # precision is defined by levels
def test_ties_are_what_random_choices_give_on_average(name: str) -> None:
    maps, mask = drawn(4)
    jitter = 0.1 * torch.rand(200, 1, 9, 7, generator=generator("jitter"), dtype=torch.float64)
    broken = score(name, maps + jitter, mask.expand(200, -1, -1, -1)).values
    error = broken.std() / 200**0.5
    assert (broken.mean() - score(name, maps, mask).values).abs() <= 3 * error + 1e-12


# ------------------------------------------------------------------------------------------------ levels of iou


def test_the_share_is_the_best_on_the_calibration_part() -> None:
    draw = generator("share")
    mask = trials.boxes(30, 1, (10, 10), draw)
    maps = mask.double() + 0.8 * torch.randn(30, 1, 10, 10, generator=draw, dtype=torch.float64)
    metric = registry.load("metrics", "iou")
    learned = trials.learn(metric, [trials.one(maps, mask)])
    shares = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
    means = [trials.means(score(f"iou:share={share}", maps, mask)) for share in shares]
    tested = trials.one(maps.flip(0), mask)
    expected = score(f"iou:share={shares[int(np.argmax(means))]}", maps.flip(0), mask).values
    assert torch.equal(trials.measure(metric, [tested], learned).values, expected)
    assert learned.values.item() == shares[int(np.argmax(means))]


def test_a_perfect_map_cut_at_the_masks_own_share_scores_one() -> None:
    mask = (torch.arange(100) < 20).view(1, 1, 10, 10)
    metric = registry.load("metrics", "iou")
    given = trials.one(mask.float(), mask)
    assert trials.measure(metric, [given], trials.learn(metric, [given])).values.item() == 1
    assert score("iou:share=0.2", mask.float().flip(-2), mask).values.item() == 0


def test_without_masks_to_calibrate_on_there_is_no_iou() -> None:
    maps, mask = drawn(0)
    metric = registry.load("metrics", "iou")
    assert trials.learn(metric, [trials.one(maps, None)]) is None
    assert metric.score(trials.one(maps, mask)) is None


def test_a_concept_without_calibration_masks_is_undefined() -> None:
    maps, mask = (torch.cat([tensor, tensor], 1) for tensor in drawn(0))
    metric = registry.load("metrics", "iou")
    learned = trials.learn(metric, [trials.one(maps, mask, present=torch.tensor([[True, False]]))])
    assert trials.measure(metric, [trials.one(maps, mask)], learned).defined.tolist() == [[True, False]]
