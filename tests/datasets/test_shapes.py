"""The drawn dataset: exact masks, exact pairs, honest contexts, and independence from how it is read."""

from __future__ import annotations

import importlib

import pytest
import torch

from ambench import registry
from ambench.augmentations import AUGMENTATIONS
from ambench.core import Concepts, Dataset, InputError

CONCEPTS = ("marker", "patch", "glyph", "ring")


def dataset(**settings: float) -> Dataset:
    text = ",".join(f"{name}={value}" for name, value in settings.items())
    loaded = registry.load("datasets", f"shapes:{text}" if text else "shapes")
    assert isinstance(loaded, Dataset)
    return loaded


@pytest.fixture(scope="module")
def fit() -> Concepts:
    return dataset(fit=1500).concepts("fit")


def contexts_by_hand() -> dict[str, set[int]]:
    return {"marker": {1, 3, 5, 7}, "patch": {2, 3, 6, 7}, "glyph": {4, 5, 6, 7}, "ring": {1, 2, 4, 7}}


def shapes_of(part: str, count: int) -> torch.Tensor:
    series = importlib.import_module("ambench.datasets.drawing.series")
    shape: torch.Tensor = series.balanced_classes(0, part, count)[0]
    return shape


def test_images_are_eight_bit_values_in_the_unit_range(fit: Concepts) -> None:
    assert fit.images.dtype == torch.float32
    assert fit.images.min() >= 0
    assert fit.images.max() <= 1
    levels = fit.images[:64] * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_the_concepts_are_the_four_and_each_has_a_unit_in_the_embedded_networks() -> None:
    zoo = importlib.import_module("ambench.zoo")
    assert dataset().names == CONCEPTS
    assert all(set(CONCEPTS) <= set(zoo.units(name)) for name in zoo.NAMES if "series" not in name)


def test_a_mask_is_empty_exactly_where_the_concept_is_absent(fit: Concepts) -> None:
    assert fit.masks is not None
    assert torch.equal(fit.masks.any((2, 3)), fit.present)


def test_a_concept_covers_what_its_radius_says(fit: Concepts) -> None:
    assert fit.masks is not None
    area = fit.masks.sum((2, 3)).float()
    mean = torch.stack([area[fit.present[:, k], k].mean() for k in range(4)])
    radius = 0.18 * 32
    expected = torch.tensor([torch.pi * radius**2, (2 * 0.88 * radius) ** 2])
    assert torch.allclose(mean[:2], expected, rtol=0.12)
    ring = torch.pi * radius**2 * (1 - 0.52**2)
    assert mean[3].item() == pytest.approx(ring, rel=0.2)


def test_concepts_never_overlap_and_are_never_covered(fit: Concepts) -> None:
    assert fit.masks is not None
    assert int(fit.masks.sum(1).max()) == 1


def test_examples_follow_the_correlation(fit: Concepts) -> None:
    shape = shapes_of("fit", 1500)
    for k, (_, context) in enumerate(contexts_by_hand().items()):
        usual = torch.isin(shape, torch.tensor(sorted(context)))
        inside, outside = fit.present[usual, k].double().mean(), fit.present[~usual, k].double().mean()
        error = 4 * (0.9 * 0.1 / 750) ** 0.5
        assert abs(inside - 0.9) < error
        assert abs(outside - 0.1) < error


def test_contexts_have_probability_one_half_and_are_pairwise_independent() -> None:
    module = importlib.import_module("ambench.datasets.shapes")
    table = module.contexts(torch.arange(8))
    by_hand = torch.tensor([[shape in context for context in contexts_by_hand().values()] for shape in range(8)])
    assert torch.equal(table, by_hand)
    joint = table.double().T @ table.double() / 8
    assert torch.equal(joint, torch.full((4, 4), 0.25, dtype=torch.float64) + 0.25 * torch.eye(4).double())


