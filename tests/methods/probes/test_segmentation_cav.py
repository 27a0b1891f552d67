"""Segmentation CAVs against scikit-learn on the same cells, on planted directions, and where masks are missing."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn

from ambench import explanations, registry
from ambench.activations import Held
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness, Skipped

PROBES = "ambench.methods.probes"
Cells = importlib.import_module(f"{PROBES}._cells").Cells
Sample = importlib.import_module(f"{PROBES}._probe").Sample
folds = importlib.import_module(f"{PROBES}._examples").folds


def given(channels: int, cells: tuple[int, int] = (4, 4)) -> Model:
    """A network whose layer is its image, averaged down to a grid of cells."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(cells), nn.Flatten()).eval()
    layers = {"0": Layer("0", network[0], lambda z: z), "flat": Layer("flat", network[1], lambda z: z)}
    return Model("given", "none", network, {}, layers, "0", (channels, 16, 16))


def fit(spec: str, concepts: Concepts, cells: tuple[int, int] = (4, 4)) -> Directions:
    method = registry.load("methods", spec)
    return method.fit(given(concepts.images.shape[1], cells), concepts, Randomness((0,)))


def cells_of(concepts: Concepts, cells: tuple[int, int] = (4, 4), covered: float = 0.25) -> Any:
    grid = given(concepts.images.shape[1], cells).network[0](concepts.images)
    return Cells.of(Sample(concepts, Held(grid), "0", Randomness((0,))), covered)


def rectangles(count: int, sides: tuple[int, int], extent: tuple[int, int] = (16, 16), seed: int = 0) -> Tensor:
    """Masks [N, *extent] of rectangles whose sides lie between two bounds; every second image has none."""
    random = np.random.default_rng(seed)
    masks = torch.zeros(count, *extent, dtype=torch.bool)
    for i in range(0, count, 2):
        height, width = random.integers(sides[0], sides[1] + 1, 2)
        top, left = random.integers(0, extent[0] - height + 1), random.integers(0, extent[1] - width + 1)
        masks[i, top : top + height, left : left + width] = True
    return masks


def drawn(
    count: int = 60, sides: tuple[int, int] = (9, 12), extent: tuple[int, int] = (16, 16), channels: int = 5
) -> Concepts:
    """Noise with two concepts that each brighten a channel where their masks are; the second is faint."""
    random = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, *extent, generator=random) + 2
    masks = torch.stack([rectangles(count, sides, extent, 1), rectangles(count, sides, extent, 2)], 1)
    images[:, :2] += masks * torch.tensor([1.0, 0.3])[:, None, None]
    ids = tuple(f"example-{i}" for i in range(count))
    return Concepts(("clear", "faint"), images, masks.flatten(2).any(2), masks, ids)


def averaged(masks: Tensor, cells: tuple[int, int]) -> np.ndarray:
    """The share of each cell that masks [N, K, *extent] cover [N, K, *cells], window by window."""
    bounds = [
        [(math.floor(i * size / n), math.ceil((i + 1) * size / n)) for i in range(n)]
        for size, n in zip(masks.shape[2:], cells, strict=True)
    ]
    rows = [[masks[:, :, a:b, c:d].double().mean((2, 3)) for c, d in bounds[1]] for a, b in bounds[0]]
    return torch.stack([torch.stack(row, -1) for row in rows], -2).numpy()


def standard(features: np.ndarray) -> np.ndarray:
    moved = features - features.mean(0)
    return moved / np.sqrt((moved**2).mean())


def cosine(first: Any, second: Any) -> float:
    one, other = np.asarray(first, dtype=float).ravel(), np.asarray(second, dtype=float).ravel()
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def shuffled(concepts: Concepts) -> Concepts:
    return concepts.select(torch.randperm(len(concepts), generator=torch.Generator().manual_seed(3)))


# ------------------------------------------------------------------------------------------------ the formula


