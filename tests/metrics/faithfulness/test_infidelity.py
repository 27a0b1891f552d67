"""Infidelity: nothing is left of a linear model, captum's numbers at the same draws, one pass for all methods."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captums
from torch import Tensor, nn

import networks
import perturbed
from ambench import registry
from ambench.core import Directions, InputError, Layer, Model

draws = importlib.import_module("ambench.metrics.faithfulness._draws")
unexplained = importlib.import_module("ambench.metrics.faithfulness.infidelity").unexplained


def linear(*shape: int, scale: float = 1.0) -> tuple[Model, Tensor]:
    weights = scale * perturbed.noise(3, *shape, dtype=torch.float64)
    return perturbed.model(perturbed.Additive(weights), shape), weights


def score(spec: str, given: Any) -> Tensor:
    return registry.load("metrics", f"infidelity:{spec}" if spec else "infidelity").score(given).values


# ------------------------------------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 6, 11), (2, 40), (9,), (1, 5, 4, 3)], ids=str)
def test_the_shares_of_a_linear_model_leave_nothing(shape: tuple[int, ...]) -> None:
    """Of noise it is the gradient, of boxes what each pixel differs from the mean colour by; 70 images."""
    known, weights = linear(*shape)
    images = perturbed.images(70, shape[0], shape[1:], dtype=torch.float64)
    targets = torch.arange(3).expand(70, -1)
    shares = weights * (images - 0.5).unsqueeze(1)  # [B, T, *input]
    gradient = weights.expand_as(shares)
    if len(shape) > 1:  # a table has no channels to add up
        gradient, shares = gradient.sum(2), shares.sum(2)
    for kind, maps in (("noise", gradient), ("boxes", shares)):
        given = perturbed.trial(known, perturbed.case(images, targets), 7 * maps)
        assert score(f"draws=8,perturbation={kind}", given).max() < 1e-12
        given = perturbed.trial(known, perturbed.case(images, targets), maps)
        assert score(f"draws=8,perturbation={kind},scaled=false", given).max() < 1e-12
    assert score("draws=8", perturbed.trial(known, perturbed.case(images, targets), -shares)).min() == 1
    assert score("draws=8", perturbed.trial(known, perturbed.case(images, targets), 0 * shares)).unique().tolist() == [
        1
    ]


def test_a_map_of_zeros_leaves_the_variance_of_the_logit() -> None:
    """A linear logit under noise of deviation .1 has .01 times the squared length of its gradient."""
    known, weights = linear(3, 5, 5)
    images = torch.full((1, 3, 5, 5), 0.5, dtype=torch.float64)
    given = perturbed.trial(known, perturbed.case(images), torch.zeros(1, 1, 5, 5))
    found = score("draws=4000,perturbation=noise,scaled=false", given).item()
    expected = 0.01 * weights[0].sum(0).square().sum().item()
    assert abs(found - expected) < 3 * expected * (2 / 4000) ** 0.5


def test_the_value_is_what_least_squares_leaves() -> None:
    said, falls = perturbed.noise(5, 64, dtype=torch.float64), perturbed.noise(5, 64, seed=1, dtype=torch.float64)
    falls = falls + 0.5 * said
    for row, value in enumerate(unexplained(said, falls).tolist()):
        residual = np.linalg.lstsq(said[row, :, None].numpy(), falls[row].numpy(), rcond=None)[1][0]
        assert value == pytest.approx(residual / (falls[row] ** 2).sum().item(), abs=1e-12)


# ------------------------------------------------------------------------------------------------ captum


def as_captum(known: Model, image: Tensor, name: str, kind: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """captum's perturbation function with our draws: what was subtracted, and the rest."""

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        drawn = draws.drawn(kind, name, tuple(image.shape[1:]), range(32), 32)
        changed = draws.changed(kind, image.expand(32, *image.shape), drawn, torch.full_like(image[None], 0.5))
        return drawn.unsqueeze(1).expand(-1, len(image), *drawn.shape[1:]).to(image), changed

    return perturb


