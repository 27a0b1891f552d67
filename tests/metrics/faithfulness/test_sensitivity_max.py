"""Sensitivity: none of a constant, the ball's radius of the image itself, captum's at the same draws, zero maps counted."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from captum.metrics import sensitivity_max as captums
from torch import Tensor

import networks
import perturbed
from ambench import registry
from ambench.core import Case, Concepts, Directions, Heatmaps, InputError, Ledger, Randomness, Scores, Trial, Values

nearby = importlib.import_module("ambench.metrics.faithfulness.sensitivity_max").nearby
KNOWN = networks.cnn()


def itself(images: Tensor, case: Case) -> Heatmaps:
    """The mean over the channels, as the map of every concept."""
    maps = images.mean(1, keepdim=True).expand(-1, case.targets.shape[1], *images.shape[2:])
    return Heatmaps(maps.flatten(2).amax(2), maps)


def saliency(images: Tensor, case: Case) -> Heatmaps:
    method = registry.load("methods", "saliency")
    return method.attribute(KNOWN, images, case.targets, None, Randomness((0,), case.ids))


def measured(spec: str, given: Trial[Any]) -> Values:
    """The final values, with the harness's notes."""
    metric = registry.load("metrics", f"sensitivity_max:{spec}" if spec else "sensitivity_max")
    said, case = metric.score(given), given.case
    return metric.finish(said, Ledger(case.ids, case.targets, given.explanation.scores, case.truth, said.notes))


def test_a_constant_explainer_has_none() -> None:
    maps = perturbed.noise(9, 1, 8, 8)
    values = measured("", perturbed.trial(KNOWN, perturbed.case(perturbed.images(9, 3, (8, 8))), maps))
    assert not values.values.any()
    assert values.defined.all()


@pytest.mark.parametrize("shape", [(1, 24, 24), (1, 24, 16), (1, 400), (1, 6, 7, 8)], ids=str)
def test_an_image_that_is_its_own_map_moves_by_the_ball(shape: tuple[int, ...]) -> None:
    """At most r sqrt(d) / |x|, near r sqrt(d / 3) / |x|; 70 images."""
    images = perturbed.images(70, shape[0], shape[1:])
    values = measured("draws=10", perturbed.trial(KNOWN, perturbed.case(images), itself)).values[:, 0]
    count, length = images[0].numel(), images.flatten(1).double().norm(dim=1)
    most, usual = 0.02 * count**0.5 / length, 0.02 * (count / 3) ** 0.5 / length
    assert (values < most).all()
    assert ((values / usual - 1).abs() < 0.15).all()
    assert (values > usual).double().mean() > 0.9  # the largest of ten


@pytest.mark.parametrize("explain", [itself, saliency])
def test_the_value_is_captums_at_the_same_draws(explain: Any) -> None:
    images, targets = networks.images(KNOWN, 3), networks.targets(3, 2) % 3
    asked = perturbed.case(images, targets)
    found = measured("draws=6", perturbed.trial(KNOWN, asked, explain)).values
    for row in range(3):
        draw = torch.cat([nearby(images[[row]], asked.ids[row : row + 1], 0.02, number) for number in range(6)])
        for column in range(2):
            alone = Case(images[[row]], targets[[row]][:, [column]], asked.truth, asked.ids[row : row + 1])

            def explained(inputs: tuple[Tensor], alone: Case = alone) -> tuple[Tensor]:
                one = Case(inputs[0], alone.targets.expand(len(inputs[0]), -1), alone.truth, alone.ids * len(inputs[0]))
                return (explain(inputs[0], one).values,)

            theirs = captums(explained, images[[row]], lambda inputs, radius, draw=draw: (draw,), n_perturb_samples=6)
            assert found[row, column].item() == pytest.approx(theirs.item(), rel=1e-5)


def test_the_ball_is_a_share_of_the_inputs_range_and_tables_have_one() -> None:
    row = lambda images, case: Heatmaps(images.amax(1, keepdim=True), images.unsqueeze(1))  # noqa: E731
    given = perturbed.trial(KNOWN, perturbed.case(torch.rand(9, 5)), row)
    wide = replace(given, concepts=replace(given.concepts, bounds=(-3.0, 7.0)))
    torch.testing.assert_close(measured("", wide).values, 10 * measured("", given).values, rtol=1e-4, atol=0)