@pytest.mark.parametrize("covered", [0.25, 0.5])
@pytest.mark.parametrize("cells", [(4, 4), (3, 5)], ids=["divides", "does not divide"])
def test_a_segmentation_cav_equals_scikit_learn_on_the_same_cells(cells: tuple[int, int], covered: float) -> None:
    """The masks are so large that four cells outside for each inside are all there are."""
    concepts = drawn()
    directions = fit(f"segmentation_cav:covered={covered}", concepts, cells)
    cover = averaged(concepts.masks, cells).reshape(60, 2, -1)  # type: ignore[arg-type]
    grid = given(5, cells).network[0](concepts.images).double().flatten(2).movedim(1, 2).numpy()  # [N, cells, C]
    kept = ((cover >= covered) | (cover == 0)).any(1)
    features, image = standard(grid[kept]), np.nonzero(kept)[0]
    for concept in range(2):
        share = cover[:, concept][kept]
        used = (share >= covered) | (share == 0)
        assert not used.all()  # cells that are covered a little are left out
        labels = share >= covered
        probe = LogisticRegression(C=1, class_weight="balanced", tol=1e-10, max_iter=10_000)
        weights = probe.fit(features[used], labels[used]).coef_[0]
        assert cosine(directions.vectors[concept], weights) > 0.999_999
        fold = folds(concepts)[image, concept].numpy()  # an image's cells are left out together
        said = np.zeros(len(labels), dtype=bool)
        for number in range(5):
            out = fold == number
            said[out] = probe.fit(features[used & ~out], labels[used & ~out]).predict(features[out])
        expected = balanced_accuracy_score(labels[used], said[used])
        assert abs(float(directions.details["accuracy"][concept]) - expected) < 1e-9
    assert not directions.details["rescued"].any()
    assert not directions.details["dropped"].any()
    assert (directions.pooling, directions.vectors.shape) == ("peak", (2, 5))


def test_a_planted_channel_that_equals_the_mask_is_found() -> None:
    concepts = drawn(sides=(5, 8), channels=8)
    images = concepts.images * 0.2
    images[:, 6] = concepts.masks[:, 1].float()  # type: ignore[index]
    vector = fit("segmentation_cav", replace(concepts, images=images)).vectors[1]
    assert float(vector[6]) > 0.99