@pytest.mark.parametrize("kind", ["noise", "boxes"])
@pytest.mark.parametrize("key", ["module", "one channel", "48 x 80", "transformer"])
def test_the_value_is_captums_at_the_same_draws(key: str, kind: str) -> None:
    known = networks.every()[key]
    known = replace(known, network=known.network.double())
    images, targets = networks.images(known, 2), networks.targets(2, 2) % 3
    maps = perturbed.noise(2, 2, *known.input_shape[1:], dtype=torch.float64)
    asked = perturbed.case(images, targets)
    given = perturbed.trial(known, asked, maps)
    raw = score(f"perturbation={kind},scaled=false,draws=32", given)
    metric = registry.load("metrics", f"infidelity:perturbation={kind},draws=32")
    scaled, falls = metric.score(given).values, metric.falls(given)[0]
    agrees = (metric.said(given, maps.flatten(2)) * falls).sum(2) > 0
    assert agrees.any()
    for row in range(2):
        perturb = as_captum(known, images[row], asked.ids[row], kind)
        for column in range(2):
            theirs = [
                captums(
                    known.network,
                    perturb,
                    images[[row]],
                    maps[row, column][None, None].expand(1, *images.shape[1:]) / images.shape[1],
                    target=int(targets[row, column]),
                    n_perturb_samples=32,
                    normalize=normalize,
                ).item()
                for normalize in (False, True)
            ]
            assert raw[row, column].item() == pytest.approx(theirs[0], rel=1e-6)
            if agrees[row, column]:  # they would turn a map's sign
                energy = falls[row, column].square().mean().item()
                assert scaled[row, column].item() * energy == pytest.approx(theirs[1], rel=1e-6)


# ------------------------------------------------------------------------------------------------ what counts


def test_scale_does_not_count_but_sign_and_offset_do() -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 6))
    given = perturbed.trial(known, asked, perturbed.noise(6, 1, 16, 16))
    falls = registry.load("metrics", "infidelity").falls(given)[0]
    boxes = torch.stack([draws.drawn("boxes", name, (16, 16), range(64), 64) for name in asked.ids])
    maps = torch.einsum("btn,bnhw->bthw", falls, boxes.double()).float()  # points along what the boxes do
    before, louder, moved = (
        score("", perturbed.trial(known, asked, m)) for m in (maps, 1000 * maps, maps + 3 * maps.max())
    )
    torch.testing.assert_close(louder, before, rtol=0, atol=1e-6)
    assert (before < 0.9).all()
    assert not torch.allclose(moved, before, atol=1e-2)
    assert (score("", perturbed.trial(known, asked, -maps)) == 1).all()


def test_a_random_map_explains_next_to_nothing_of_noise() -> None:
    """Of n independent draws a random pattern explains one part in n, where its sign happens to be right."""
    known, _ = linear(3, 8, 8)
    images = perturbed.images(400, 3, (8, 8), dtype=torch.float64)
    given = perturbed.trial(known, perturbed.case(images), perturbed.noise(400, 1, 8, 8))
    values = score("draws=8,perturbation=noise", given)
    assert abs(values.mean() - (1 - 1 / 16)) < 3 * values.std() / 400**0.5 + 0.02


def test_a_logit_that_nothing_moves_is_left_out() -> None:
    weights = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8), torch.zeros(3, 8, 8)])
    known = perturbed.model(perturbed.Additive(weights), (3, 8, 8))
    asked = perturbed.case(perturbed.images(5, 3, (8, 8)), torch.tensor([[0, 1]]).expand(5, -1))
    said = registry.load("metrics", "infidelity").score(perturbed.trial(known, asked, perturbed.noise(5, 2, 8, 8)))
    assert said.defined.tolist() == [[False, True]] * 5


def test_a_probe_is_asked_for_its_own_logit() -> None:
    network = nn.Sequential()
    network.add_module("layer", nn.Identity())
    known = Model(
        "known", "none", network, {}, {"layer": Layer("layer", network.layer, lambda z: z)}, "layer", (3, 6, 6)
    )
    directions = Directions(torch.eye(3), torch.zeros(3), "layer")  # the mean of each channel
    images = perturbed.images(4, 3, (6, 6))
    maps = (images - 0.5)[:, [1, 2]]
    asked = perturbed.case(images, torch.tensor([[1, 2]]).expand(4, -1))
    assert score("", perturbed.trial(known, asked, maps, directions=directions)).max() < 1e-9
    assert score("", perturbed.trial(known, asked, maps.flip(1), directions=directions)).min() > 0.01


