"""The nouns: randomness keyed by what it belongs to, cases that can be cut, values that hide nothing."""

import pytest
import torch

from ambench.core import Case, Concepts, InputError, Layer, Model, Randomness, Truth, Values, generator, nearest


def test_generator_depends_on_its_key_alone():
    first = torch.rand(4, generator=generator(0, "a"))
    torch.rand(100, generator=generator(0, "b"))
    assert torch.equal(first, torch.rand(4, generator=generator(0, "a")))
    assert not torch.equal(first, torch.rand(4, generator=generator(1, "a")))
    assert not torch.equal(torch.rand(4, generator=generator("1", 2)), torch.rand(4, generator=generator(1, "2")))


def test_generator_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    torch.rand(3, generator=generator("x"))
    Randomness(("x",), ("a", "b")).normal(5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_an_image_keeps_its_noise_in_any_batch_and_order(draw):
    whole = getattr(Randomness((0, "m"), ("a", "b", "c")), draw)(2, 3)
    turned = getattr(Randomness((0, "m"), ("c", "a")), draw)(2, 3)
    assert torch.equal(whole[[2, 0]], turned)
    assert torch.equal(getattr(Randomness((0, "m"), ("a", "b", "c")).select([1]), draw)(2, 3), whole[1:2])


def test_repeats_and_children_are_independent_streams():
    randomness = Randomness((0, "m"), ("a",))
    draws = [randomness.normal(8), randomness.normal(8, repeat=1), randomness.child("part").normal(8)]
    assert len({tuple(d.flatten().tolist()) for d in draws}) == 3


def test_no_images_give_an_empty_draw():
    assert Randomness((0,)).normal(2, 3).shape == (0, 2, 3)


def _case(count: int = 5) -> Case:
    present = torch.arange(count * 2).reshape(count, 2) % 2 == 0
    truth = Truth(present, masks=present[:, :, None, None].expand(-1, -1, 4, 4), shape=torch.arange(count))
    ids = tuple(f"image-{i}" for i in range(count))
    return Case(torch.rand(count, 3, 4, 4, generator=generator("case")), torch.zeros(count, 2).long(), truth, ids)


def test_select_takes_images_truth_and_ids_together():
    case = _case().select([3, 1])
    assert case.ids == ("image-3", "image-1")
    assert case.truth.shape.tolist() == [3, 1]
    assert torch.equal(case.images, _case().images[[3, 1]])
    assert case.truth.texture is None
    assert torch.equal(case.truth.masks[:, :, 0, 0], case.truth.present)


def test_to_moves_every_tensor():
    case = _case().to("meta")
    known = [case.images, case.targets, *(value for value in vars(case.truth).values() if value is not None)]
    assert {tensor.device.type for tensor in known} == {"meta"}


def test_concepts_split_by_presence_and_know_their_mean_colour():
    images = torch.stack([torch.full((3, 2, 2), v) for v in (0.0, 0.5, 1.0)])
    concepts = Concepts(("ring",), images, torch.tensor([[True], [False], [True]]))
    assert concepts.positives(0).mean() == 0.5
    assert concepts.negatives(0).unique().tolist() == [0.5]
    assert concepts.mean.tolist() == [0.5, 0.5, 0.5]
    empty = Concepts(("ring",), torch.empty(0, 3, 2, 2), torch.empty(0, 1, dtype=torch.bool))
    assert empty.mean.tolist() == [0.5, 0.5, 0.5]


def test_values_hold_nothing_where_there_is_no_truth():
    values = Values.of(
        torch.tensor([[float("nan"), 1.0]]), defined=torch.tensor([[False, True]]), flat=torch.ones(1, 2)
    )
    assert values.values.tolist() == [[0.0, 1.0]]
    assert values.flat.tolist() == [[False, True]]
    assert values.values.dtype == torch.float64


def test_unknown_layer_names_the_nearest():
    network = torch.nn.Linear(2, 2)
    model = Model("toy", "none", network, {"a": 0}, {"fc": Layer("fc", network, lambda z: z)}, "fc", (2,), ("a",))
    with pytest.raises(InputError, match=r"no layer 'fcc'; did you mean 'fc'\?"):
        model.at("fcc")
    assert model.at(None).name == "fc"
    assert model.class_units == (0,)


def test_nearest_lists_everything_when_nothing_is_near():
    assert nearest("zzz", ["b", "a"]) == "valid: a, b"
    assert nearest("zzz", []) == "valid: none"
