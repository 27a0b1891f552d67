"""ROAD: the imputation against sparse solvers, and the difference of what is left when hot or cold pixels go."""

from __future__ import annotations

import importlib
from itertools import product

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from torch import Tensor

import networks
import perturbed
from ambench import registry
from ambench.core import InputError, Randomness, Skipped

imputed = importlib.import_module("ambench.metrics.faithfulness._imputation").imputed
GREY = torch.full((3,), 0.5)


def solved(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return one image [C, *extent] with removed pixels [*extent] from one sparse solve, equation by equation."""
    extent = removed.shape
    places = list(product(*map(range, extent)))
    unknown = [place for place in places if removed[place]]
    number = {place: n for n, place in enumerate(unknown)}
    matrix, right = scipy.sparse.lil_matrix((len(unknown),) * 2), np.zeros((len(unknown), len(image)))
    for place in unknown:
        for step in product((-1, 0, 1), repeat=len(extent)):
            other = tuple(a + b for a, b in zip(place, step, strict=True))
            if not any(step) or not all(0 <= a < side for a, side in zip(other, extent, strict=True)):
                continue
            weight = 2.0 ** sum(s == 0 for s in step)  # in pictures 2 for direct neighbours, 1 for diagonal ones
            matrix[number[place], number[place]] += weight
            if removed[other]:
                matrix[number[place], number[other]] -= weight
            else:
                right[number[place]] += weight * image[(slice(None), *other)]
    found = image.copy()
    solution = scipy.sparse.linalg.spsolve(matrix.tocsc(), right).reshape(len(unknown), len(image))
    for place in unknown:
        found[(slice(None), *place)] = solution[number[place]]
    return found


def holes(share: float, *extent: int, count: int = 4) -> Tensor:
    """Scattered pixels, or below -1 a solid block of the middle."""
    if share > 0:
        return torch.rand(count, *extent, generator=torch.Generator().manual_seed(1)) < share
    block = torch.zeros(count, *extent, dtype=torch.bool)
    block[(slice(None), *(slice(side // 6, side - side // 6) for side in extent))] = True
    return block


# ------------------------------------------------------------------------------------------------ imputation


@pytest.mark.parametrize("share", [0.2, 0.7, 0.95, -1.0])
@pytest.mark.parametrize(("channels", "extent"), [(3, (14, 14)), (1, (9, 17)), (2, (40,)), (1, (5, 6, 4))], ids=str)
def test_the_imputation_is_the_solution_of_the_sparse_system(
    channels: int, extent: tuple[int, ...], share: float
) -> None:
    images, removed = perturbed.images(4, channels, extent, dtype=torch.float64), holes(share, *extent)
    found = imputed(images, removed, GREY[:channels], 1e-12)
    for row in range(4):
        expected = solved(images[row].numpy(), removed[row].numpy())
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_imputation_inside_is_that_of_pytorch_grad_cam_without_noise(share: float) -> None:
    """Their weights beyond the border are dropped as well, so whole pictures are compared."""
    image = perturbed.images(1, 3, (20, 20))
    removed = holes(share, 20, 20, count=1)
    theirs = NoisyLinearImputer(noise=0.0)(image[0], (~removed[0]).float())
    torch.testing.assert_close(imputed(image, removed, GREY, 1e-7)[0], theirs.float(), rtol=0, atol=1e-5)


def test_a_hole_in_an_affine_picture_is_filled_as_it_was() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0).double(), torch.arange(15.0).double(), indexing="ij")
    image = (0.03 * rows - 0.02 * columns + 0.4).expand(1, 2, -1, -1)
    hole = torch.zeros(1, 20, 15, dtype=torch.bool)
    hole[:, 3:17, 2:12] = True
    torch.testing.assert_close(imputed(image, hole, GREY[:2], 1e-13), image, rtol=0, atol=1e-10)


@pytest.mark.parametrize("share", [0.8, -1.0])
def test_what_is_left_of_the_error_is_far_below_the_noise(share: float) -> None:
    images, removed = perturbed.images(8, 3, (64, 64)), holes(share, 64, 64, count=8)
    exact = imputed(images.double(), removed, GREY, 1e-12)
    error = imputed(images, removed, GREY) - exact
    assert error.square().mean().sqrt() < 0.001
    assert error.abs().max() < 0.01


def test_an_image_is_imputed_as_if_it_were_alone() -> None:
    images, removed = perturbed.images(11, 3, (64, 48)), holes(0.6, 64, 48, count=11)
    removed[4], removed[7] = True, False
    together = imputed(images, removed, GREY)
    alone = torch.cat([imputed(images[[n]], removed[[n]], GREY) for n in range(11)])
    assert torch.equal(together, alone)
    assert torch.equal(together[7], images[7])
    assert (together[4] == 0.5).all()  # nothing is left of it


def test_given_pixels_stay_to_the_bit() -> None:
    images, removed = perturbed.images(3, 3, (16, 16)), holes(0.5, 16, 16, count=3)
    found = imputed(images, removed, GREY)
    kept = ~removed.unsqueeze(1).expand_as(images)
    assert torch.equal(found[kept], images[kept])
    assert imputed(images[:0], removed[:0], GREY).shape == (0, 3, 16, 16)


# ------------------------------------------------------------------------------------------------ the metric


@pytest.mark.parametrize("key", ["module", "one channel", "48 x 80"])
def test_the_value_is_that_of_a_loop_with_sparse_solves(key: str) -> None:
    known = networks.every()[key]
    images, targets = networks.images(known, 3), networks.targets(3, 2) % 3
    if key == "48 x 80":
        images, targets = images[:1], targets[:1, :1]  # a sparse solve of so many takes its time
    extent = known.input_shape[1:]
    maps = perturbed.noise(len(images), targets.shape[1], *extent, seed=3)
    asked = perturbed.case(images, targets)
    metric = registry.load("metrics", "road:shares=0.3+0.6,tolerance=0.0000001,chunk=3")
    found = metric.score(perturbed.trial(known, asked, maps)).values
    noise = 0.01 * Randomness(("faithfulness", "road"), asked.ids).normal(*known.input_shape)
    for row in range(len(images)):
        for column in range(targets.shape[1]):
            order = np.argsort(-maps[row, column].numpy().ravel())
            terms = []
            for share in (0.3, 0.6):
                count, sure = round(share * len(order)), []
                for gone in (order[:count], order[::-1][:count]):  # the hottest, the coldest
                    removed = np.zeros(len(order), bool)
                    removed[gone] = True
                    removed = removed.reshape(extent)
                    made = solved(images[row].double().numpy(), removed) + noise[row].numpy() * removed
                    with torch.no_grad():
                        said = known.network(torch.from_numpy(made)[None].float())
                    sure.append(said.double().softmax(1)[0, targets[row, column]].item())
                terms.append(sure[1] - sure[0])
            assert found[row, column].item() == pytest.approx(np.mean(terms), abs=1e-5)


def test_a_map_with_its_sign_turned_scores_the_contrary_and_a_flat_one_nothing() -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 20), networks.targets(20) % 3)
    maps = perturbed.noise(20, 3, 16, 16).round(decimals=0)  # with many ties
    metric = registry.load("metrics", "road")
    one, other, flat = (metric.score(perturbed.trial(known, asked, m)) for m in (maps, -maps, torch.ones_like(maps)))
    assert torch.equal(one.values, -other.values)
    assert one.values.abs().min() > 0
    assert not flat.values.any()
    assert flat.flat.all()


def test_noise_scores_nothing_on_average() -> None:
    known = networks.cnn()
    asked = perturbed.case(networks.images(known, 300), networks.targets(300, 1) % 3)
    metric = registry.load("metrics", "road:shares=0.5")
    values = metric.score(perturbed.trial(known, asked, perturbed.noise(300, 1, 16, 16))).values
    assert abs(values.mean()) < 3 * values.std() / 300**0.5


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 6, 11), (2, 40), (1, 5, 4, 3)], ids=str)
def test_pictures_series_and_volumes_of_more_images_than_a_batch(shape: tuple[int, ...]) -> None:
    """What each pixel differs from its neighbours by is what cannot be made up from them."""
    images = perturbed.images(70, shape[0], shape[1:])
    weights = perturbed.noise(3, *shape).abs() / images[0].numel()
    known = perturbed.model(perturbed.Additive(weights), shape)
    maps = (weights[0] * (images - 0.5)).sum(1, keepdim=True)
    metric = registry.load("metrics", "road")
    values = metric.score(perturbed.trial(known, perturbed.case(images), maps)).values
    assert values.shape == (70, 1)
    assert (values > 0).double().mean() > 0.9
    alone = metric.score(perturbed.trial(known, perturbed.case(images).select([66]), maps[[66]])).values
    torch.testing.assert_close(alone, values[[66]], rtol=0, atol=1e-6)


def test_a_table_has_no_neighbours() -> None:
    known = perturbed.model(perturbed.Additive(perturbed.noise(3, 8)), (8,))
    given = perturbed.trial(known, perturbed.case(torch.rand(4, 8)), torch.zeros(4, 1, 8))
    with pytest.raises(Skipped, match="a table's columns have none"):
        registry.load("metrics", "road").score(given)


def test_no_more_images_pass_at_a_time_however_many_shares_there_are() -> None:
    largest = {}
    for count in (2, 18):
        network = perturbed.Counted(networks.cnn().network)
        known = perturbed.model(network, (3, 16, 16))
        asked = perturbed.case(networks.images(networks.cnn(), 5))
        shares = "+".join(f"{(n + 1) / (count + 1):.4f}" for n in range(count))
        metric = registry.load("metrics", f"road:shares={shares},chunk=8")
        metric.score(perturbed.trial(known, asked, perturbed.noise(5, 1, 16, 16)))
        largest[count] = max(network.batches), sum(network.batches)
    assert largest == {2: (8, 20), 18: (8, 180)}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("road:shares=0+0.5", "above 0 and below 1, not 0.0, 0.5"),
        ("road:shares=1", "above 0 and below 1"),
        ("road:noise=-1", "noise is at least 0"),
        ("road:tolerance=0", "tolerance above 0"),
        ("road:chunk=0", "chunk of at least 1"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_a_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.load("metrics", spec)
