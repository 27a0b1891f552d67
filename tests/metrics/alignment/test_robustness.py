"""Robustness: decisions, scores and maps under seeded changes of the image."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

import trials
from ambench import augmentations, registry
from ambench.by_concept import ByConcept
from ambench.core import Case, Concepts, Heatmaps, InputError, Randomness, Scores, Trial, Truth, Values, generator

HALF = ByConcept.of(torch.arange(3)[:, None], lambda _: 0.5)
NAMES = ("decision_retention", "score_drift", "map_equivariance")


def measured(name: str, given: Trial[Any]) -> Values:
    values = trials.measure(registry.load("metrics", name), [given], HALF)
    assert values is not None
    return values


def answered(before: Tensor, after: Tensor, **more: Any) -> Trial[Any]:
    """A trial of scores [B, T] before and after any change."""
    asked = trials.case(len(before), columns=before.shape[1])
    first = Scores(before)
    return replace(trials.trial(asked, lambda images, case: Scores(after), **more), explanation=first)


def mapped(before: Tensor, after: Tensor, **truth: Tensor) -> Trial[Any]:
    """A trial of maps [B, T, *extent] before and after any change."""
    given = trials.one(before, **truth)
    return replace(given, localise=lambda images, case: Heatmaps(torch.zeros(after.shape[:2]), after))


# ------------------------------------------------------------------------------------------------ decisions


def test_retention_is_the_share_of_changes_after_which_the_answer_is_right() -> None:
    asked = replace(trials.case(4, columns=1), truth=Truth(torch.tensor([[True], [True], [False], [False]])))
    answers = iter([[0.9, 0.1, 0.2, 0.3], [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.5, 0.0]])
    given = trials.trial(asked, lambda images, case: Scores(torch.tensor([next(answers)]).T))
    values = measured("decision_retention:augmentations=hflip+noise+blur", given)
    assert values.defined[:, 0].tolist() == [True, False, True, True]  # the second was wrong before
    assert values.values[:, 0].tolist() == pytest.approx([2 / 3, 0, 0.5, 2 / 3])


def test_an_answer_that_stays_keeps_every_decision_and_does_not_drift() -> None:
    scores = torch.randn(30, 2, generator=generator("stay"))
    assert trials.means(measured("decision_retention", answered(scores, scores))) == 1
    assert trials.means(measured("score_drift", answered(scores, scores))) == 0


def test_a_score_on_the_threshold_is_a_coin() -> None:
    scores = torch.full((30, 2), 0.5)
    values = measured("decision_retention", answered(scores, scores))
    assert trials.means(values) == 0.5
    assert values.flat.all()


def test_scores_drawn_anew_at_each_call_keep_half_of_the_decisions() -> None:
    draw = generator("anew")
    asked = trials.case(500, columns=2)
    given = trials.trial(asked, lambda images, case: Scores(0.5 + torch.randn(500, 2, generator=draw)))
    values = measured("decision_retention:augmentations=hflip+noise+blur+brightness", given)
    kept = values.values[values.defined]
    assert abs(kept.mean() - 0.5) < 3 * kept.std() / len(kept) ** 0.5


def test_without_calibration_nothing_is_decided() -> None:
    scores = torch.randn(5, 1, generator=generator("none"))
    assert trials.measure(registry.load("metrics", "decision_retention"), [answered(scores, scores)]) is None


# ------------------------------------------------------------------------------------------------ drift


def test_drift_is_in_units_of_each_concepts_own_deviation() -> None:
    draw = generator("drift")
    before, after = torch.randn(2, 40, 2, generator=draw, dtype=torch.float64)
    given = answered(before, after)
    values = measured("score_drift", given)
    for concept in range(3):
        here = given.case.targets == concept
        expected = np.abs((after - before)[here].numpy()) / before[here].numpy().std()
        assert values.values[here].numpy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("scale", "shift"), [(100.0, 0.0), (1.0, 30.0), (-0.01, 2.0)])
def test_scale_and_shift_of_the_scores_change_no_drift(scale: float, shift: float) -> None:
    before, after = torch.randn(2, 40, 2, generator=generator("drift"), dtype=torch.float64)
    one = measured("score_drift", answered(before, after)).values
    other = measured("score_drift", answered(scale * before + shift, scale * after + shift)).values
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_an_independent_copy_drifts_by_two_over_root_pi() -> None:
    before, after = torch.randn(2, 4000, 1, generator=generator("copy"), dtype=torch.float64)
    values = measured("score_drift:augmentations=noise,limit=none", answered(before, after)).values
    error = math.sqrt(2 - 4 / math.pi) / 4000**0.5  # |difference| has mean 2 / sqrt(pi) and second moment 2
    assert abs(values.mean() - 2 / math.sqrt(math.pi)) < 3 * error


@pytest.mark.parametrize("level", [0.1, 1e6])
def test_a_score_that_is_the_same_for_all_images_has_no_drift(level: float) -> None:
    same = torch.full((20, 1), level)
    values = measured("score_drift", answered(same, same + torch.randn(20, 1, generator=generator("x"))))
    assert not values.defined.any()


# ------------------------------------------------------------------------------------------------ maps


def test_photometric_equivariance_is_scipys_pearson_correlation() -> None:
    one, two = torch.randn(2, 100, 1, 6, 5, generator=generator("maps"), dtype=torch.float64)
    values = measured("map_equivariance:augmentations=brightness,limit=none", mapped(one, two)).values[:, 0]
    for row in range(100):
        expected = pearsonr(one[row].flatten(), two[row].flatten()).statistic
        assert values[row].item() == pytest.approx(expected, abs=1e-9)


def test_spearman_is_scipys_with_ties() -> None:
    one, two = (2 * torch.randn(2, 20, 1, 6, 5, generator=generator("ties"), dtype=torch.float64)).round()
    values = measured("map_equivariance:augmentations=noise,correlation=spearman", mapped(one, two)).values[:, 0]
    for row in range(20):
        expected = spearmanr(one[row].flatten(), two[row].flatten()).statistic
        assert values[row].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
def test_after_a_shift_only_pixels_that_stayed_in_the_frame_are_correlated(correlation: str) -> None:
    one, two = torch.randn(2, 1, 1, 16, 12, generator=generator("shift"), dtype=torch.float64)
    given = mapped(one, two)
    places = torch.arange(192.0, dtype=torch.float64).view(1, 1, 16, 12) + 1
    moved = augmentations.find("translate").move(places, 1, Randomness(("augmentation", "translate"), given.case.ids))
    came = moved[0, 0] > 0
    assert 0 < came.sum() < 192
    expected = {"pearson": pearsonr, "spearman": spearmanr}[correlation](
        one.flatten()[moved[0, 0][came].long() - 1], two[0, 0][came]
    ).statistic
    value = measured(f"map_equivariance:augmentations=translate,correlation={correlation}", given).values.item()
    assert value == pytest.approx(expected, abs=1e-9)


class Symmetric(nn.Module):
    """A convolution and its mirror image: what it says of a mirrored picture is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(4, 3, 3, 3, generator=generator("mirror"))

    def forward(self, images: Tensor) -> Tensor:
        found = sum(nn.functional.conv2d(images, weight, padding=1) for weight in (self.weight, self.weight.flip(-1)))
        return found.relu().mean((2, 3))


