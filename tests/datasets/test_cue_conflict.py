"""The drawn cue-conflict stimuli."""

from __future__ import annotations

import pytest
import torch

from ambench import registry


def test_shape_and_texture_never_agree_and_all_56_pairs_occur_equally_often() -> None:
    cases = list(registry.load("datasets", "cue_conflict:test=560"))
    shape = torch.cat([case.truth.shape for case in cases])
    texture = torch.cat([case.truth.texture for case in cases])
    counts = torch.bincount(shape * 8 + texture, minlength=64).reshape(8, 8)
    assert torch.equal(counts, 10 * (1 - torch.eye(8)).long())


def test_concepts_do_not_depend_on_shape() -> None:
    case = list(registry.load("datasets", "cue_conflict:test=512"))
    shape = torch.cat([c.truth.shape for c in case])
    present = torch.cat([c.truth.present for c in case]).double()
    for number in range(8):
        assert (present[shape == number].mean(0) - 0.5).abs().max() < 4 * 0.5 / 8


def test_its_pictures_are_none_of_the_shapes_dataset() -> None:
    conflict = next(iter(registry.load("datasets", "cue_conflict:test=64")))
    plain = next(iter(registry.load("datasets", "shapes:test=64")))
    assert not {i.numpy().tobytes() for i in conflict.images} & {i.numpy().tobytes() for i in plain.images}
    assert not set(conflict.ids) & set(plain.ids)


def test_reading_twice_gives_the_same_cases_and_other_parts_other_pictures() -> None:
    data = registry.load("datasets", "cue_conflict:test=64,fit=64,calibrate=64")
    first, second = next(iter(data)), next(iter(data))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, data.concepts("fit").images)
    assert not torch.equal(data.concepts("calibrate").images, data.concepts("fit").images)


class TestClasses:
    def test_the_question_changes_no_picture(self) -> None:
        plain = next(iter(registry.load("datasets", "cue_conflict:test=16")))
        for ask in ("shape", "texture", "shapes", "textures"):
            case = next(iter(registry.load("datasets", f"cue_conflict:ask={ask},test=16")))
            assert torch.equal(case.images, plain.images)
            assert case.ids == plain.ids

    @pytest.mark.parametrize(("ask", "place"), [("shape", "object"), ("texture", "surface")])
    def test_each_picture_is_asked_for_the_class_of_one_cue_and_is_where_that_shows(self, ask: str, place: str) -> None:
        case = next(iter(registry.load("datasets", f"cue_conflict:ask={ask},test=16")))
        assert torch.equal(case.targets[:, 0], getattr(case.truth, ask))
        assert case.truth.present.all()
        assert torch.equal(case.truth.masks[:, 0], getattr(case.truth, place))

    @pytest.mark.parametrize("ask", ["shape", "texture"])
    def test_or_for_all_classes_of_which_it_shows_that_one(self, ask: str) -> None:
        one, every = (next(iter(registry.load("datasets", f"cue_conflict:ask={a},test=16"))) for a in (ask, f"{ask}s"))
        assert every.targets.tolist() == [list(range(8))] * 16
        assert torch.equal(every.truth.present.int().argmax(1), one.targets[:, 0])
        assert every.truth.present.sum(1).tolist() == [1] * 16
        assert torch.equal(every.truth.masks[every.truth.present], one.truth.masks[:, 0])
        assert not every.truth.masks[~every.truth.present].any()

    def test_examples_show_their_class_and_there_may_be_none(self) -> None:
        dataset = registry.load("datasets", "cue_conflict:ask=texture,fit=70,calibrate=0,test=8")
        examples = dataset.concepts("fit")
        assert examples.names == dataset.names == tuple("01234567")
        assert examples.present.sum(1).tolist() == [1] * 70
        assert (examples.masks.flatten(2).any(2) == examples.present).all()
        assert torch.equal(examples.images, registry.load("datasets", "cue_conflict:fit=70").concepts("fit").images)
        assert dataset.concepts("calibrate").images.shape == (0, 3, 64, 64)