def test_cells_recover_the_planted_direction_from_which_pooled_images_tilt_away() -> None:
    """A small concept adds s to a few cells; something oblique to s comes over the whole image, or does not.

    To a cell that is little beside the concept; in the mean of all cells the concept is little beside it.
    """
    random = torch.Generator().manual_seed(0)
    count, width = 400, 6
    planted = nn.functional.normalize(torch.randn(width, generator=random), dim=0)
    other = torch.randn(width, generator=random)
    other = nn.functional.normalize(other - (other @ planted) * planted, dim=0)
    distractor = 0.8 * planted + 0.6 * other
    masks = torch.zeros(count, 4, 4, dtype=torch.bool)
    masks.flatten(1)[torch.arange(0, count, 2), torch.randint(16, (count // 2,), generator=random)] = True
    masks = masks.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
    strength = 0.2 * torch.randn(count, 1, 1, 1, generator=random)
    noise = 0.25 * torch.randn(count, width, 4, 4, generator=random)
    images = masks * planted[:, None, None] + strength * distractor[:, None, None]
    images = images + noise.repeat_interleave(4, 2).repeat_interleave(4, 3)
    concepts = Concepts(("planted",), images, masks.flatten(2).any(2), masks)
    assert float(fit("segmentation_cav", concepts).vectors[0] @ planted) > 0.95
    for solver in ("logistic", "svm", "ridge"):
        assert float(fit(f"cav:solver={solver},inverse_penalty=10", concepts).vectors[0] @ planted) < 0.85


# ------------------------------------------------------------------------------------------------ which cells


@pytest.mark.parametrize("cells", [(4, 4), (3, 5)])
def test_cells_outside_are_untouched_by_the_concept_and_cells_inside_covered(cells: tuple[int, int]) -> None:
    concepts = drawn(sides=(5, 8))
    found = cells_of(concepts, cells)
    cover = averaged(concepts.masks, cells).reshape(60, 2, -1)  # type: ignore[arg-type]
    grid = given(5, cells).network[0](concepts.images).flatten(2)
    inside, seen = cover >= 0.25, set()
    assert found.inside.sum(0).tolist() == inside.sum((0, 2)).tolist()
    for row, image in enumerate(found.image.tolist()):
        (place,) = (grid[image] == found.features[row][:, None]).all(0).nonzero().flatten().tolist()
        seen.add((image, place))
        assert (found.inside[row].numpy() == inside[image, :, place]).all()
        assert (cover[image, found.outside[row].numpy(), place] == 0).all()
    assert len(seen) == len(found.image)
    assert found.used.any(1).all()


@pytest.mark.parametrize("every", [2, 10, 50])
def test_there_are_at_most_four_cells_outside_for_each_inside(every: int) -> None:
    """However rare the concept is; and no fewer, where there are as many."""
    concepts = drawn(100, sides=(4, 5))
    masks = concepts.masks & (torch.arange(100) % every == 0)[:, None, None, None]  # type: ignore[operator]
    found = cells_of(replace(concepts, masks=masks, present=masks.flatten(2).any(2)))
    inside, outside = found.inside.sum(0), found.outside.sum(0)
    assert outside.tolist() == (4 * inside).tolist()


def test_every_image_gives_an_equal_share_of_the_cells_outside() -> None:
    concepts = drawn(100, sides=(4, 5))
    found = cells_of(concepts)
    for concept in range(2):
        shares = found.image[found.outside[:, concept]].bincount(minlength=100)
        assert int(shares.max() - shares.min()) <= 1


def test_the_lot_of_cells_outside_depends_on_the_name_of_the_image_alone() -> None:
    concepts = drawn(sides=(4, 5))
    plain, mixed = cells_of(concepts), cells_of(shuffled(concepts))
    for concept in range(2):
        one, other = (part.features[part.outside[:, concept]] for part in (plain, mixed))
        assert sorted(one.tolist()) == sorted(other.tolist())
    renamed = cells_of(replace(concepts, ids=tuple(f"other-{i}" for i in range(60))))
    assert sorted(renamed.features.tolist()) != sorted(plain.features.tolist())


def test_a_concept_smaller_than_a_quarter_cell_is_stood_for_by_its_best_cell() -> None:
    concepts = drawn(sides=(1, 1))
    masks = concepts.masks.clone()  # type: ignore[union-attr]
    masks[:] = False
    masks[::2, 0, 3, 3:6] = True  # a pixel of cell (0, 0), two of cell (0, 1)
    masks[::2, 1, 8:12, 8:12] = True  # the whole of cell (2, 2)
    masks[0, 1] = False
    masks[0, 1, 8, 8:10] = True  # but once an eighth of it
    small = replace(concepts, masks=masks, present=masks.flatten(2).any(2))
    found = cells_of(small)
    grid = given(5).network[0](concepts.images)
    assert found.rescued.tolist() == [30, 1]
    assert torch.equal(found.features[found.inside[:, 0]], grid[::2, :, 0, 1])
    assert torch.equal(found.features[found.inside[:, 1]], grid[::2, :, 2, 2])
    beside = grid[::2, :, 0, 0]  # touched by the concept, so not outside either
    assert not (found.features[found.outside[:, 0]][:, None] == beside).all(2).any()
    assert fit("segmentation_cav", small).details["rescued"].tolist() == [30, 1]
    assert cells_of(small, covered=0.125).rescued.tolist() == [0, 0]


def test_one_of_two_cells_that_are_covered_equally_is_taken() -> None:
    concepts = drawn()
    masks = torch.zeros_like(concepts.masks)
    masks[::2, :, 3:5, 3:5] = True  # a pixel of each of four cells
    found = cells_of(replace(concepts, masks=masks, present=masks.flatten(2).any(2)))
    assert found.inside.sum(0).tolist() == [30, 30]


def test_a_positive_without_a_mask_is_dropped_and_counted() -> None:
    concepts = drawn(sides=(5, 8))
    masks = concepts.masks.clone()  # type: ignore[union-attr]
    masks[:6, 0] = False  # of the first six, three show it
    lost = replace(concepts, masks=masks, names=("a",))
    lost = replace(lost, masks=masks[:, :1], present=concepts.present[:, :1])
    directions = fit("segmentation_cav", lost)
    assert directions.details["dropped"].tolist() == [3]
    changed = concepts.images.clone()
    changed[:6:2] = 1000 + torch.randn(3, 5, 16, 16, generator=torch.Generator().manual_seed(4))
    same = fit("segmentation_cav", replace(lost, images=changed))
    assert torch.equal(directions.vectors, same.vectors)
    assert torch.equal(directions.bias, same.bias)
    changed[1] += 5  # a negative is not dropped
    assert not torch.equal(directions.vectors, fit("segmentation_cav", replace(lost, images=changed)).vectors)


# ------------------------------------------------------------------------------------------------ scores and maps


def cell_logits(directions: Directions, images: Tensor) -> np.ndarray:
    """Each cell's logit [N, K, cells], by numpy."""
    grid = given(images.shape[1]).network[0](images).flatten(2).double().numpy()
    vectors, bias = directions.vectors.double().numpy(), directions.bias.double().numpy()
    return np.stack([vectors @ image + bias[:, None] for image in grid])


@pytest.mark.parametrize(("score", "reduce"), [("peak", np.max), ("mean", np.mean)])
def test_an_images_score_is_the_largest_or_the_mean_of_its_cells_logits(score: str, reduce: Any) -> None:
    concepts = drawn()
    directions = fit(f"segmentation_cav:score={score}", concepts)
    assert directions.pooling == score
    asked = torch.arange(2).expand(60, -1)
    found = explanations.localise(given(5), directions, concepts.images, asked)
    expected = reduce(cell_logits(directions, concepts.images), axis=2)
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-5)
    assert found.values.shape == (60, 2, 16, 16)


def test_a_spatial_one_has_a_weight_for_each_cell_and_equals_scikit_learn() -> None:
    concepts = drawn(sides=(5, 8))
    directions = fit("segmentation_cav:spatial=true", concepts)
    assert (directions.vectors.shape, directions.pooling) == ((2, 5, 4, 4), "none")
    grid = given(5).network[0](concepts.images).double().numpy()
    cover = averaged(concepts.masks, (4, 4))  # type: ignore[arg-type]
    for concept in range(2):
        shown = concepts.present[:, concept].numpy()
        under = cover[shown, concept][:, None]
        parts = np.concatenate([grid[shown] * under, grid[shown] * (1 - under)]).reshape(2 * shown.sum(), -1)
        labels = np.arange(len(parts)) < len(parts) // 2
        reference = LogisticRegression(C=1e-3, tol=1e-10, max_iter=10_000).fit(standard(parts), labels)
        assert cosine(directions.vectors[concept], reference.coef_) > 0.999_999
        length = np.linalg.norm(reference.coef_)
        said = parts @ directions.vectors[concept].double().numpy().ravel() + float(directions.bias[concept])
        scale = np.sqrt(((parts - parts.mean(0)) ** 2).mean())
        expected = reference.decision_function(standard(parts)) * scale / length
        np.testing.assert_allclose(said, expected, rtol=0, atol=1e-4)


def test_the_map_of_a_spatial_one_adds_up_to_its_score() -> None:
    concepts = drawn(sides=(5, 8))
    directions = fit("segmentation_cav:spatial=true", concepts)
    grid = given(5).network[0](concepts.images).double()
    maps = explanations.cell_logits(grid, directions.vectors.double(), directions.bias.double())
    found = explanations.localise(given(5), directions, concepts.images, torch.arange(2).expand(60, -1))
    np.testing.assert_allclose(found.scores, maps.sum((2, 3)), rtol=0, atol=1e-4)
    by_hand = grid.flatten(1).numpy() @ directions.vectors.double().flatten(1).numpy().T + directions.bias.numpy()
    np.testing.assert_allclose(maps.sum((2, 3)), by_hand, rtol=0, atol=1e-10)


# ------------------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize(
    "spec", ["solver=sgd", "score=mean,solver=svm", "solver=ridge", "solver=logistic", "spatial=true"]
)
def test_order_of_examples_and_chunk_change_no_segmentation(spec: str) -> None:
    concepts = drawn(sides=(4, 6))
    plain = fit(f"segmentation_cav:{spec}", concepts)
    mixed = fit(f"segmentation_cav:{spec}", shuffled(concepts))
    assert torch.equal(plain.vectors, fit(f"segmentation_cav:{spec},chunk=7", concepts).vectors)
    torch.testing.assert_close(plain.vectors, mixed.vectors, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain.bias, mixed.bias, rtol=0, atol=1e-5)
    for name, values in plain.details.items():
        torch.testing.assert_close(values, mixed.details[name])


def refusals() -> Sequence[Any]:
    return [
        pytest.param("segmentation_cav", lambda c: replace(c, masks=None), "have none", id="no masks"),
        pytest.param("segmentation_cav", _empty, "'faint'", id="empty masks"),
        pytest.param("segmentation_cav:spatial=true", _empty, "'faint'", id="empty masks, spatial"),
        pytest.param("segmentation_cav:layer=flat", lambda c: c, "'flat' has no cells", id="no cells"),
        pytest.param("combination_cav", lambda c: replace(c, masks=None), "have none", id="no masks, combined"),
        pytest.param("segmentation_cav", _rare, "'faint'", id="too few"),
    ]


def _empty(concepts: Concepts) -> Concepts:
    masks = concepts.masks.clone()  # type: ignore[union-attr]
    masks[:, 1] = False
    return replace(concepts, masks=masks)


def _rare(concepts: Concepts) -> Concepts:
    return replace(concepts, present=concepts.present & torch.tensor([[True, i < 8] for i in range(60)]))


@pytest.mark.parametrize(("spec", "change", "said"), refusals())
def test_without_masks_cells_or_examples_it_is_skipped_with_the_reason(spec: str, change: Any, said: str) -> None:
    with pytest.raises(Skipped, match=said):
        fit(spec, change(drawn()))


@pytest.mark.parametrize("spec", ["segmentation_cav", "segmentation_cav:spatial=true", "combination_cav"])
def test_an_example_that_is_not_finite_is_named(spec: str) -> None:
    concepts = drawn()
    concepts.images[8, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="example-8"):
        fit(spec, concepts)


@pytest.mark.parametrize("setting", ["covered=0", "covered=1.5", "inverse_penalty=0", "chunk=0"])
def test_settings_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.split("=")[0]):
        fit(f"segmentation_cav:{setting}", drawn())
