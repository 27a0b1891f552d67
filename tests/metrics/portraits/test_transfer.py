"""Which other models see the concept in its portrait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor

from ambench import registry
from ambench.core import Concepts, Model, Values
from pixels import NAMES, colours, judged, linear, natural

EYE = torch.eye(3)
SOURCE = linear(EYE)


def transfer(asked: Tensor, targets: list[int], panel: list[Model], spec: str = "transfer", **more: object) -> Values:
    concepts = more.pop("concepts", natural(colours(60, 9)))
    values = registry.load("metrics", spec).score(judged(asked, targets, concepts, SOURCE, panel, **more))
    assert values is not None
    return values


def blurred(strength: float, name: str = "judge") -> Model:
    """A judge that mixes the channels: right more often than not."""
    mixing = torch.rand(3, 3, generator=torch.Generator().manual_seed(5))
    return linear(EYE + strength * mixing, name)


class TestClasses:
    def test_natural_images_as_portraits_give_the_judges_accuracy(self) -> None:
        asked = colours(200, 1)
        truth, judge = asked.argmax(1), blurred(0.8)
        with torch.no_grad():
            answers = judge.network(asked).argmax(1)
        values = transfer(asked, truth.tolist(), [judge])
        accuracy = accuracy_score(truth, answers)
        assert values.defined.all()
        assert values.values.mean().item() == pytest.approx(accuracy, abs=1e-12)
        assert 0.5 < accuracy < 1

    def test_random_images_score_one_over_the_number_of_classes(self) -> None:
        targets = torch.randint(3, (1000,), generator=torch.Generator().manual_seed(2)).tolist()
        mean = transfer(colours(1000, 1), targets, [linear(EYE, "judge")]).values.mean().item()
        assert mean == pytest.approx(1 / 3, abs=3 * np.sqrt(2 / 9 / 1000))

    def test_a_portrait_scores_the_share_of_judges_that_see_it(self) -> None:
        asked = torch.tensor([[0.9, 0.8, 0.0], [0.9, 0.1, 0.0], [0.0, 0.9, 0.1]])
        doubter = linear(EYE * torch.tensor([0.8, 1.0, 1.0]), "doubter")  # sees green in the first
        values = transfer(asked, [0, 0, 0], [linear(EYE, "judge"), doubter])
        assert values.values[:, 0].tolist() == [0.5, 1.0, 0.0]

    def test_equal_logits_share_the_answer(self) -> None:
        asked = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.9]])
        values = transfer(asked, [0, 0, 0], [linear(EYE, "judge")])
        assert values.values[:, 0].tolist() == pytest.approx([1 / 2, 1 / 3, 0])

    def test_only_class_outputs_are_rivals(self) -> None:
        rows = torch.cat([EYE, 9 * torch.ones(1, 3)])  # a fourth unit, always strongest, that is no class
        judge = linear(rows, "judge", (*NAMES, "bright"))
        assert transfer(EYE.clone(), [0, 1, 2], [judge]).values.tolist() == [[1.0]] * 3


class TestUnitsAlone:
    judge = linear(EYE, "judge", classes=())

    def test_a_unit_alone_must_beat_the_95th_percentile_of_images_without_the_concept(self) -> None:
        pool, asked = colours(80, 3), colours(40, 4)
        values = transfer(asked, [0] * 40, [self.judge], concepts=natural(pool))
        without = pool[pool.argmax(1) != 0, 0].double().numpy()
        expected = asked[:, 0].numpy() > np.quantile(without, 0.95)
        assert values.values[:, 0].tolist() == expected.tolist()
        assert 0 < expected.sum() < 40

    def test_natural_images_without_the_concept_score_five_in_a_hundred(self) -> None:
        pool = colours(3000, 1)
        asked = pool[pool.argmax(1) != 1][:1000]
        values = transfer(asked, [1] * 1000, [self.judge], concepts=natural(colours(20_000, 2)))
        assert values.values.mean().item() == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 1000))

    def test_natural_images_with_the_concept_score_the_judges_hits(self) -> None:
        pool, shown = colours(500, 3), colours(300, 4)
        asked = shown[shown.argmax(1) == 2]
        without = pool[pool.argmax(1) != 2, 2].double().numpy()
        hits = (asked[:, 2].numpy() > np.quantile(without, 0.95)).mean()
        values = transfer(asked, [2] * len(asked), [self.judge], concepts=natural(pool))
        assert values.values.mean().item() == pytest.approx(hits, abs=1e-12)

    def test_without_natural_images_there_is_nothing_to_beat(self) -> None:
        trial = judged(colours(2), [0, 1], natural(torch.empty(0, 3)), SOURCE, [self.judge])
        assert registry.load("metrics", "transfer").score(trial) is None


class TestJudges:
    def outvoted(self, other: Model) -> bool:
        """Whether the other model is heard beside a judge that always agrees."""
        asked = torch.tensor([[0.0, 0.0, 1.0]])
        value = transfer(asked, [2], [linear(EYE, "judge"), other]).values.item()
        assert value in (0.5, 1.0)
        return value == 0.5

    backwards = linear(-EYE, "backwards")  # would answer anything but blue

    def test_a_judge_that_cannot_tell_natural_images_apart_is_not_heard(self) -> None:
        assert not self.outvoted(self.backwards)

    def test_with_competence_0_everybody_is_heard(self) -> None:
        values = transfer(torch.eye(3)[2:], [2], [linear(EYE, "judge"), self.backwards], "transfer:competence=0")
        assert values.values.item() == 0.5

    def test_a_judge_is_held_against_what_the_examples_show(self) -> None:
        pool = natural(colours(60, 9))
        inverted = Concepts(NAMES, pool.images, ~pool.present)
        trial = judged(torch.eye(3), [0, 1, 2], inverted, SOURCE, [linear(EYE, "judge")])
        assert registry.load("metrics", "transfer").score(trial) is None

    def test_the_source_is_no_judge_of_itself_nor_its_copy_with_probe_units(self) -> None:
        copy = replace(SOURCE, name="source again", weights=f"{SOURCE.weights}+probes(violet)")
        for source, judge in ((SOURCE, SOURCE), (copy, SOURCE)):
            trial = judged(torch.eye(3), [0, 1, 2], natural(colours(60, 9)), source, [judge])
            assert registry.load("metrics", "transfer").score(trial) is None

    def test_a_model_of_another_input_is_not_asked(self) -> None:
        other = linear(EYE, "wide", shape=(3, 2, 2))
        trial = judged(torch.eye(3), [0, 1, 2], natural(colours(60, 9)), SOURCE, [other])
        assert registry.load("metrics", "transfer").score(trial) is None

    def test_a_concept_that_no_judge_knows_is_undefined(self) -> None:
        judge = linear(EYE, "judge", ("red", "green", "violet"), ("red", "green", "violet"))
        values = transfer(torch.eye(3), [0, 1, 2], [judge])
        assert values.defined[:, 0].tolist() == [True, True, False]

    def test_texture_trained_twins_have_no_say_about_shapes(self) -> None:
        textures = ("striped", "dotted", "plain")
        trial = judged(torch.eye(3), [0, 1, 2], natural(colours(60, 9)), SOURCE, [linear(EYE, "t", textures, textures)])
        assert registry.load("metrics", "transfer").score(trial) is None


class TestDead:
    @pytest.mark.parametrize(("classes", "chance"), [(NAMES, 1 / 3), ((), 0.05)])
    def test_a_dead_portrait_scores_chance_and_is_counted(self, classes: tuple[str, ...], chance: float) -> None:
        judge = linear(EYE, "judge", classes=classes)
        values = transfer(2 * torch.eye(3), [0, 1, 2], [judge], alive=[True, False, True])
        assert values.values[:, 0].tolist() == pytest.approx([1.0, chance, 1.0])
        assert values.flat[:, 0].tolist() == [False, True, False]


def test_a_portrait_does_not_depend_on_its_neighbours() -> None:
    asked, targets, panel = colours(30, 6), [0, 1, 2] * 10, [blurred(0.4), blurred(0.2, "second")]
    whole = transfer(asked, targets, panel).values
    order = [7, 3, 29, 0]
    assert torch.equal(transfer(asked[order], [targets[i] for i in order], panel).values, whole[order])