def test_half_of_the_test_pairs_are_hard_and_weights_restore_the_examples_frequencies() -> None:
    cases = list(dataset(test=1024))
    present = torch.cat([case.truth.present for case in cases])
    shape = torch.cat([case.truth.shape for case in cases if case.truth.shape is not None])
    hard = torch.cat([case.truth.hard for case in cases if case.truth.hard is not None])
    weight = torch.cat([case.truth.weight for case in cases if case.truth.weight is not None])
    for k, context in enumerate(contexts_by_hand().values()):
        usual = torch.isin(shape, torch.tensor(sorted(context)))
        assert torch.equal(hard[:, k], present[:, k] != usual)
        assert abs(hard[:, k].double().mean() - 0.5) < 4 * 0.5 / 32
        among_usual = (weight[:, k] * present[:, k])[usual].sum() / weight[usual, k].sum()
        assert abs(among_usual - 0.9) < 0.03
    assert sorted(set(weight.flatten().tolist())) == pytest.approx([0.2, 1.8])


def test_an_even_correlation_gives_decorrelated_examples() -> None:
    even = dataset(correlation=0.5, fit=1500).concepts("fit")
    shape = shapes_of("fit", 1500)
    for k, context in enumerate(contexts_by_hand().values()):
        usual = torch.isin(shape, torch.tensor(sorted(context)))
        assert abs(even.present[usual, k].double().mean() - even.present[~usual, k].double().mean()) < 0.11