# ------------------------------------------------------------------------------------------------ bounded memory


def test_no_more_images_pass_at_a_time_however_many_draws_there_are() -> None:
    largest = {}
    for count in (10, 300):
        network = perturbed.Counted(networks.cnn().network)
        known = perturbed.model(network, (3, 16, 16))
        asked = perturbed.case(networks.images(networks.cnn(), 3))
        score(f"draws={count},chunk=16", perturbed.trial(known, asked, perturbed.noise(3, 1, 16, 16)))
        largest[count] = max(network.batches), sum(network.batches)
    assert largest == {10: (16, 33), 300: (16, 903)}


def test_chunk_batch_and_neighbours_change_nothing() -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 70), networks.targets(70) % 3)
    maps = perturbed.noise(70, 3, 16, 16)
    whole = score("draws=20", perturbed.trial(known, asked, maps))
    part = score("draws=20,chunk=7", perturbed.trial(known, asked, maps))
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)
    for row in (0, 65):
        alone = score("draws=20", perturbed.trial(known, asked.select([row]), maps[[row]]))
        torch.testing.assert_close(alone, whole[[row]], rtol=0, atol=1e-6)


def test_other_methods_find_the_falls_and_other_questions_do_not() -> None:
    network = perturbed.Counted(networks.cnn().network)
    known, store = perturbed.model(network, (3, 16, 16)), {}
    asked = perturbed.case(networks.images(networks.cnn(), 3), networks.targets(3, 2) % 3)
    passed = []
    for seed, spec in enumerate(("", "", "draws=32", "perturbation=noise", "")):
        network.batches.clear()
        maps = perturbed.noise(3, 2, 16, 16, seed=seed)
        fresh = score(spec, perturbed.trial(networks.cnn(), asked, maps))
        assert torch.equal(score(spec, perturbed.trial(known, asked, maps, lasting=lambda case: store)), fresh)
        passed.append(sum(network.batches))
    assert passed == [195, 0, 99, 195, 0]


def test_columns_of_a_table_are_drawn_equally_often_an_eighth_to_a_half_of_them() -> None:
    drawn = draws.drawn("columns", "a", (16,), range(3000), 3000)
    assert (drawn.sum(1).min(), drawn.sum(1).max()) == (2, 8)
    share = drawn.mean()
    assert (drawn.mean(0) - share).abs().max() < 4 * (share * (1 - share) / 3000) ** 0.5
    assert draws.drawn("columns", "a", (3,), range(50), 50).sum(1).min() == 1


def test_inputs_in_units_of_their_own_are_changed_by_shares_of_their_range() -> None:
    known = linear(1, 40)[0]
    images = 10 * perturbed.images(3, 1, (40,), dtype=torch.float64)
    given = perturbed.trial(known, perturbed.case(images), torch.zeros(3, 1, 40))
    wide = replace(given, concepts=replace(given.concepts, bounds=(0.0, 10.0)))
    setting = "draws=32,perturbation=noise,scaled=false"
    torch.testing.assert_close(score(setting, wide), 100 * score(setting, given))


def test_boxes_have_sides_of_at_most_a_half_and_hold_every_pixel_equally_often() -> None:
    boxes = draws.drawn("boxes", "a", (16, 32), range(2000), 2000)
    heights, widths = boxes.amax(2).sum(1), boxes.amax(1).sum(1)
    assert torch.equal(boxes.sum((1, 2)), heights * widths)
    assert (heights.min(), heights.max(), widths.min(), widths.max()) == (1, 8, 1, 16)
    middle = boxes[:, 4:12, 8:24].mean(0).mean()
    corners = boxes[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean()
    error = (corners * (1 - corners) / 8000).sqrt()
    assert abs(corners - middle) < 3 * error + 0.01
    assert torch.equal(draws.drawn("boxes", "a", (16, 32), range(7, 9), 2000), boxes[7:9])


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [("draws=1", "at least 2 draws, not 1"), ("chunk=0", "chunk of at least 1"), ("perturbation=x", "x")],
)
def test_settings_that_are_wrong_are_refused_in_a_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.load("metrics", f"infidelity:{spec}")
