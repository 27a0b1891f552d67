"""The drawn cue-conflict stimuli."""

from __future__ import annotations

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
