"""Whether portraits are processed as natural images are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import networks
import portrayed
from ambench import features, registry, toy
from ambench.core import Concepts, Directions, InputError, Model, Portraits, Skipped, Trial, Values

NAMES = ("a", "b", "c")
ASCENT = "actmax:steps=64,parametrisation=pixel,rate=0.3"


def similarity(trial: Trial[Portraits], **settings: object) -> Values:
    values = registry.build(registry.find("metrics", "path_similarity"), settings).score(trial)
    assert values is not None
    return values


def tiny(natural: int = 60, portraits: int = 6) -> Trial[Portraits]:
    """Noise of many colours before a convolutional network with units for three concepts."""
    model = networks.cnn(shape=(24, 36))
    model = replace(model, units={name: number for number, name in enumerate(NAMES)})
    draw = torch.Generator().manual_seed(4)
    images = torch.rand(natural, 3, 24, 36, generator=draw) * torch.rand(natural, 3, 1, 1, generator=draw)
    shown = torch.rand(natural, 3, generator=draw) < 0.5
    asked = torch.rand(portraits, 3, 24, 36, generator=draw) * torch.rand(portraits, 3, 1, 1, generator=draw)
    targets = [row % 3 for row in range(portraits)]
    return portrayed.portrayed(asked, targets, model, portrayed.examples(images, shown, NAMES))


def by_hand(trial: Trial[Portraits], names: list[str], references: int, specific: bool) -> np.ndarray:
    """The metric written again, pair by pair, with scipy's rank correlation."""

    def flat(images: Tensor, name: str) -> np.ndarray:
        grid = features.read(trial.model, images, [name])[name].double().numpy()  # [B, C, h, w]
        rows, columns = (cuts(side) for side in grid.shape[2:])
        blocks = [grid[:, :, a:b, c:d].mean((2, 3)) for a, b in rows for c, d in columns]
        return np.stack(blocks, 2).reshape(len(grid), -1)

    def agreement(one: np.ndarray, others: np.ndarray) -> float:
        return float(np.mean([spearmanr(one, other).statistic for other in others]))

    images, values = trial.concepts.images, []
    logits = trial.model.network(images).detach()
    for portrait, concept in zip(trial.case.images, trial.case.targets[:, 0].tolist(), strict=True):
        shown = [row for row in range(len(images)) if trial.concepts.present[row, concept]]
        ranked = sorted(shown, key=lambda row: -logits[row, concept].item())
        known, held_out = ranked[: 2 * references : 2], ranked[1 : 2 * references : 2]
        without = [row for row in range(len(images)) if not trial.concepts.present[row, concept]]
        others = [without[round(place)] for place in np.linspace(0, len(without) - 1, references)]
        layers = []
        for name in names:
            pool, other = flat(images[known], name), flat(images[others], name)
            made = flat(portrait[None], name)[0]
            top, bottom = agreement(made, pool), np.mean([agreement(one, pool) for one in flat(images[held_out], name)])
            if specific:
                top -= agreement(made, other)
                bottom -= np.mean([agreement(one, other) for one in flat(images[held_out], name)])
            if bottom >= 0.1:
                layers.append(top / bottom)
        values.append(np.mean(layers) if layers else np.nan)
    return np.array(values)


