"""Combination CAVs against their two parts, and the joint one against scikit-learn on images and cells stacked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ambench import explanations, registry
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness


def given(channels: int, cells: int = 4) -> Model:
    """A network whose layer is its image, averaged down to a grid of cells."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(cells), nn.Flatten()).eval()
    return Model("given", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", (channels, 16, 16))


def drawn(count: int = 60, channels: int = 6) -> Concepts:
    """Noise with two concepts that each brighten a channel, in half of the cells of every second or third image."""
    random = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, 4, 4, generator=random) + 2
    present = torch.stack([torch.arange(count) % 2 == 0, torch.arange(count) % 3 == 0], 1)
    cells = torch.rand(count, 2, 16, generator=random).argsort(2).lt(12).reshape(count, 2, 4, 4)
    cells &= present[:, :, None, None]
    images[:, :2] += 0.5 * cells
    ids = tuple(f"example-{i}" for i in range(count))
    return Concepts(("a", "b"), larger(images), present, larger(cells), ids)


def larger(values: Tensor) -> Tensor:
    """Each cell as 4 x 4 pixels."""
    return values.repeat_interleave(4, 2).repeat_interleave(4, 3)


def fit(spec: str, concepts: Concepts, cells: int = 4) -> Directions:
    method = registry.load("methods", spec)
    return method.fit(given(concepts.images.shape[1], cells), concepts, Randomness((0,)))


def cosines(first: Tensor, second: Tensor) -> Tensor:
    return nn.functional.cosine_similarity(first.double(), second.double())


# ------------------------------------------------------------------------------------------------ sum


@pytest.mark.parametrize("solver", ["logistic", "svm", "ridge"])
def test_the_sum_is_that_of_the_unit_vectors_of_both_probes(solver: str) -> None:
    concepts = drawn()
    by_image = fit(f"cav:solver={solver}", concepts)
    by_cell = fit(f"segmentation_cav:solver={solver}", concepts)
    directions = fit(f"combination_cav:variant=sum,solver={solver}", concepts)
    both = by_image.vectors.double() + by_cell.vectors.double()
    torch.testing.assert_close(directions.vectors.double(), both / both.norm(dim=1, keepdim=True), rtol=0, atol=1e-6)
    agreement = (by_image.vectors.double() * by_cell.vectors.double()).sum(1)
    torch.testing.assert_close(directions.details["agreement"], agreement, rtol=0, atol=1e-6)
    torch.testing.assert_close(directions.details["accuracy"], by_image.details["accuracy"])
    assert (directions.pooling, directions.layer) == ("mean", "0")


def test_the_sum_is_the_default_and_passes_its_settings_on() -> None:
    concepts = drawn()
    settings = "inverse_penalty=.01,covered=.5,chunk=9"
    directions = fit(f"combination_cav:{settings}", concepts)
    both = fit("cav:inverse_penalty=.01", concepts).vectors + fit(f"segmentation_cav:{settings}", concepts).vectors
    torch.testing.assert_close(directions.vectors, both / both.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)


def test_two_equal_parts_are_given_back() -> None:
    """With one cell, and masks that fill it, cells are images."""
    concepts = drawn()
    full = replace(concepts, masks=concepts.present[:, :, None, None].expand(-1, -1, 16, 16))
    plain = fit("cav", full, cells=1)
    directions = fit("combination_cav", full, cells=1)
    torch.testing.assert_close(directions.vectors, plain.vectors, rtol=0, atol=1e-7)
    torch.testing.assert_close(directions.details["agreement"], torch.ones(2).double(), rtol=0, atol=1e-12)


def test_the_sum_is_undecided_half_way_between_the_means_of_both_sides() -> None:
    concepts = drawn()
    directions = fit("combination_cav", concepts)
    scores = explanations.localise(given(6), directions, concepts.images, torch.arange(2).expand(60, -1)).scores
    for concept in range(2):
        shown = concepts.present[:, concept]
        means = scores[shown, concept].mean(), scores[~shown, concept].mean()
        assert abs(float(means[0] + means[1])) < 1e-5
        assert means[0] > means[1]


# ------------------------------------------------------------------------------------------------ joint


