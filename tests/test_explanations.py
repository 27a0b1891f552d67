"""The lifts are what their formulas say, and keep the identities that bind the families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import networks
from ambench import explanations, features
from ambench.core import Concepts, Directions, InputError, Model, Portraits, Randomness
from ambench.models import with_probe_units, wrap

MODELS = networks.every()
NAMES = sorted(MODELS)


def double(name: str) -> Model:
    """A model in float64."""
    model = networks.every()[name]
    return replace(model, network=model.network.double())


def drawn(model: Model, pooling: str, count: int = 3) -> Directions:
    """Random unit vectors at the default layer, with a bias."""
    grid = features.read(model, networks.images(model, 1))[model.layer]
    stream = torch.Generator().manual_seed(7)
    shape = grid.shape[1:] if pooling == "none" else grid.shape[1:2]
    vectors = torch.randn(count, *shape, generator=stream).to(grid)
    vectors, bias = explanations.normalised(vectors, torch.randn(count, generator=stream).to(grid))
    return Directions(vectors, bias, model.layer, pooling)  # type: ignore[arg-type]


def probe_logit(directions: Directions, grid: Tensor) -> Tensor:
    """The definition, written with numpy: <v, pool(z)> + b, [B, K]."""
    cells = tuple(range(2, grid.ndim))
    pooled = {"mean": lambda z: z.mean(cells), "max": lambda z: z.max(cells), "none": lambda z: z}[directions.pooling]
    flat = pooled(grid.numpy()).reshape(len(grid), -1)
    return torch.from_numpy(flat @ directions.vectors.flatten(1).numpy().T + directions.bias.numpy())


# ------------------------------------------------------------------------------------------------ identities


@pytest.mark.parametrize("pooling", ["mean", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_localization_maps_are_complete(name, pooling):
    model = double(name)
    directions, x = drawn(model, pooling), networks.images(model)
    grid = features.read(model, x)[model.layer]
    maps = explanations.cell_logits(grid, directions.vectors, directions.bias)
    whole = maps.mean((2, 3)) if pooling == "mean" else maps.sum((2, 3))
    torch.testing.assert_close(whole, probe_logit(directions, grid), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_probes_logits(name, pooling):
    model = double(name)
    directions, x = drawn(model, pooling), networks.images(model)
    asked = torch.tensor([[2, 0], [1, 1], [0, 2], [2, 1]])
    found = explanations.localise(model, directions, x, asked)
    expected = probe_logit(directions, features.read(model, x)[model.layer])
    torch.testing.assert_close(found.scores, expected.gather(1, asked), rtol=0, atol=1e-12)
    assert found.values.shape == (4, 2, *x.shape[2:])


@pytest.mark.parametrize("name", NAMES)
def test_gradcam_of_a_mean_pooled_probe_at_its_own_layer_is_its_map_without_bias(name):
    """And so is HiResCAM, cell by cell; both before the ReLU."""
    model = double(name)
    x = networks.images(model)
    present = torch.arange(30)[:, None] % 2 == 0
    concepts = Concepts(("odd",), networks.images(model, 30, seed=3), present)
    grafted = with_probe_units(model, concepts, ["odd"], Randomness((0,)))
    weight, bias = grafted.network.weight, grafted.network.bias  # type: ignore[union-attr]
    taps = features.gradients(grafted, x, torch.full((4, 1), 5))
    grid, slopes = taps.grids[model.layer], taps.gradients[model.layer][:, 0]
    count = grid[0, 0].numel()
    expected = explanations.cell_logits(grid, weight, bias)[:, 0] - bias
    gradcam = (slopes.mean((2, 3), keepdim=True) * grid).sum(1)
    hirescam = (slopes * grid).sum(1)
    scale = float(expected.abs().max())
    torch.testing.assert_close(count * gradcam / scale, expected / scale, rtol=0, atol=1e-12)
    torch.testing.assert_close(count * hirescam / scale, expected / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["module", "48 x 80"])
def test_hirescam_of_a_spatial_probe_at_its_own_layer_is_its_map_without_bias(name):
    model = double(name)
    directions, x = drawn(model, "none", count=1), networks.images(model)
    leaf = features.read(model, x)[model.layer].requires_grad_()
    logit = (leaf * directions.vectors).sum() + 4 * directions.bias[0]
    (slopes,) = torch.autograd.grad(logit, leaf)
    cells = leaf[0, 0].numel()
    maps = explanations.cell_logits(leaf.detach(), directions.vectors, directions.bias)[:, 0]
    torch.testing.assert_close((slopes * leaf.detach()).sum(1), maps - directions.bias / cells, rtol=0, atol=1e-12)


def test_on_a_net_with_average_pooling_and_a_linear_head_the_map_of_a_row_is_cam():
    model = double("module")
    x = networks.images(model)
    grid = features.read(model, x)["relu2"]
    fc = model.network.fc
    cam = torch.einsum("uc,bchw->buhw", fc.weight.detach(), grid) + fc.bias.detach()[:, None, None]
    norm = fc.weight.detach().norm(dim=1)
    directions = Directions(*explanations.normalised(fc.weight.detach(), fc.bias.detach()), "relu2")
    asked = torch.arange(5).expand(4, -1)
    maps = explanations.cell_logits(grid, directions.vectors, directions.bias)
    torch.testing.assert_close(maps * norm[:, None, None], cam, rtol=0, atol=1e-12)
    scores = explanations.localise(model, directions, x, asked).scores
    torch.testing.assert_close(scores * norm, features.logits(model, x), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------------ portraits


def lifted(
    model: Model, alive: list[bool], pooling: str = "mean"
) -> tuple[Directions, np.ndarray, np.ndarray, Concepts]:
    made = Portraits(
        networks.images(model, 4, seed=1), torch.tensor([3, 1, 3, 1]), torch.tensor(alive), torch.zeros(4, 2)
    )
    contrast = Concepts(("three", "one"), networks.images(model, 6, seed=2), torch.eye(6, 2).bool())
    found = explanations.directions(model, made, torch.tensor([3, 1]), contrast, pooling=pooling)  # type: ignore[arg-type]
    ours, others = (
        features.pool(features.read(model, images)[model.layer], pooling).double().flatten(1).numpy()  # type: ignore[arg-type]
        for images in (made.images, contrast.images)
    )
    return found, ours, others, contrast


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_a_portraits_direction_is_the_difference_of_class_means(name, pooling):
    model = networks.every()[name]
    found, ours, others, _ = lifted(model, [True] * 4, pooling)
    for k, rows in enumerate(([0, 2], [1, 3])):
        without = [row for row in range(6) if row != k]  # example k shows concept k
        start, end = others[without].mean(0), ours[rows].mean(0)
        difference = end - start
        length = np.linalg.norm(difference)
        np.testing.assert_allclose(found.vectors[k].flatten(), difference / length, atol=1e-5)
        np.testing.assert_allclose(found.bias[k], -(difference / length) @ (start + end) / 2, atol=1e-5)
        np.testing.assert_allclose(found.details["distance"][k], length, rtol=1e-6)
    assert found.layer == model.layer
    assert found.pooling == pooling


def test_dead_portraits_are_left_out_and_all_dead_give_a_zero_vector():
    model = networks.cnn()
    found, ours, others, _ = lifted(model, [True, False, False, False])
    difference = ours[0] - others[1:].mean(0)
    np.testing.assert_allclose(found.vectors[0], difference / np.linalg.norm(difference), atol=1e-5)
    assert not found.vectors[1].any()
    assert found.bias[1] == 0
    maps = explanations.localise(model, found, networks.images(model), torch.ones(4, 1).long())
    assert not maps.values.any()  # flat, which metrics count
    assert not maps.scores.any()


def test_a_direction_separates_portraits_from_contrast_images_with_zero_half_way():
    model = networks.cnn()
    found, ours, others, _ = lifted(model, [True] * 4)
    vector, bias = found.vectors[0].double().numpy(), float(found.bias[0])
    assert ours[[0, 2]].mean(0) @ vector + bias == pytest.approx(-(others[1:].mean(0) @ vector + bias), abs=1e-6)
    assert ours[[0, 2]].mean(0) @ vector + bias > 0


def test_lifting_without_what_it_needs_is_refused():
    model = networks.cnn()
    made = Portraits(networks.images(model, 1), torch.tensor([3]), torch.tensor([True]), torch.zeros(1, 2))
    shown = Concepts(("three",), networks.images(model, 2), torch.ones(2, 1).bool())
    with pytest.raises(InputError, match="no contrast images without concept 'three'"):
        explanations.directions(model, made, torch.tensor([3]), shown)
    with pytest.raises(InputError, match="2 units need as many concepts"):
        explanations.directions(model, made, torch.tensor([3, 1]), shown)
    with pytest.raises(InputError, match="no portrait of unit 2"):
        explanations.directions(model, made, torch.tensor([2]), replace(shown, present=~shown.present))


# ------------------------------------------------------------------------------------------------ maps


@pytest.mark.parametrize("name", ["module", "swin", "registered"])
def test_localising_does_not_depend_on_the_other_images(name):
    model = MODELS[name]
    directions, x = drawn(model, "mean"), networks.images(model, 5)
    asked = torch.tensor([[0, 1], [2, 1], [1, 0], [2, 2], [0, 2]])
    whole = explanations.localise(model, directions, x, asked)
    for row in range(5):
        alone = explanations.localise(model, directions, x[row : row + 1], asked[row : row + 1])
        torch.testing.assert_close(alone.values[0], whole.values[row], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone.scores[0], whole.scores[row], rtol=1e-5, atol=1e-6)


def test_directions_that_do_not_fit_are_refused():
    model = networks.cnn()
    x, asked = networks.images(model), torch.zeros(4, 1).long()
    wide = Directions(torch.ones(2, 9), torch.zeros(2), "conv2")
    with pytest.raises(InputError, match=r"directions \[2, 9\] with pooling 'mean' do not fit layer 'conv2'"):
        explanations.localise(model, wide, x, asked)
    with pytest.raises(InputError, match="numbers of the 3 directions"):
        explanations.localise(model, drawn(model, "mean"), x, asked + 3)


def test_upsampling_is_linear_between_the_centres_of_cells():
    cells = torch.tensor([[[0.0, 1.0, 4.0]]])
    centres = (np.arange(12) + 0.5) / 4 - 0.5  # of pixels, in cells; beyond the outer centres the map is flat
    expected = np.interp(centres, [0, 1, 2], [0, 1, 4])
    np.testing.assert_allclose(explanations.upsample(cells, [12])[0, 0], expected, atol=1e-6)
    plane = explanations.upsample(cells[..., None, :].expand(1, 1, 2, 3), [6, 12])
    np.testing.assert_allclose(plane[0, 0], np.tile(expected, (6, 1)), atol=1e-6)


def test_upsampling_keeps_values_and_what_needs_no_change():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert explanations.upsample(maps, [4, 5]) is maps
    table = torch.zeros(2, 3)
    assert explanations.upsample(table, []) is table
    one = explanations.upsample(torch.full((1, 1, 1, 1), 7.0), [5, 3])
    assert one.tolist() == torch.full((1, 1, 5, 3), 7.0).tolist()
    with pytest.raises(InputError, match="maps of 1 dimensions"):
        explanations.upsample(torch.zeros(1, 1, 4), [8, 8])


def test_top_share_is_the_mean_of_the_largest_signed_values():
    maps = torch.arange(400.0).view(1, 2, 10, 20) - 300
    assert explanations.top_share(maps).tolist() == [[-105.5, 94.5]]  # of 200: the highest ten
    assert explanations.top_share(torch.tensor([[[-3.0, -1.0]]])).item() == -1.0  # at least one
    assert explanations.top_share(torch.full((1, 1, 8, 8), 0.25)).item() == 0.25


def test_normalised_vectors_have_unit_length_and_the_same_zero():
    vectors = torch.tensor([[3.0, 4.0], [1e-9, 0.0], [0.0, -2.0]])
    found, bias = explanations.normalised(vectors, torch.tensor([10.0, 1.0, 4.0]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))
    assert bias.tolist() == [2.0, 0.0, 2.0]


def test_series_have_maps_of_their_length():
    network = nn.Sequential(
        nn.Conv1d(1, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    model = wrap(networks.seeded(lambda: network), input_shape=(1, 21))
    directions = Directions(torch.eye(4)[:2], torch.zeros(2), model.layer)
    found = explanations.localise(model, directions, networks.images(model), torch.ones(4, 1).long())
    assert found.values.shape == (4, 1, 21)