def test_draws_are_within_the_ball_and_belong_to_image_and_number() -> None:
    images, ids = perturbed.images(5, 3, (8, 8)), tuple("abcde")
    moved = nearby(images, ids, 0.02, 3) - images
    assert moved.abs().max() <= 0.02 + 1e-6
    assert moved.abs().mean() == pytest.approx(0.01, rel=0.05)
    assert torch.equal(nearby(images[[2, 0]], ("c", "a"), 0.02, 3), nearby(images, ids, 0.02, 3)[[2, 0]])
    assert not torch.equal(nearby(images, ids, 0.02, 4), nearby(images, ids, 0.02, 3))


def test_batch_and_neighbours_change_nothing_and_more_draws_only_raise() -> None:
    asked = perturbed.case(networks.images(KNOWN, 70), networks.targets(70) % 3)
    whole = measured("draws=4", perturbed.trial(KNOWN, asked, saliency)).values
    for row in (0, 69):
        alone = measured("draws=4", perturbed.trial(KNOWN, asked.select([row]), saliency)).values
        torch.testing.assert_close(alone, whole[[row]], rtol=0, atol=1e-5)
    assert (measured("draws=8", perturbed.trial(KNOWN, asked, saliency)).values >= whole).all()


def test_stochastic_maps_have_the_same_noise_and_scale_does_not_count() -> None:
    asked = perturbed.case(networks.images(KNOWN, 5))
    random = registry.load("methods", "random_map:grid=pixel")

    def noisy(images: Tensor, case: Case) -> Heatmaps:
        return random.attribute(KNOWN, images, case.targets, None, Randomness((0,), case.ids))

    assert not measured("", perturbed.trial(KNOWN, asked, noisy)).values.any()
    loud = lambda images, case: Heatmaps(itself(images, case).scores, 1000 * itself(images, case).values)  # noqa: E731
    one, other = (measured("", perturbed.trial(KNOWN, asked, explain)).values for explain in (itself, loud))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("silent", "left"), [(1, 29), (2, 0)])
def test_maps_of_zeros_are_left_out_and_beyond_a_twentieth_all_are(silent: int, left: int) -> None:
    def partly(images: Tensor, case: Case) -> Heatmaps:
        found = itself(images, case)
        gone = torch.tensor([int(name.split("-")[1]) < silent for name in case.ids])
        return Heatmaps(found.scores, found.values.masked_fill(gone[:, None, None, None], 0))

    asked = perturbed.case(perturbed.images(30, 1, (8, 8)))
    values = measured("", perturbed.trial(KNOWN, asked, partly))
    assert int(values.defined.sum()) == left


def test_a_concept_that_a_probe_has_no_direction_for_is_no_silence() -> None:
    asked = perturbed.case(perturbed.images(30, 1, (8, 8)), torch.tensor([[0, 1]]).expand(30, -1))

    def half(images: Tensor, case: Case) -> Heatmaps:
        found = itself(images, case)
        return Heatmaps(found.scores, found.values * torch.tensor([1.0, 0.0])[:, None, None])

    directions = Directions(torch.zeros(3, 1), torch.zeros(3), "layer", missing={1: "too few"})
    said = measured("", perturbed.trial(KNOWN, asked, half, directions=directions))
    assert said.defined.tolist() == [[True, False]] * 30
    assert not measured("", perturbed.trial(KNOWN, asked, half)).defined.any()


def test_a_map_that_breaks_nearby_is_refused() -> None:
    def brittle(images: Tensor, case: Case) -> Heatmaps:
        found = itself(images, case)
        broken = found.values.max() > 1  # only a changed image is brighter
        return Heatmaps(found.scores, torch.where(broken, torch.nan, found.values))

    asked = perturbed.case(torch.ones(3, 1, 8, 8))
    with pytest.raises(InputError, match="map of a nearby image of image 'image-0' for concept 'ring' has NaN"):
        measured("", perturbed.trial(KNOWN, asked, brittle))


def test_answers_without_maps_are_refused() -> None:
    asked = perturbed.case(perturbed.images(2, 1, (8, 8)))
    given = perturbed.trial(KNOWN, asked, itself)
    bare = Trial(
        given.model,
        asked,
        given.explanation,
        Concepts(("a",), asked.images[:0], torch.zeros(0, 1).bool()),
        given.randomness,
        given.units,
        lambda images, case: Scores(torch.zeros(2, 1)),
    )
    with pytest.raises(InputError, match="without maps"):
        registry.load("metrics", "sensitivity_max").score(bare)


@pytest.mark.parametrize("spec", ["draws=0", "radius=0"])
def test_settings_that_are_wrong_are_refused_in_a_sentence(spec: str) -> None:
    with pytest.raises(InputError, match="at least 1 draw within a radius above 0"):
        registry.load("metrics", f"sensitivity_max:{spec}")