@pytest.mark.parametrize("solver", ["logistic", "svm", "ridge"])
def test_a_joint_one_in_which_cells_weigh_nothing_is_the_cav(solver: str) -> None:
    concepts = drawn()
    plain = fit(f"cav:solver={solver}", concepts)
    directions = fit(f"combination_cav:variant=joint,cell_weight=0,solver={solver}", concepts)
    assert (cosines(directions.vectors, plain.vectors) > 0.999_999).all()
    torch.testing.assert_close(directions.bias, plain.bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(directions.details["accuracy"], plain.details["accuracy"])


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_joint_one_equals_scikit_learn_on_images_and_cells_stacked(share: float) -> None:
    """The masks are so large that four cells outside for each inside are all there are."""
    concepts = drawn()
    directions = fit(f"combination_cav:variant=joint,cell_weight={share}", concepts)
    grid = concepts.images[:, :, ::4, ::4].double().flatten(2).movedim(1, 2).numpy()  # [N, cells, C]
    inside = concepts.masks[:, :, ::4, ::4].flatten(2).numpy()  # type: ignore[index]
    pooled = grid.mean(1)
    centre, scale = pooled.mean(0), np.sqrt(((pooled - pooled.mean(0)) ** 2).mean())
    stacked = (np.concatenate([pooled, grid.reshape(-1, 6)]) - centre) / scale
    for concept, shown in enumerate(concepts.present.T.numpy()):
        labels = np.concatenate([shown, inside[:, concept].ravel()])
        parts = ((shown, 1 - share), (inside[:, concept].ravel(), share))
        weights = [np.where(part, 1 / part.sum(), 1 / (~part).sum()) * 60 * all_of / 2 for part, all_of in parts]
        reference = LogisticRegression(C=1, tol=1e-10, max_iter=10_000)
        reference.fit(stacked, labels, sample_weight=np.concatenate(weights))
        expected, length = reference.coef_[0], np.linalg.norm(reference.coef_[0])
        vector = directions.vectors[concept].double().numpy()
        np.testing.assert_allclose(vector, expected / length, rtol=0, atol=1e-5)
        said = stacked @ expected * scale / length + float(reference.intercept_[0]) * scale / length
        mine = (stacked * scale + centre) @ vector + float(directions.bias[concept])
        np.testing.assert_allclose(mine, said, rtol=0, atol=1e-4)


def test_more_weight_brings_a_joint_one_from_the_images_to_the_cells() -> None:
    concepts = drawn()
    by_image, by_cell = fit("cav", concepts).vectors, fit("segmentation_cav", concepts).vectors
    found = [fit(f"combination_cav:variant=joint,cell_weight={share}", concepts).vectors for share in (0.1, 0.5, 0.99)]
    for concept in range(2):
        to_images = [float(vectors[concept] @ by_image[concept]) for vectors in found]
        to_cells = [float(vectors[concept] @ by_cell[concept]) for vectors in found]
        assert to_images == sorted(to_images, reverse=True)
        assert to_cells == sorted(to_cells)


# ------------------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize("variant", ["sum", "joint"])
def test_parts_that_contradict_each_other_are_reported(variant: str) -> None:
    """Under the mask a channel is bright; in images with the concept it is dark everywhere else."""
    concepts = drawn()
    images = torch.randn(concepts.images.shape, generator=torch.Generator().manual_seed(1)) * 0.2
    masks = torch.zeros_like(concepts.masks)
    masks[:, :, :4, :8] = concepts.present[:, :, None, None]
    images[:, :2] += 1.0 * masks - 0.5 * concepts.present[:, :, None, None]
    against = replace(concepts, images=images, masks=masks)
    directions = fit(f"combination_cav:variant={variant}", against)
    by_image, by_cell = fit("cav", against).vectors, fit("segmentation_cav", against).vectors
    assert (directions.details["agreement"] < 0).all()
    torch.testing.assert_close(directions.details["agreement"], (by_image * by_cell).sum(1).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(directions.vectors.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("variant", ["sum", "joint", "sum,solver=sgd", "joint,solver=sgd"])
def test_order_of_examples_and_chunk_change_no_combination(variant: str) -> None:
    concepts = drawn()
    mixed = concepts.select(torch.randperm(60, generator=torch.Generator().manual_seed(3)))
    plain, other = (
        fit(f"combination_cav:variant={variant},chunk={chunk}", examples)
        for chunk, examples in ((64, concepts), (7, mixed))
    )
    torch.testing.assert_close(plain.vectors, other.vectors, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain.bias, other.bias, rtol=0, atol=1e-5)
    for name, values in plain.details.items():
        torch.testing.assert_close(values, other.details[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("setting", ["cell_weight=1", "cell_weight=-.1", "covered=0", "inverse_penalty=0", "chunk=0"])
def test_settings_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.split("=")[0]):
        fit(f"combination_cav:{setting}", drawn())
