"""Labels chosen by uncertainty: the measures against scipy, the choice on a line, and arms that differ in nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import active_learning as study
from ambench.core import InputError
from ambench.zoo.recipe import drawn_examples

SMALL = study.Plan(pool=160, rounds=3, share=0.25, images=64, batch=32, test=64)


def no_track(numbers: Any, description: str) -> Any:
    return numbers


@pytest.fixture(scope="module")
def examples() -> Any:
    return drawn_examples(0, SMALL.pool, False, no_track)


class TestUncertainty:
    logits = 3 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def test_entropy_equals_scipys(self) -> None:
        expected = stats.entropy(self.logits.softmax(1).numpy(), axis=1)
        np.testing.assert_allclose(study.uncertainty(self.logits, "entropy").numpy(), expected, atol=1e-12)

    def test_margin_and_least_confidence_equal_numpys(self) -> None:
        ordered = np.sort(self.logits.softmax(1).numpy(), 1)
        margin, least = (study.uncertainty(self.logits, how).numpy() for how in ("margin", "least_confidence"))
        np.testing.assert_allclose(margin, ordered[:, -2] - ordered[:, -1], atol=1e-12)
        np.testing.assert_allclose(least, 1 - ordered[:, -1], atol=1e-12)

    @pytest.mark.parametrize("how", ["entropy", "margin", "least_confidence"])
    def test_a_sure_answer_is_the_least_uncertain_and_none_the_most(self, how: str) -> None:
        sure, torn = torch.eye(8)[:1] * 50, torch.zeros(1, 8)
        values = study.uncertainty(torch.cat([sure, torn, self.logits[:5].float()]), how)
        assert values.argmin() == 0
        assert values.argmax() == 1


class TestChoice:
    @pytest.mark.parametrize("how", ["entropy", "margin", "least_confidence"])
    def test_on_a_line_the_points_nearest_to_the_boundary_come_first(self, how: str) -> None:
        place = torch.linspace(-3, 5, 81)
        logits = torch.stack([4 * (place - 1), -4 * (place - 1)], 1)
        rows = study.chosen(study.uncertainty(logits, how), torch.ones(81).bool(), 11, (0,))
        assert sorted(rows.tolist()) == sorted((place - 1).abs().argsort()[:11].tolist())

    def test_only_free_rows_are_taken_and_no_more_than_there_are(self) -> None:
        free = torch.arange(20) % 3 == 0
        rows = study.chosen(torch.rand(20), free, 100, (0,))
        assert sorted(rows.tolist()) == free.nonzero().flatten().tolist()
        assert not len(study.chosen(None, torch.zeros(5).bool(), 2, (0,)))

    def test_equal_ones_are_drawn_by_a_lot_that_the_key_decides(self) -> None:
        unsure, free = torch.ones(50), torch.ones(50).bool()
        one, again, other = (study.chosen(unsure, free, 10, key) for key in ((0, 1), (0, 1), (1, 1)))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        assert torch.equal(one, study.chosen(None, free, 10, (0, 1)))


class _Guess(nn.Module):
    """Class logits that depend on an image's brightness alone."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None] * torch.arange(12.0)


class TestLearning:
    def learn(self, examples: Any, how: str, plan: Any = SMALL) -> tuple[list[Any], list[Tensor]]:
        seen = []

        def fit(wanted: Any, recipe: Any, some: Any, track: Any) -> nn.Module:
            seen.append(some.images.sum((1, 2, 3)).sort().values)
            return _Guess()

        return study.learn(plan, how, 0, examples, no_track, fit)[1], seen

    def test_labels_grow_by_the_same_share_and_nothing_is_forgotten(self, examples: Any) -> None:
        rounds, seen = self.learn(examples, "entropy")
        assert [one["labels"] for one in rounds] == [40, 80, 120]
        assert [sum(one["classes"].values()) for one in rounds] == [40, 80, 120]
        for before, after in pairwise(seen):
            assert set(before.tolist()) <= set(after.tolist())

    def test_both_arms_start_alike_and_differ_in_the_choice(self, examples: Any) -> None:
        lot, unsure = (self.learn(examples, how)[1] for how in ("random", "entropy"))
        assert torch.equal(lot[0], unsure[0])
        assert not torch.equal(lot[1], unsure[1])

    def test_the_least_sure_are_taken(self, examples: Any) -> None:
        _, seen = self.learn(examples, "entropy")
        brightness = examples.images.double().mean((1, 2, 3))
        sums = examples.images.sum((1, 2, 3))
        first = torch.isin(sums, seen[0])
        darkest = sums[~first][brightness[~first].argsort()[:40]]  # the darker, the more alike its logits
        assert set(seen[1].tolist()) == set(seen[0].tolist()) | set(darkest.tolist())

    def test_an_empty_pool_ends_it(self, examples: Any) -> None:
        rounds, _ = self.learn(
            examples, "margin", study.Plan(pool=160, rounds=9, share=0.25, images=64, batch=32, test=64)
        )
        assert [one["labels"] for one in rounds] == [40, 80, 120, 160]

    def test_two_arms_of_chance_have_identical_weights(self, examples: Any) -> None:
        plan = study.Plan(pool=160, rounds=2, share=0.25, images=64, batch=32, test=64)
        one, other = (study.learn(plan, "random", 0, examples, no_track)[0][-1].state_dict() for _ in range(2))
        assert all(torch.equal(value, other[name]) for name, value in one.items())

    def test_too_small_a_pool_is_refused(self) -> None:
        with pytest.raises(InputError, match="fewer labels than a batch"):
            study.Plan(pool=100)