def test_saliency_of_a_mirror_blind_network_is_mirrored_with_the_picture() -> None:
    network = Symmetric()

    def saliency(images: Tensor, case: Case) -> Heatmaps:
        pixels = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network(pixels)[:, 0].sum(), pixels)
        return Heatmaps(torch.zeros(len(images), 1), slope.abs().amax(1, keepdim=True))

    given = trials.trial(trials.case(6, (16, 12), columns=1), saliency)
    values = measured("map_equivariance:augmentations=hflip", given)
    assert values.values[values.defined].min() > 1 - 1e-5


def test_a_centred_map_is_steady_under_light_and_does_not_follow_a_movement() -> None:
    rows, columns = torch.linspace(-2, 2, 32)[:, None], torch.linspace(-2, 2, 32)[None]
    centre = torch.exp(-(rows**2) - columns**2).expand(8, 1, -1, -1)
    light = measured("map_equivariance:augmentations=brightness+noise", mapped(centre, centre))
    movement = measured("map_equivariance:augmentations=translate,levels=2", mapped(centre, centre))
    assert light.values.min() == pytest.approx(1)
    assert movement.values.max() < 0.7


def test_maps_of_images_without_the_concept_need_not_move() -> None:
    maps = torch.randn(2, 1, 8, 8, generator=generator("absent"))
    values = measured("map_equivariance", mapped(maps, maps, present=torch.tensor([[True], [False]])))
    assert values.defined.tolist() == [[True], [False]]


@pytest.mark.parametrize("side", [0, 1])
def test_a_constant_map_on_either_side_correlates_with_nothing(side: int) -> None:
    maps = [torch.randn(3, 1, 8, 8, generator=generator("constant"))] * 2
    maps[side] = torch.full((3, 1, 8, 8), 0.3)
    values = measured("map_equivariance", mapped(*maps))
    assert values.values.tolist() == [[0.0]] * 3
    assert values.flat.all() == (side == 0)


