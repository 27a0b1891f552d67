"""Which cue a model's answers follow: shape_bias and coverage against counting by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ambench import registry
from ambench.core import Case, Concepts, InputError, Model, Predictions, Randomness, Trial, Truth, Values

SHAPES = ("circle", "square", "star", "ring")
TEXTURES = ("striped", "dotted", "plain", "noisy")
CIRCLE, SQUARE, STAR, RING = range(4)


def trial(
    logits: Tensor,
    shape: Sequence[int] | None,
    texture: Sequence[int] | None,
    classes: Sequence[str] = SHAPES,
    wanted: Sequence[str] = SHAPES,
    columns: int = 1,
) -> Trial[Predictions]:
    count = len(logits)
    targets = torch.zeros(count, columns, dtype=torch.long)
    cue = {
        name: None if value is None else torch.tensor(value) for name, value in (("shape", shape), ("texture", texture))
    }
    case = Case(torch.zeros(count, 1), targets, Truth(targets == 0, **cue), tuple(f"image-{i}" for i in range(count)))
    units = {name: i for i, name in enumerate(classes)}
    model = Model("model", "none", nn.Identity(), units, {}, "", (1,), tuple(classes))
    concepts = Concepts((), torch.zeros(0, 1), torch.zeros(0, 0).bool())
    answer = Predictions(torch.zeros(count, columns), logits)
    return Trial(model, case, answer, concepts, Randomness((0,)), torch.zeros(1).long(), classes=tuple(wanted))


def scores(*arguments: object, **more: object) -> tuple[Values, Values]:
    case = trial(*arguments, **more)
    bias, coverage = (registry.load("metrics", name).score(case) for name in ("shape_bias", "coverage"))
    assert bias is not None
    assert coverage is not None
    return bias, coverage


def says(*answers: int, classes: int = 4) -> Tensor:
    return torch.eye(classes)[list(answers)]


class TestAnswers:
    def test_shape_is_one_texture_zero_and_neither_is_left_out(self) -> None:
        bias, coverage = scores(says(CIRCLE, STAR, RING), [CIRCLE] * 3, [STAR] * 3)
        assert bias.values[:, 0].tolist()[:2] == [1.0, 0.0]
        assert bias.defined[:, 0].tolist() == [True, True, False]
        assert coverage.values[:, 0].tolist() == [1.0, 1.0, 0.0]
        assert coverage.defined.all()

    def test_images_without_conflict_are_left_out_of_both(self) -> None:
        bias, coverage = scores(says(CIRCLE, CIRCLE), [CIRCLE, CIRCLE], [CIRCLE, STAR])
        assert bias.defined[:, 0].tolist() == coverage.defined[:, 0].tolist() == [False, True]

    def test_random_answers_equal_counts_by_a_loop(self) -> None:
        random = np.random.default_rng(0)
        logits, shape, texture = random.normal(size=(300, 4)), random.integers(0, 4, 300), random.integers(0, 4, 300)
        by_shape = by_texture = conflicts = 0
        for row, s, t in zip(logits, shape, texture, strict=True):
            conflicts += s != t
            by_shape += s != t and row.argmax() == s
            by_texture += s != t and row.argmax() == t
        bias, coverage = scores(torch.tensor(logits), shape.tolist(), texture.tolist())
        assert bias.values[bias.defined].sum().item() == by_shape
        assert bias.defined.sum().item() == by_shape + by_texture
        assert coverage.values[coverage.defined].mean().item() == pytest.approx((by_shape + by_texture) / conflicts)

    def test_equal_logits_share_the_answer(self) -> None:
        logits = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
        bias, coverage = scores(logits, [CIRCLE] * 3, [SQUARE] * 3)
        assert bias.values[:, 0].tolist() == [0.5, 0.5, 0.5]
        assert coverage.values[:, 0].tolist() == pytest.approx([1, 2 / 3, 1 / 2])
        assert bias.flat[:, 0].tolist() == [False, False, True]  # the last answers nothing

    def test_concept_outputs_are_no_answer(self) -> None:
        logits = torch.cat([says(CIRCLE), torch.tensor([[9.0, 9.0]])], dim=1)  # two concept units, far stronger
        bias, _ = scores(logits, [CIRCLE], [STAR])
        assert bias.values.item() == 1.0

    def test_every_concept_asked_of_an_image_gets_its_value(self) -> None:
        bias, coverage = scores(says(CIRCLE, STAR), [CIRCLE] * 2, [STAR] * 2, columns=3)
        assert bias.values.tolist() == [[1.0] * 3, [0.0] * 3]
        assert coverage.values.shape == (2, 3)

    def test_an_image_does_not_depend_on_its_neighbours(self) -> None:
        logits = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
        shape, texture = [i % 4 for i in range(30)], [i % 3 for i in range(30)]
        order = [5, 0, 29, 11]
        whole = scores(logits, shape, texture)
        part = scores(logits[order], [shape[i] for i in order], [texture[i] for i in order])
        for all_values, some in zip(whole, part, strict=True):
            assert torch.equal(some.values, all_values.values[order])


class TestNames:
    def test_classes_are_matched_by_name_whatever_their_order(self) -> None:
        bias, _ = scores(says(0, 3), [CIRCLE] * 2, [RING] * 2, classes=SHAPES[::-1])  # says ring, then circle
        assert bias.values[:, 0].tolist() == [0.0, 1.0]

    def test_a_texture_trained_twin_answers_in_the_same_order(self) -> None:
        bias, _ = scores(says(CIRCLE, STAR), [CIRCLE] * 2, [STAR] * 2, classes=TEXTURES)
        assert bias.values[:, 0].tolist() == [1.0, 0.0]

    def test_a_dataset_of_some_of_the_models_classes_will_do(self) -> None:
        bias, coverage = scores(says(STAR, RING), [0, 0], [1, 1], wanted=("star", "square"))
        assert bias.values[0].item() == 1.0
        assert coverage.values[:, 0].tolist() == [1.0, 0.0]

    @pytest.mark.parametrize("wanted", [("tree", "house"), ()])
    def test_a_model_that_cannot_answer_is_refused(self, wanted: tuple[str, ...]) -> None:
        with pytest.raises(InputError, match="model 'model' has no class outputs for the dataset's cues"):
            scores(says(CIRCLE), [0], [1], wanted=wanted)

    @pytest.mark.parametrize("missing", ["shape", "texture"])
    @pytest.mark.parametrize("name", ["shape_bias", "coverage"])
    def test_without_both_cues_there_is_no_value(self, name: str, missing: str) -> None:
        cues = {"shape": [0], "texture": [1], missing: None}
        assert registry.load("metrics", name).score(trial(says(0), cues["shape"], cues["texture"])) is None

    def test_an_answer_of_nan_is_refused_by_name(self) -> None:
        logits = says(CIRCLE, STAR)
        logits[1, 0] = torch.nan
        with pytest.raises(InputError, match="'image-1' with NaN"):
            scores(logits, [CIRCLE] * 2, [STAR] * 2)


class TestSixteen:
    members = json.loads((resources.files("ambench") / "datasets" / "sixteen_classes.json").read_text())["classes"]

    def test_the_groups_have_their_published_sizes(self) -> None:
        sizes = [len(indices) for indices in self.members.values()]
        assert sizes == [1, 4, 2, 49, 5, 7, 3, 6, 4, 3, 109, 2, 2, 1, 1, 8]
        assert len({index for indices in self.members.values() for index in indices}) == 207

    def crafted(self) -> Tensor:
        """Logits of 1000 classes: the airplane is likelier than any one dog, all dogs together far likelier."""
        probabilities = torch.full((1, 1000), 1e-6)
        probabilities[0, self.members["airplane"]] = 0.05
        probabilities[0, self.members["dog"]] = 0.9 / 109
        return probabilities.log()

    def test_the_mean_of_member_probabilities_decides_not_their_sum(self) -> None:
        names = tuple(self.members)
        kinds = tuple(f"class {i}" for i in range(1000))
        bias, _ = scores(self.crafted(), [names.index("airplane")], [names.index("dog")], kinds, names)
        assert bias.values.item() == 1.0
        probabilities = self.crafted().softmax(1)
        assert probabilities[0, self.members["dog"]].sum() > probabilities[0, self.members["airplane"]].sum()

    def test_all_sixteen_are_rivals_though_the_dataset_shows_a_few(self) -> None:
        kinds = tuple(f"class {i}" for i in range(1000))
        bias, coverage = scores(self.crafted(), [0], [1], kinds, ("cat", "dog"))
        assert not bias.defined.any()
        assert coverage.values.item() == 0.0

    @pytest.mark.parametrize(("how", "named"), [("mean", 1.0), ("sum", 0.0), ("max", 1.0)])
    def test_the_aggregate_is_a_setting(self, how: str, named: float) -> None:
        names, kinds = tuple(self.members), tuple(f"class {i}" for i in range(1000))
        asked = trial(self.crafted(), [names.index("airplane")], [names.index("dog")], kinds, names)
        bias = registry.load("metrics", f"shape_bias:aggregate={how}").score(asked)
        assert bias.values.item() == named
        assert registry.load("metrics", f"hit_rate:aggregate={how}").score(asked).values.item() == named


class TestHitRate:
    def test_it_is_the_shape_bias_times_the_coverage(self) -> None:
        random = np.random.default_rng(1)
        logits, shape, texture = random.normal(size=(200, 4)), random.integers(0, 4, 200), random.integers(0, 4, 200)
        asked = trial(torch.tensor(logits), shape.tolist(), texture.tolist())
        bias, coverage, hits = (
            registry.load("metrics", name).score(asked) for name in ("shape_bias", "coverage", "hit_rate")
        )
        mean = [values.values[values.defined].mean().item() for values in (bias, coverage, hits)]
        assert mean[2] == pytest.approx(mean[0] * mean[1])
        conflict = shape != texture
        assert mean[2] == pytest.approx((logits.argmax(1) == shape)[conflict].mean())
        assert torch.equal(hits.defined, coverage.defined)
