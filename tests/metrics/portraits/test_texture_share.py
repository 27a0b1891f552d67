"""What is left of a portrait's effect without its layout, and without its texture."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from scipy.stats import ttest_ind
from torch import Tensor

import portrayed
from ambench import registry
from ambench.core import Directions, InputError, Portraits, Randomness, Skipped, Trial, Values
from ambench.models import resolve

shuffled = importlib.import_module("ambench.metrics.portraits.texture_share").shuffled
SIDE = 64


def kept(trial: Trial[Portraits], **settings: object) -> Values:
    values = registry.build(registry.find("metrics", "texture_share"), settings).score(trial)
    assert values is not None
    return values


def three(trial: Trial[Portraits]) -> tuple[float, float, float]:
    """Share, T and F of the first portrait."""
    share, texture, outline = (kept(trial, measure=name).values[0].item() for name in ("share", "texture", "outline"))
    return share, texture, outline


def before(answer: Callable[[Tensor], Tensor], images: Tensor, natural: Tensor | None = None) -> Trial[Portraits]:
    """Portraits before a model of one unit, beside natural images of which the second half lacks the concept."""
    natural = torch.zeros(4, *images.shape[1:]) if natural is None else natural
    model = portrayed.network(lambda x: answer(x)[:, None], ("red",), shape=tuple(images.shape[1:]))
    shown = (torch.arange(len(natural)) < len(natural) / 2)[:, None]
    return portrayed.portrayed(images, [0] * len(images), model, portrayed.examples(natural, shown, ("red",)))


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


class TestOracles:
    def test_a_bag_of_pixels_keeps_everything(self) -> None:
        share, texture, outline = three(before(lambda x: x[:, 0].mean((1, 2)), noise(1)))
        assert texture == pytest.approx(1, abs=1e-5)
        assert outline == pytest.approx(1, abs=0.02)
        assert share == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize(("layout", "least", "most"), [("blob", 0.9, 0.15), ("random", 0.55, 0.25)])
    def test_a_template_of_coarse_blocks_needs_its_layout(self, layout: str, least: float, most: float) -> None:
        away = torch.arange(8) - 3.5
        blob = torch.exp(-(away[:, None] ** 2 + away**2) / 8)
        blocks = blob if layout == "blob" else torch.rand(8, 8, generator=torch.Generator().manual_seed(1))

        def answer(images: Tensor) -> Tensor:
            means = F.avg_pool2d(images.mean(1, keepdim=True), 8)[:, 0]
            return (means * (blocks - blocks.mean())).sum((1, 2))

        picture = F.interpolate(blocks[None, None], scale_factor=8).expand(1, 3, -1, -1)
        share, texture, outline = three(before(answer, picture))
        assert outline > least > most > texture
        assert share < 0.2

    def test_local_variance_needs_its_texture(self) -> None:
        def answer(images: Tensor) -> Tensor:
            windows = F.unfold(images.mean(1, keepdim=True), 4, stride=4)  # [B, 16, windows]
            return windows.var(1).mean(1)

        share, texture, outline = three(before(answer, noise(1)))
        assert texture > 0.95
        assert outline < 0.1
        assert share > 0.9


class TestOutline:
    def test_it_equals_scipys_blur(self) -> None:
        template, images = noise(1, 5)[0], noise(3)
        trial = before(lambda x: (x * template).sum((1, 2, 3)) - 2900, images, noise(8, 7))
        values = kept(trial, measure="outline").values[:, 0]
        start = np.mean([answer_of(trial, image) for image in trial.concepts.images[4:]])
        blurs = [[blurred(image, deviation) for image in images] for deviation in (1, 2, 4)]
        lost = [[answer_of(trial, image) - start for image in row] for row in blurs]
        effect = np.array([answer_of(trial, image) - start for image in images])
        np.testing.assert_allclose(values, np.clip(lost / effect, 0, 1).mean(0), atol=2e-3)
        assert values.min() > 0.05

    def test_deviations_are_for_a_side_of_64(self) -> None:
        small = noise(1)[..., ::2, ::2]
        trial = before(lambda x: x.var((1, 2, 3)), small)
        value = kept(trial, measure="outline", deviations=(2.0,)).values.item()
        picture = torch.tensor(blurred(small[0], 1.0))
        assert value == pytest.approx((picture.var() / small.var()).item(), rel=0.02)


class TestTexture:
    def test_a_shuffle_moves_patches_whole(self) -> None:
        images, grid = noise(3), 4
        order = Randomness(("order",), ("a", "b", "c")).uniform(16).argsort(1)
        changed = shuffled(images, grid, order)
        for image, moved, places in zip(images, changed, order.tolist(), strict=True):
            patches = [image[:, r : r + 16, c : c + 16] for r in range(0, 64, 16) for c in range(0, 64, 16)]
            rows = [torch.cat([patches[place] for place in places[at : at + 4]], 2) for at in range(0, 16, 4)]
            assert torch.equal(moved, torch.cat(rows, 1))

    def test_a_rim_that_no_patch_covers_stays(self) -> None:
        images = torch.rand(1, 1, 11, 14, generator=torch.Generator().manual_seed(0))
        changed = shuffled(images, 4, torch.arange(15, -1, -1)[None])
        moved = changed != images
        assert not moved[..., :1, :].any()  # 11 rows are 1 + 8 + 2
        assert not moved[..., 9:, :].any()
        assert not moved[..., :, :1].any()  # 14 columns are 1 + 12 + 1
        assert not moved[..., :, 13:].any()
        assert moved[..., 1:9, 1:13].all()
        assert torch.equal(changed.flatten().sort().values, images.flatten().sort().values)

    def test_it_is_the_mean_over_all_orders_in_expectation(self) -> None:
        """A unit that answers with one corner, of a picture of four quarters, of which grid 2 makes 24 pictures."""
        images = torch.tensor([[1.0, 0.75], [0.25, 0.0]]).repeat_interleave(8, 0).repeat_interleave(8, 1)
        images = images.expand(400, 3, 16, 16)
        trial = before(lambda x: x[:, 0, 0, 0], images)
        values = kept(trial, measure="texture", grids=(2,)).values[:, 0]
        orders = [order[0] for order in permutations([1.0, 0.75, 0.25, 0.0])]
        error = np.std(orders) / (4 * 400) ** 0.5
        assert values.mean().item() == pytest.approx(np.mean(orders), abs=3 * error)
        assert set((16 * values).round(decimals=6).tolist()) <= set(range(17))  # four draws of quarters

    def test_every_grid_counts_the_same(self) -> None:
        trial = before(lambda x: x[:, 0, :8, :8].mean((1, 2)), noise(4))
        apart = [kept(trial, measure="texture", grids=(grid,)).values for grid in (2, 4, 8)]
        torch.testing.assert_close(kept(trial, measure="texture").values, torch.stack(apart).mean(0))


class TestEffect:
    images = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)

    def corner(self, x: Tensor) -> Tensor:
        """One pixel: what a change does to it is seen at once."""
        return x[:, 0, 8, 15]

    def test_it_starts_from_the_mean_of_contrast_images(self) -> None:
        natural = torch.tensor([0.9, 0.9, 0.2, 0.4]).view(4, 1, 1, 1).expand(4, 3, 16, 16)
        trial = before(self.corner, self.images, natural)  # contrast .3, portrait 1
        blur = kept(trial, measure="outline", deviations=(8.0,)).values.item()
        changed = blurred(self.images[0], 2.0)[0, 8, 15]
        assert blur == pytest.approx((changed - 0.3) / 0.7, abs=2e-3)

    def test_where_all_images_show_the_concept_it_starts_from_all(self) -> None:
        natural = torch.tensor([0.9, 0.9, 0.2, 0.4]).view(4, 1, 1, 1).expand(4, 3, 16, 16)
        trial = before(self.corner, self.images, natural)
        everywhere = replace(trial.concepts, present=torch.ones(4, 1).bool())
        blur = kept(replace(trial, concepts=everywhere), measure="outline", deviations=(8.0,)).values.item()
        assert blur == pytest.approx((blurred(self.images[0], 2.0)[0, 8, 15] - 0.6) / 0.4, abs=2e-3)

    def test_more_than_all_of_it_is_all_of_it_and_less_than_none_none(self) -> None:
        rising = before(lambda x: -x.var((1, 2, 3)), self.images, self.images.expand(4, -1, -1, -1) * 2)
        falling = before(lambda x: x[:, 0, 0, 0] - x[:, 0].mean((1, 2)), 1 - self.images)
        assert kept(rising, measure="outline").values.item() == 1.0
        assert 0 <= kept(falling, measure="texture").values.item() < 1

    def test_rescaling_the_response_changes_nothing(self) -> None:
        images, natural = noise(4), noise(8, 7) / 2
        one = kept(before(lambda x: x.var((1, 2, 3)), images, natural)).values
        other = kept(before(lambda x: 30 * x.var((1, 2, 3)) - 7, images, natural)).values
        torch.testing.assert_close(other, one, atol=1e-5, rtol=0)

    def test_a_portrait_without_effect_keeps_nothing_and_has_no_share(self) -> None:
        trial = before(self.corner, torch.zeros(1, 3, 16, 16))
        assert kept(trial, measure="texture").values.item() == kept(trial, measure="outline").values.item() == 0
        assert not kept(trial).defined.any()
        assert kept(trial, measure="texture").defined.all()

    def test_a_dead_portrait_has_half_a_share_and_keeps_nothing(self) -> None:
        trial = before(self.corner, self.images)
        dead = replace(trial, explanation=replace(trial.explanation, alive=torch.tensor([False])))
        assert three(dead) == (0.5, 0.0, 0.0)
        assert all(kept(dead, measure=name).flat.all() for name in ("share", "texture", "outline"))


def test_the_share_is_texture_over_texture_and_outline() -> None:
    trial = before(lambda x: x.var((1, 2, 3)) + x[:, 0, 3, 3], noise(4))
    share, texture, outline = (kept(trial, measure=name).values for name in ("share", "texture", "outline"))
    torch.testing.assert_close(share, texture / (texture + outline))
    assert share.std() > 0


def test_a_hidden_direction_is_read_in_its_layer() -> None:
    def answer(images: Tensor) -> Tensor:
        return images[:, 1].mean((1, 2)) ** 2

    trial = before(answer, noise(2) ** 2)
    seeks = Directions(torch.tensor([[0.0, 1.0, 0.0]]), torch.zeros(1), "pixels", "peak")
    hidden = replace(trial, explanation=replace(trial.explanation, seeks=seeks), shared={})
    brightest = before(lambda x: x[:, 1].flatten(1).amax(1), trial.case.images)
    torch.testing.assert_close(kept(hidden).values, kept(brightest).values)
    assert not torch.allclose(kept(hidden).values, kept(trial).values)


def test_the_yardstick_is_what_natural_images_keep() -> None:
    natural = noise(6, 3) * torch.tensor([0.5, 1.0, 0.8, 0.1, 0.1, 0.1]).view(6, 1, 1, 1)
    trial = before(lambda x: x.std((1, 2, 3)), noise(2), natural)  # the first three show it
    chosen = before(lambda x: x.std((1, 2, 3)), natural[[1, 2]], natural)
    assert torch.equal(kept(trial, yardstick=True).values, kept(chosen).values)


def test_series_and_tables_are_skipped_and_too_small_pictures_as_well() -> None:
    for shape, said in (((1, 40), "are no pictures"), ((5,), "are no pictures"), ((3, 1, 9), "too small")):
        with pytest.raises(Skipped, match=said):
            kept(before(lambda x: x.flatten(1).mean(1), torch.rand(2, *shape)))


def test_without_natural_images_there_is_no_effect() -> None:
    trial = before(lambda x: x.mean((1, 2, 3)), noise(1))
    nothing = replace(trial, concepts=trial.concepts.map(lambda tensor: tensor[:0]))
    assert registry.load("metrics", "texture_share").score(nothing) is None


@pytest.mark.parametrize("setting", ["grids=1", "draws=0", "deviations=0"])
def test_wrong_settings_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="texture_share needs"):
        registry.load("metrics", f"texture_share:{setting}")


def blurred(image: Tensor, deviation: float) -> np.ndarray:
    return gaussian_filter(image.numpy(), (0, deviation, deviation), mode="nearest", truncate=3.0)


def answer_of(trial: Trial[Portraits], image: Tensor | np.ndarray) -> float:
    return trial.model.network(torch.as_tensor(image)[None]).item()


def test_the_embedded_texture_twin_answers_to_texture_and_the_other_to_outline() -> None:
    """Natural images of the network's own classes, those that drive them most, one network at a time."""
    shown = list(registry.load("datasets", "cue_conflict"))
    images = torch.cat([case.images for case in shown])
    shares = {}
    for name, cue in (("cnn", "shape"), ("cnn-texture", "texture")):
        model = resolve(name)
        labels = torch.cat([getattr(case.truth, cue) for case in shown])
        concepts = portrayed.examples(images, F.one_hot(labels, 8), model.classes)
        trial = portrayed.portrayed(torch.zeros(24, *images.shape[1:]), [*range(8)] * 3, model, concepts)
        values = kept(trial, yardstick=True)
        shares[name] = values.values[values.defined].numpy()
    assert ttest_ind(shares["cnn-texture"], shares["cnn"], alternative="greater").pvalue < 1e-3
