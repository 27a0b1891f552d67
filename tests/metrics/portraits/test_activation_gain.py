"""Where a portrait's response lies between the mean and the maximum of natural images."""

from __future__ import annotations

import pytest
import torch

from ambench import registry
from ambench.core import InputError, Values
from pixels import colours, judged, linear, natural

EYE = torch.eye(3, dtype=torch.float64)


def gain(colours: torch.Tensor, targets: list[int], *rest: object, **more: object) -> Values:
    values = registry.load("metrics", "activation_gain").score(judged(colours, targets, *rest, **more))
    assert values is not None
    return values


def test_gain_equals_hand_values() -> None:
    pool = natural(torch.tensor([[0.0, 0.2, 0.0], [0.5, 0.2, 0.0], [1.0, 0.4, 0.0]], dtype=torch.float64))
    asked = torch.tensor([[0.75, 0.0, 0.0], [0.5, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    values = gain(asked, [0, 0, 0, 0], pool, linear(EYE))
    assert values.values[:, 0].tolist() == [0.5, 0.0, 3.0, -1.0]  # mean .5, maximum 1


def test_the_strongest_natural_image_scores_exactly_one() -> None:
    pool = colours(50)
    best = pool[pool.argmax(0)]
    assert gain(best, [0, 1, 2], natural(pool), linear(torch.eye(3))).values[:, 0].tolist() == [1.0, 1.0, 1.0]


def test_the_average_natural_image_scores_zero() -> None:
    pool = colours(50, dtype=torch.float64)
    values = gain(pool.mean(0, keepdim=True).expand(3, 3), [0, 1, 2], natural(pool), linear(EYE))
    torch.testing.assert_close(values.values[:, 0], torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("scale", "offset"), [(7.0, 0.0), (1.0, -40.0), (0.03, 5.0)])
def test_rescaling_the_logits_changes_nothing(scale: float, offset: float) -> None:
    pool, asked = natural(colours(50, dtype=torch.float64)), colours(12, 1, torch.float64)
    targets = [0, 1, 2] * 4
    before = gain(asked, targets, pool, linear(EYE)).values
    after = gain(asked, targets, pool, linear(scale * EYE, offset=offset)).values
    torch.testing.assert_close(after, before, atol=1e-9, rtol=0)


def test_a_unit_that_natural_images_drive_alike_is_undefined() -> None:
    rows = torch.eye(3)
    rows[1] = 0
    values = gain(colours(3), [0, 1, 2], natural(colours(20, 1)), linear(rows))
    assert values.defined[:, 0].tolist() == [True, False, True]


def test_a_dead_portrait_scores_zero_and_is_counted() -> None:
    values = gain(torch.ones(2, 3), [0, 0], natural(colours(20)), linear(torch.eye(3)), alive=[True, False])
    assert values.flat[:, 0].tolist() == [False, True]
    assert values.values[1, 0] == 0 < values.values[0, 0]


def test_without_natural_images_there_is_no_gain() -> None:
    trial = judged(colours(2), [0, 1], natural(torch.empty(0, 3)), linear(torch.eye(3)))
    assert registry.load("metrics", "activation_gain").score(trial) is None


def test_a_portrait_does_not_depend_on_its_neighbours() -> None:
    pool, asked, targets = natural(colours(20)), colours(6, 1), [0, 1, 2, 2, 1, 0]
    whole = gain(asked, targets, pool, linear(torch.eye(3))).values
    order = [4, 0, 5, 2]
    part = gain(asked[order], [targets[i] for i in order], pool, linear(torch.eye(3))).values
    assert torch.equal(part, whole[order])


def test_an_answer_of_nan_is_refused_by_name() -> None:
    asked = colours(3)
    asked[1] = torch.nan
    with pytest.raises(InputError, match="portrait 'p1' with NaN"):
        gain(asked, [0, 1, 2], natural(colours(9)), linear(torch.eye(3)))