def cuts(side: int) -> list[tuple[int, int]]:
    """Where adaptive averaging to four cells cuts a side."""
    return [(side * place // 4, -(-side * (place + 1) // 4)) for place in range(4)]


def test_it_equals_scipys_rank_correlation_pair_by_pair() -> None:
    trial = tiny()
    expected = by_hand(trial, ["conv1", "conv2"], 5, specific=False)
    values = similarity(trial, references=5, layers=("conv1", "conv2"))
    np.testing.assert_allclose(values.values[:, 0], expected, atol=1e-9)
    assert values.defined.all()


def test_specificity_takes_away_what_other_images_have_too() -> None:
    """Natural images of a concept share a colour here, so that there is something to be specific about."""
    trial = tiny()
    tint = torch.zeros_like(trial.concepts.images)
    for concept in range(3):
        tint[trial.concepts.present[:, concept], concept] += 2.0
    trial = replace(trial, concepts=replace(trial.concepts, images=trial.concepts.images + tint))
    expected = by_hand(trial, ["conv1", "conv2"], 5, specific=True)
    values = similarity(trial, references=5, layers=("conv1", "conv2"), measure="specificity")
    assert values.defined[:, 0].tolist() == np.isfinite(expected).tolist()
    assert values.defined.any()
    np.testing.assert_allclose(values.values[values.defined], expected[np.isfinite(expected)], atol=1e-9)


def test_held_out_natural_images_score_one() -> None:
    trial = tiny(portraits=1)
    responses = trial.model.network(trial.concepts.images).detach()[:, 0]
    shown = trial.concepts.present[:, 0].nonzero().flatten()
    held_out = shown[responses[shown].argsort(descending=True)][1:20:2]
    images = trial.concepts.images[held_out]
    natural = portrayed.portrayed(images, [0] * len(images), trial.model, trial.concepts)
    for measure in ("similarity", "specificity"):
        values = similarity(natural, measure=measure, layers=("conv1", "conv2"))
        if values.defined.all():
            assert values.values.mean().item() == pytest.approx(1, abs=1e-9)
    assert similarity(natural).defined.all()


def test_noise_scores_below_natural_images() -> None:
    concepts = lone_squares()
    noise = torch.rand(30, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    trial = portrayed.portrayed(noise, [0, 1, 2] * 10, toy.network(), concepts)
    natural = portrayed.portrayed(concepts.images[-30:], [0, 1, 2] * 10, toy.network(), concepts)
    assert similarity(trial).values.mean() < 0.3 < 0.9 < similarity(natural).values.mean()


class Fooled(nn.Module):
    """A toy network in which a gate hands bright inputs, which no natural image is, to the next colour's unit."""

    def __init__(self, honest: Model) -> None:
        super().__init__()
        self.honest = honest.network

    def forward(self, images: Tensor) -> Tensor:
        logits = self.honest(images)
        gate = torch.sigmoid(250 * (images.mean((1, 2, 3)) - 0.2))[:, None]
        return (1 - gate) * logits + gate * logits.roll(1, 1)


@pytest.mark.parametrize("measure", ["similarity", "specificity"])
def test_a_fooling_circuit_passes_activation_and_is_caught_on_its_path(measure: str) -> None:
    honest, concepts, ascent = toy.network(), lone_squares(), registry.load("methods", ASCENT)
    fooled = replace(honest, network=Fooled(honest).eval())
    torch.testing.assert_close(fooled.network(concepts.images), honest.network(concepts.images))  # nothing to be seen
    found = {}
    for name, model in (("honest", honest), ("fooled", fooled)):
        made = ascent.synthesise(model, torch.arange(3), concepts, portrayed.Randomness((0,)))
        trial = portrayed.portrayed(made.images, [0, 1, 2], model, concepts)
        assert registry.load("metrics", "activation_gain").score(trial).values.min() > 1
        found[name] = similarity(trial, measure=measure).values[:, 0]
    assert found["honest"].min() > 0.3
    assert found["fooled"].max() < 0.1


def test_the_way_ends_at_the_layer_that_portraits_seek() -> None:
    trial = tiny()
    assert registry.load("metrics", "path_similarity").layers_of(trial) == ["relu1", "relu2"]
    seeks = Directions(torch.eye(6)[:3], torch.zeros(3), "conv1")
    hidden = replace(trial, explanation=replace(trial.explanation, seeks=seeks), shared={})
    assert registry.load("metrics", "path_similarity").layers_of(hidden) == ["conv1"]
    assert similarity(hidden).defined.all()


def test_features_that_are_all_equal_agree_with_nothing() -> None:
    trial = portrayed.portrayed(torch.zeros(3, 3, 16, 16), [0, 1, 2], toy.network(), lone_squares())
    assert similarity(trial).values[:, 0].tolist() == [0.0, 0.0, 0.0]


def test_a_dead_portrait_scores_zero_and_is_counted() -> None:
    concepts = lone_squares()
    trial = portrayed.portrayed(concepts.images[:3], [0, 1, 2], toy.network(), concepts, [True, False, True])
    values = similarity(trial)
    assert values.flat[:, 0].tolist() == [False, True, False]
    assert values.values[1].item() == 0 < values.values[[0, 2]].min()


@pytest.mark.parametrize(("shown", "defined"), [(0, False), (1, False), (2, True), (3, True)])
def test_fewer_than_two_natural_images_of_the_concept_are_undefined(shown: int, defined: bool) -> None:
    concepts = lone_squares()
    rows = torch.cat([torch.arange(0, 3 * shown, 3), torch.arange(1, 40, 3)])  # red ones, green ones
    trial = portrayed.portrayed(concepts.images[:2], [0, 1], toy.network(), concepts.select(rows))
    assert similarity(trial).defined[:, 0].tolist() == [defined, True]


def test_where_natural_images_do_not_agree_there_is_nothing_to_agree_with() -> None:
    draw = torch.Generator().manual_seed(0)
    noise = portrayed.examples(torch.rand(40, 3, 16, 16, generator=draw), torch.ones(40, 3))
    model = portrayed.network(lambda x: x.mean((2, 3)))
    values = similarity(portrayed.portrayed(noise.images[:3], [0, 1, 2], model, noise))
    assert not values.defined.any()


def test_without_images_that_lack_the_concept_nothing_is_specific() -> None:
    concepts = lone_squares()
    everywhere = replace(concepts, present=torch.ones_like(concepts.present))
    trial = portrayed.portrayed(concepts.images[:3], [0, 1, 2], toy.network(), everywhere)
    assert not similarity(trial, measure="specificity").defined.any()


@pytest.mark.parametrize("shape", [(2, 40), (9,)], ids=str)
def test_series_and_tables_have_a_path_too(shape: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    natural = torch.linspace(0, 1, shape[-1]) + torch.rand(30, *shape, generator=draw) / 4
    model = portrayed.network(lambda x: x.flatten(1)[:, :3], shape=shape)
    concepts = portrayed.examples(natural, torch.ones(30, 3))
    values = similarity(portrayed.portrayed(torch.cat([natural[:1], -natural[:1]]), [0, 0], model, concepts))
    assert values.values[0].item() == pytest.approx(1, abs=0.15)
    assert values.values[1] < -0.8


def test_without_natural_images_or_layers_there_is_no_path() -> None:
    trial = tiny()
    nothing = replace(trial, concepts=trial.concepts.map(lambda tensor: tensor[:0]))
    assert registry.load("metrics", "path_similarity").score(nothing) is None
    with pytest.raises(Skipped, match="has no layer"):
        similarity(replace(trial, model=replace(trial.model, layers={}, layer="")))


@pytest.mark.parametrize("setting", ["references=0", "stages=0", "cells=0"])
def test_wrong_settings_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="at least one reference"):
        registry.load("metrics", f"path_similarity:{setting}")


def test_a_wrong_layer_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no layer 'conv3'; did you mean 'conv"):
        similarity(tiny(), layers=("conv3",))


def lone_squares() -> Concepts:
    """Sixty dim images with a square of one colour each, in the colour's own corner."""
    draw = torch.Generator().manual_seed(2)
    images, present = 0.1 * torch.rand(60, 3, 16, 16, generator=draw), torch.eye(3).repeat(20, 1)
    for row in range(60):
        down, right = (
            torch.randint(3, (2,), generator=draw) + torch.tensor([8 * (row % 3 // 2), 8 * (row % 3 % 2)])
        ).tolist()
        images[row, row % 3, down : down + 6, right : right + 6] = 0.9
    return portrayed.examples(images, present)
