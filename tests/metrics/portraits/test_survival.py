"""Whether portraits still drive their unit when they are changed a little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import portrayed
from ambench import augmentations, registry
from ambench.augmentations import Photometric
from ambench.core import Directions, InputError, Model, Portraits, Skipped, Trial, Values


def survival(trial: Trial[Portraits], **settings: object) -> Values:
    values = registry.build(registry.find("metrics", "survival"), settings).score(trial)
    assert values is not None
    return values


def sides(inputs: Tensor) -> Tensor:
    """The brightness of the left half, of the right half, and a constant [B, 3]."""
    half = inputs.shape[-1] // 2
    left, right = inputs[..., :half].flatten(1).mean(1), inputs[..., half:].flatten(1).mean(1)
    return torch.stack([left, right, torch.full_like(left, 0.1)], 1)


CLASSES = portrayed.network(sides, classes=portrayed.NAMES)
UNITS = portrayed.network(sides)


def before(model: Model, images: Tensor, asked: list[int], **more: object) -> Trial[Portraits]:
    """A trial whose natural images are grey levels from 0 to 1."""
    levels = torch.linspace(0, 1, 21).view(-1, *[1] * (images.ndim - 1)).expand(-1, *images.shape[1:])
    return portrayed.portrayed(images, asked, model, portrayed.examples(levels, torch.ones(21, 3)), **more)


def lit(left: float, right: float) -> Tensor:
    image = torch.full((1, 3, 16, 16), left)
    image[..., 8:] = right
    return image


def test_the_identity_keeps_what_wins_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    same = Photometric("same", (1.0,), lambda shape: True, lambda images, *_: images)
    monkeypatch.setitem(augmentations.AUGMENTATIONS, "same", same)
    images = torch.cat([lit(0.9, 0.1), lit(0.1, 0.9), lit(0.5, 0.5), lit(0.05, 0.05)])
    values = survival(before(CLASSES, images, [0, 0, 0, 0]), augmentations=("same",))
    assert values.values[:, 0].tolist() == [1.0, 0.0, 0.25, 0.0]  # a tie is half an answer, before and after


def test_a_flip_takes_what_depends_on_the_side() -> None:
    images = torch.cat([lit(0.9, 0.1), lit(0.1, 0.9)])
    trial = before(CLASSES, images, [0, 1])
    assert survival(trial, augmentations=("hflip",)).values[:, 0].tolist() == [0.0, 0.0]
    assert survival(trial, augmentations=("hflip", "grey")).values[:, 0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("bar", "area"), [(0.05, 1.0), (0.25, 0.75), (0.4, 0.25), (0.49, 0.0)])
def test_levels_count_by_the_area_under_them(bar: float, area: float) -> None:
    """Contrast .9, .75, .5 leaves a deviation of .45, .375, .25."""

    def deviation(inputs: Tensor) -> Tensor:
        spread = inputs.flatten(1).std(1, correction=0) - 1e-4
        return torch.stack([spread, torch.full_like(spread, bar)], 1)

    names = ("red", "green")
    model = portrayed.network(deviation, names, names)
    concepts = portrayed.examples(torch.rand(4, 3, 16, 16), torch.ones(4, 2), names)
    trial = portrayed.portrayed(lit(1.0, 0.0), [0], model, concepts)
    assert survival(trial, augmentations=("contrast",)).values.item() == area


def test_each_draw_is_another_and_half_of_them_win() -> None:
    """A portrait just bright enough survives only the draws that make it brighter."""
    images = torch.full((200, 3, 16, 16), 0.5)

    def bright(inputs: Tensor) -> Tensor:
        level = inputs.flatten(1).mean(1)
        return torch.stack([level, torch.full_like(level, 0.5 - 1e-3)], 1)

    names = ("red", "green")
    concepts = portrayed.examples(torch.rand(4, 3, 16, 16), torch.ones(4, 2), names)
    trial = portrayed.portrayed(images, [0] * 200, portrayed.network(bright, names, names), concepts)
    values = survival(trial, augmentations=("brightness",), draws=4).values[:, 0]
    assert set(values.tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert values.mean().item() == pytest.approx(0.5, abs=3 * 0.5 / 800**0.5)
    alone = survival(trial, augmentations=("brightness",), draws=1).values
    assert set(alone.flatten().tolist()) == {0.0, 1.0}


def test_a_unit_that_is_no_class_must_stay_above_the_quantile_of_natural_images() -> None:
    """Natural images answer 0, .05, …, 1; a blur leaves a bright half less bright by what crosses the middle."""
    images = torch.cat([lit(level, 0.0) for level in np.linspace(0.8, 1.0, 9)])
    trial = before(UNITS, images, [0] * 9)
    bar = np.quantile(np.linspace(0, 1, 21), 0.9)
    blur = augmentations.find("blur")
    left = [sides(blur.apply(images, level, trial.randomness))[:, 0].numpy() for level in range(3)]
    weak, middle, strong = ((one > bar).astype(float) for one in left)
    expected = (weak + 2 * middle + strong) / 4 * (sides(images)[:, 0].numpy() > bar)
    values = survival(trial, augmentations=("blur",), quantile=0.9)
    assert values.values[:, 0].tolist() == expected.tolist()
    assert 0 < expected.mean() < 1


def test_a_hidden_direction_is_held_to_natural_images_even_where_its_concept_is_a_class() -> None:
    direction = Directions(torch.eye(3), torch.zeros(3), "pixels")
    images = torch.stack([torch.full((3, 16, 16), level) for level in (0.9, 0.96, 1.0)])
    trial = before(CLASSES, images, [0, 0, 0], seeks=direction)
    assert survival(trial, augmentations=("hflip",)).values[:, 0].tolist() == [0.0, 1.0, 1.0]  # .95 is the bar


def test_augmentations_that_the_concept_does_not_survive_are_left_out() -> None:
    images = torch.cat([lit(0.9, 0.1), lit(0.9, 0.1)])
    trial = before(CLASSES, images, [0, 0])
    keeps = {"red": ("grey",), "green": ()}
    asked = replace(trial, case=replace(trial.case, targets=torch.tensor([[0], [1]])))
    asked = replace(asked, concepts=replace(trial.concepts, keeps=keeps))
    values = survival(asked, augmentations=("hflip", "grey"))
    assert values.values[0].item() == 1.0
    assert values.defined[:, 0].tolist() == [True, False]


def test_the_transforms_of_the_ascent_are_not_among_the_default_ones() -> None:
    asked = set(registry.load("metrics", "survival").augmentations)
    assert asked == set(augmentations.AUGMENTATIONS) - {"translate", "rotate", "scale"}
    apart = registry.load("metrics", "survival:augmentations=translate+rotate+scale")
    assert apart.augmentations == ("translate", "rotate", "scale")


def test_a_dead_portrait_scores_zero_and_is_counted() -> None:
    images = lit(0.9, 0.1).repeat(2, 1, 1, 1)
    values = survival(before(CLASSES, images, [0, 0], alive=[True, False]), augmentations=("grey",))
    assert values.values[:, 0].tolist() == [1.0, 0.0]
    assert values.flat[:, 0].tolist() == [False, True]


def test_the_yardstick_is_what_the_strongest_natural_images_keep() -> None:
    natural = torch.cat([lit(0.9, 0.1), lit(0.6, 0.7), lit(0.8, 0.2), lit(0.95, 0.5)])
    shown = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    concepts = portrayed.examples(natural, shown)
    trial = portrayed.portrayed(torch.zeros(4, 3, 16, 16), [0] * 4, CLASSES, concepts)
    values = survival(trial, augmentations=("grey",), yardstick=True)
    assert values.values[:3, 0].tolist() == [1.0, 1.0, 0.0]  # the third strongest is no more red than green
    assert values.defined[:, 0].tolist() == [True, True, True, False]


def test_classes_need_no_natural_images_and_other_units_do() -> None:
    for model, known in ((CLASSES, True), (UNITS, False)):
        trial = before(model, lit(0.9, 0.1), [0])
        trial = replace(trial, concepts=trial.concepts.map(lambda tensor: tensor[:0]))
        assert (registry.load("metrics", "survival:augmentations=grey").score(trial) is not None) == known


def test_series_and_tables_survive_what_suits_them() -> None:
    for shape in ((1, 32), (5,)):
        model = portrayed.network(lambda x: x.flatten(1)[:, :3], classes=portrayed.NAMES, shape=shape)
        images = torch.zeros(2, *shape)
        images.flatten(1)[:, 1] = 0.9
        values = survival(before(model, images, [1, 0]))
        assert values.defined.all()
        assert values.values[0] > 0 == values.values[1]


def test_no_fitting_change_is_skipped_with_the_reason() -> None:
    model = portrayed.network(lambda x: x[:, :3], shape=(5,))
    with pytest.raises(Skipped, match=r"none of hflip, jpeg can change inputs \[5\]"):
        survival(before(model, torch.rand(2, 5), [0, 1]), augmentations=("hflip", "jpeg"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("augmentations=flip", "there is no augmentation 'flip'; did you mean 'hflip'"),
        ("draws=0", "at least one draw"),
        ("quantile=2", "a quantile from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        registry.load("metrics", f"survival:{spec}")


def test_an_answer_of_nan_is_refused_by_name() -> None:
    images = torch.cat([lit(0.9, 0.1), torch.full((1, 3, 16, 16), torch.nan)])
    with pytest.raises(InputError, match="portrait 'red/1' with NaN"):
        survival(before(CLASSES, images, [0, 0]))