def test_maps_of_tiny_numbers_correlate_all_the_same() -> None:
    maps = 1e-200 * torch.randn(2, 1, 8, 8, generator=generator("tiny"), dtype=torch.float64)
    values = measured("map_equivariance:augmentations=brightness", mapped(maps, 1e-90 * maps))
    assert values.values.flatten().tolist() == pytest.approx([1.0, 1.0])


# ------------------------------------------------------------------------------------------------ which pairs count


def test_a_concept_is_only_asked_under_what_it_survives() -> None:
    asked = trials.case(6, columns=3)
    keeps = {"ring": ("hflip",), "glyph": ("noise", "hflip")}  # nothing is said of the third
    concepts = Concepts(trials.NAMES, asked.images[:0], torch.empty(0, 3).bool(), keeps=keeps)
    shown = Truth(torch.ones(6, 3, dtype=torch.bool))
    given = trials.trial(replace(asked, truth=shown), trials.seen, concepts=concepts)
    found = measured("map_equivariance:augmentations=noise", given)
    assert torch.equal(found.defined, asked.targets != 0)
    assert measured("map_equivariance:augmentations=hflip", given).defined.all()


@pytest.mark.parametrize("name", NAMES)
def test_a_concept_pushed_out_of_the_frame_is_left_out_and_counted(name: str) -> None:
    asked = trials.case(40, (16, 16), columns=1)
    corner, middle = (torch.zeros(40, 1, 16, 16, dtype=torch.bool) for _ in range(2))
    corner[..., :2, :2], middle[..., 6:10, 6:10] = True, True
    present = torch.ones(40, 1, dtype=torch.bool)

    def says_yes(images: Tensor, case: Case) -> Heatmaps:
        return Heatmaps(0.6 + trials.seen(images, case).scores.abs(), trials.seen(images, case).values)

    for mask, some in ((corner, False), (middle, True)):
        given = trials.trial(replace(asked, truth=Truth(present, mask)), says_yes)
        values = measured(f"{name}:augmentations=translate,levels=2,limit=none", given)
        randomness = Randomness(("augmentation", "translate"), asked.ids)
        left = augmentations.find("translate").move(mask.float(), 2, randomness).flatten(2).sum(2)
        assert torch.equal(values.defined, left >= mask.flatten(2).sum(2) / 2)
        assert bool(values.defined.all()) == some
        assert values.defined.any()


def test_one_change_serves_all_metrics_and_levels_without_strength_once() -> None:
    calls = Counter[str]()
    asked = trials.case(8)

    def answer(images: Tensor, case: Case) -> Heatmaps:
        calls["all"] += 1
        return trials.seen(images, case)

    given = trials.trial(asked, answer)
    calls.clear()
    for name in NAMES:
        measured(f"{name}:augmentations=hflip+noise,levels=0+1+2", given)
    assert calls["all"] == 4  # one mirror, three levels of noise


def test_changes_belong_to_the_image_and_not_to_the_method() -> None:
    shown: list[Tensor] = []
    asked = trials.case(8)

    def answer(images: Tensor, case: Case) -> Heatmaps:
        shown.append(images)
        return trials.seen(images, case)

    for key in (("gradcam", "cnn", 0), ("saliency", "vit", 1)):
        measured(
            "score_drift:augmentations=noise+translate",
            trials.trial(asked, answer, randomness=Randomness(key, asked.ids)),
        )
    one, two = shown[1:3], shown[4:6]
    assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))
    assert not torch.equal(one[0], asked.images)


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("augmentations=hflop", "there is no augmentation 'hflop'; did you mean 'hflip'"),
        ("levels=3", "levels of it: 0"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_settings_that_mean_nothing_are_refused(name: str, settings: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.load("metrics", f"{name}:{settings}")


def test_changes_that_mean_nothing_for_the_input_are_left_out_and_refused_when_none_is_left() -> None:
    series = trials.trial(trials.case(6, (40,), columns=1), trials.seen)
    assert torch.equal(
        measured("map_equivariance:augmentations=hflip+noise", series).defined, series.case.truth.present
    )
    with pytest.raises(InputError, match=r"hflip cannot change inputs \[3, 40\]; translate, scale"):
        measured("map_equivariance:augmentations=hflip", series)


def test_an_answer_to_a_changed_image_that_is_not_finite_is_refused_by_name() -> None:
    before = torch.randn(3, 1, generator=generator("broken"))
    after = before.clone()
    after[2] = torch.inf
    with pytest.raises(InputError, match="score after hflip of image 'test-2' for concept 'stripe'"):
        measured("score_drift", answered(before, after))