@pytest.mark.parametrize("count", [64, 256, 200])
def test_classes_are_balanced_in_every_part(count: int) -> None:
    series = importlib.import_module("ambench.datasets.drawing.series")
    for part in ("fit", "calibrate", "test"):
        for cue in series.balanced_classes(0, part, count):
            assert torch.bincount(cue, minlength=8).tolist() == [count // 8] * 8


def test_reading_twice_gives_the_same_cases() -> None:
    data = dataset(test=96)
    for one, other in zip(data, data, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.ids == other.ids


def test_equal_settings_give_equal_objects_and_other_settings_another_revision() -> None:
    assert dataset(test=96) == dataset(test=96)
    assert hash(dataset(test=96)) == hash(dataset(test=96))
    revisions = {dataset(**change).revision for change in ({}, {"seed": 1}, {"correlation": 0.8}, {"size": 32})}
    assert len(revisions) == 4


def test_pictures_do_not_depend_on_chunk_or_order() -> None:
    series = importlib.import_module("ambench.datasets.drawing.series")
    classes = series.balanced_classes(0, "test", 64)
    share = torch.full((64, 4), 0.5)
    whole, _ = series.pictures(0, "test", range(64), classes, share)
    for rows in ([5], [63, 5, 17], list(range(63, -1, -1)), [3, 3]):
        some, _ = series.pictures(0, "test", rows, classes, share)
        for name, value in vars(some).items():
            assert torch.equal(value, getattr(whole, name)[rows]), name


def test_more_images_leave_the_first_parameters_of_an_index_alone() -> None:
    scenes = importlib.import_module("ambench.datasets.drawing.scene")
    shape = texture = torch.zeros(2, dtype=torch.long)
    two = scenes.scene(0, "fit", [0, 1], shape, texture, torch.full((2, 4), 0.5))
    one = scenes.scene(0, "fit", [1], shape[:1], texture[:1], torch.full((1, 4), 0.5))
    assert torch.equal(two.concepts.x[1:], one.concepts.x)
    assert torch.equal(two.noise[1:], one.noise)


def test_the_parts_are_disjoint_and_so_are_seeds() -> None:
    parts = [dataset(fit=200).concepts("fit").images, dataset(calibrate=200).concepts("calibrate").images]
    parts.append(torch.cat([case.images for case in dataset(test=200)]))
    parts.append(torch.cat([case.images for case in dataset(test=200, seed=1)]))
    seen = {image.numpy().tobytes() for part in parts for image in part}
    assert len(seen) == 800


def test_ids_are_unique_over_parts() -> None:
    data = dataset(fit=50, calibrate=50, test=100)
    ids = [*data.concepts("fit").ids, *data.concepts("calibrate").ids, *(name for case in data for name in case.ids)]
    assert len(set(ids)) == 200


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_pair_differs_inside_the_concepts_mask_and_nowhere_else(concept: str) -> None:
    pairs = dataset().pairs(concept, 96)  # type: ignore[attr-defined]
    changed = (pairs.shown != pairs.hidden).any(1)
    assert not bool((changed & ~pairs.mask).any())
    assert bool(pairs.mask.any((1, 2)).all())
    assert (changed & pairs.mask).sum() > 0.97 * pairs.mask.sum()


def test_pairs_change_no_other_mask() -> None:
    parts = importlib.import_module("ambench.datasets.drawing.parts")
    zeros = torch.zeros(8, dtype=torch.long)
    part = parts.DrawnPart("pairs", 0, 64, torch.arange(8), zeros, torch.full((8, 4), 1.0))
    without = torch.full((8, 4), 1.0)
    without[:, 2] = 0
    on, off = part.draw(range(8))[0], part.draw(range(8), without)[0]
    glyph = on.concepts[:, 2]
    assert not bool(off.concepts[:, 2].any())
    assert torch.equal(on.concepts[:, [0, 1, 3]], off.concepts[:, [0, 1, 3]])
    for name in ("object", "surface", "distractors"):
        assert torch.equal(getattr(on, name), getattr(off, name) & ~glyph), name


@pytest.mark.parametrize("size", [32, 47, 96])
def test_every_size_shows_the_same_scene(size: int) -> None:
    small, usual = next(iter(dataset(test=32, size=size))), next(iter(dataset(test=32)))
    assert small.images.shape == (32, 3, size, size)
    assert torch.equal(small.truth.present, usual.truth.present)
    assert small.truth.object is not None
    assert usual.truth.object is not None
    share, expected = small.truth.object.double().mean((1, 2)), usual.truth.object.double().mean((1, 2))
    assert torch.allclose(share, expected, atol=0.03)


@pytest.mark.parametrize("settings", ["correlation=1.5", "test=-1", "size=8"])
def test_impossible_settings_are_refused(settings: str) -> None:
    with pytest.raises(InputError):
        registry.load("datasets", f"shapes:{settings}")


def test_unknown_part_and_concept_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="'fit'"):
        dataset().concepts("fitt")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'marker'"):
        dataset().pairs("markers", 2)  # type: ignore[attr-defined]


def test_an_empty_part_is_empty() -> None:
    assert len(dataset(fit=0).concepts("fit")) == 0
    assert list(dataset(test=0)) == []


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(dataset(test=8))
    assert torch.equal(before, torch.get_rng_state())


def test_a_changed_drawing_needs_another_version() -> None:
    case = next(iter(dataset(test=8)))
    assert case.truth.object is not None
    assert dataset().revision.startswith("1:")
    means = [0.4530, 0.5739, 0.3627, 0.4312, 0.5090, 0.5100, 0.3877, 0.4207]
    assert case.images.mean((1, 2, 3)).tolist() == pytest.approx(means, abs=2e-4)
    sizes = [405, 893, 537, 603, 579, 478, 364, 199]
    assert case.truth.object.sum((1, 2)).tolist() == pytest.approx(sizes, abs=2)


def test_concepts_made_of_colour_do_not_survive_its_change():
    keeps = dataset(fit=8).concepts("fit").keeps
    assert set(keeps["patch"]) == set(AUGMENTATIONS)
    assert set(AUGMENTATIONS) - set(keeps["ring"]) == {"hue", "grey"} == set(AUGMENTATIONS) - set(keeps["marker"])


def test_the_textured_surface_lies_within_the_object():
    truth = next(iter(dataset(test=32))).truth
    assert bool(truth.surface.any((1, 2)).all())
    assert not bool((truth.surface & ~truth.object).any())
    assert not bool((truth.surface & truth.distractors).any())
