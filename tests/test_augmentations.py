"""Changes of an input do what their names say, to each image its own, and move maps along."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, rotate
from torch import Tensor

from ambench.augmentations import AUGMENTATIONS, LEVELS, find
from ambench.core import InputError, Randomness, generator

SHAPES = {
    "colour": (3, 32, 24),
    "grey picture": (1, 28, 28),
    "four channels": (4, 24, 32),
    "series": (2, 80),
    "table": (5,),
}
SUITED = [(name, kind) for name in AUGMENTATIONS for kind, shape in SHAPES.items() if AUGMENTATIONS[name].suits(shape)]
GEOMETRIC = [name for name, one in AUGMENTATIONS.items() if one.kind == "geometric"]
GRADED = [name for name, one in AUGMENTATIONS.items() if len(one.strengths) == LEVELS]


def images(shape: tuple[int, ...], count: int = 6) -> tuple[Tensor, Randomness]:
    values = torch.rand(count, *shape, generator=generator("images", shape))
    return values, Randomness(("test",), tuple(f"image-{i}" for i in range(count)))


def smooth(side: int = 48, count: int = 4) -> Tensor:
    """Pictures [count, 1, side, side] without detail that resampling could lose."""
    noise = torch.rand(count, 1, side, side, generator=generator("smooth")).numpy()
    blurred = np.stack([gaussian_filter(picture[0], 3, mode="nearest") for picture in noise])[:, None]
    return torch.from_numpy((blurred - blurred.min()) / np.ptp(blurred))


@pytest.mark.parametrize("level", range(LEVELS))
@pytest.mark.parametrize(("name", "kind"), SUITED)
def test_shape_and_range_are_kept_and_something_changes(name: str, kind: str, level: int) -> None:
    values, randomness = images(SHAPES[kind])
    changed = find(name).apply(values, level, randomness)
    assert changed.shape == values.shape
    assert changed.dtype == values.dtype
    assert 0 <= changed.min() <= changed.max() <= 1
    assert all((one != other).any() for one, other in zip(values, changed, strict=True))


@pytest.mark.parametrize(("name", "kind"), SUITED)
def test_an_image_is_changed_alike_in_any_batch_and_order(name: str, kind: str) -> None:
    values, randomness = images(SHAPES[kind])
    whole, order = find(name).apply(values, 1, randomness), [4, 0, 3]
    assert torch.equal(find(name).apply(values[order], 1, randomness.select(order)), whole[order])
    assert torch.equal(find(name).apply(values[2:3], 1, randomness.select([2])), whole[2:3])


@pytest.mark.parametrize("name", [name for name, kind in SUITED if kind == "series"])
def test_a_series_in_units_of_its_own_is_changed_as_the_same_series_between_0_and_1(name: str) -> None:
    values, randomness = images(SHAPES["series"])
    spared = torch.zeros(6, 80, dtype=torch.bool)
    changed = find(name).apply(7 * values - 3, 2, randomness, spared, bounds=(-3.0, 4.0))
    assert torch.allclose(changed, 7 * find(name).apply(values, 2, randomness, spared) - 3, atol=1e-5)
    constant = torch.full((6, 2, 80), 5.0)
    assert find(name).apply(constant, 2, randomness, spared, bounds=(5.0, 5.0)).isfinite().all()


@pytest.mark.parametrize(("name", "kind"), SUITED)
def test_neither_the_input_nor_the_global_random_state_is_touched(name: str, kind: str) -> None:
    values, randomness = images(SHAPES[kind])
    before, state = values.clone(), torch.get_rng_state()
    find(name).apply(values, 2, randomness)
    assert torch.equal(values, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [name for name in GRADED if name not in GEOMETRIC])
def test_a_higher_level_changes_more(name: str) -> None:
    values, randomness = images((3, 64, 64))
    values = 0.25 + values / 2  # room on both sides
    distance = [(find(name).apply(values, level, randomness) - values).square().mean() for level in range(LEVELS)]
    assert distance[0] < distance[1] < distance[2]


@pytest.mark.parametrize("name", ["translate", "rotate", "scale"])
def test_a_higher_level_moves_further(name: str) -> None:
    place = torch.stack(torch.meshgrid(*[torch.arange(64.0)] * 2, indexing="ij"))[None] / 63  # [1, 2, 64, 64]
    one = find(name)
    moved = [one.apply(place, level, Randomness(("test",), ("a",)))[..., 16:48, 16:48] for level in range(LEVELS)]
    distance = [(m - place[..., 16:48, 16:48]).square().sum(1).mean() for m in moved]
    assert distance[0] < distance[1] < distance[2]


# ------------------------------------------------------------------------------------------------ maps go along


@pytest.mark.parametrize("level", range(LEVELS))
@pytest.mark.parametrize(("name", "kind"), [pair for pair in SUITED if pair[0] in GEOMETRIC])
def test_maps_move_as_images_do(name: str, kind: str, level: int) -> None:
    values, randomness = images(SHAPES[kind])
    moved = find(name).move(values, level, randomness)  # the image as a map of itself
    in_frame = find(name).move(torch.ones_like(values), level, randomness) > 0.999
    changed = find(name).apply(values, level, randomness)
    torch.testing.assert_close(moved[in_frame], changed[in_frame], rtol=0, atol=1e-5)
    assert in_frame.float().mean() > 0.4


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name not in GEOMETRIC])
def test_changes_of_light_leave_maps_in_place(name: str) -> None:
    values, randomness = images((3, 16, 16))
    assert torch.equal(find(name).move(values, 1, randomness), values)
    assert find(name).visible(values > 0.5, 1, randomness).eq(1).all()


@pytest.mark.parametrize("level", range(LEVELS))
@pytest.mark.parametrize("name", GEOMETRIC)
def test_what_stays_in_the_middle_stays_visible(name: str, level: int) -> None:
    mask = torch.zeros(6, 2, 64, 64, dtype=torch.bool)
    mask[:, 0, 26:38, 28:36] = True
    visible = find(name).visible(mask, level, images((3, 64, 64))[1])
    assert visible[:, 0] == pytest.approx(1, abs=0.05)
    assert visible[:, 1].eq(1).all()  # an empty mask has nothing to lose


def test_what_a_shift_pushes_out_is_not_visible() -> None:
    mask = torch.zeros(40, 1, 64, 64, dtype=torch.bool)
    mask[..., :4] = True
    _, randomness = images((1,), 40)
    visible = find("translate").visible(mask, 2, randomness)[:, 0]
    columns = torch.arange(64.0).view(1, 1, 1, 64).expand(40, -1, 64, -1)
    shift = -(find("translate").move(columns, 2, randomness)[:, 0, 32, 32] - 32)
    assert visible[shift <= -4].eq(0).all()
    assert visible[shift >= 0].gt(0.7).all()
    assert visible.max() <= 1 + 1e-6  # nothing comes in from outside
    assert (shift <= -4).any()


# ------------------------------------------------------------------------------------------------ what each one does


def test_a_mirror_twice_is_the_picture() -> None:
    values, randomness = images((3, 8, 6))
    mirrored = find("hflip").apply(values, 0, randomness)
    assert torch.equal(mirrored[..., 0], values[..., -1])
    assert torch.equal(find("hflip").apply(mirrored, 0, randomness), values)


@pytest.mark.parametrize(("level", "pixels"), [(0, 4), (1, 8), (2, 12)])
@pytest.mark.parametrize("side", [64, 128])
def test_a_shift_has_its_length_at_64_pixels_and_scales_with_the_side(level: int, pixels: int, side: int) -> None:
    place = torch.stack(torch.meshgrid(*[torch.arange(float(side))] * 2, indexing="ij")).expand(20, -1, -1, -1)
    _, randomness = images((1,), 20)
    source = find("translate").apply(place, level, randomness)[:, :, side // 2, side // 2]
    steps = source - side // 2
    assert torch.equal(steps, steps.round())
    assert steps.norm(dim=1) == pytest.approx(pixels * side / 64, abs=0.8)
    assert len(steps.unique(dim=0)) > 10


def test_a_turn_is_scipys_on_the_pixels_that_stay() -> None:
    values = smooth().double()
    randomness = images((1,), 4)[1]
    turned = find("rotate").apply(values, 2, randomness)
    for picture, found in zip(values, turned, strict=True):
        both = [rotate(picture[0].numpy(), angle, reshape=False, order=1) for angle in (-20, 20)]
        errors = [np.abs(one - found[0].numpy())[12:36, 12:36].max() for one in both]
        assert min(errors) < 1e-3 < max(errors)


@pytest.mark.parametrize("shape", [(1, 40, 64), (1, 64, 40)])
def test_a_turn_keeps_the_shape_of_things_in_pictures_that_are_not_square(shape: tuple[int, ...]) -> None:
    rows, columns = (torch.arange(float(side)) - (side - 1) / 2 for side in shape[1:])
    hill = torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / 100).expand(1, 1, -1, -1)
    turned = find("rotate").apply(hill, 2, Randomness(("x",), ("a",)))
    assert (turned - hill)[..., 8:-8, 8:-8].abs().max() < 0.01


@pytest.mark.parametrize(("level", "factor"), [(0, 0.9), (1, 0.8), (2, 0.7)])
def test_shrinking_scales_areas_by_the_square(level: int, factor: float) -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 12:52] = 1
    moved = find("scale").move(mask, level, Randomness(("x",), ("a",)))
    assert moved.sum() / mask.sum() == pytest.approx(factor**2, rel=0.02)
    assert moved[0, 0, 32, 32] == 1


@pytest.mark.parametrize("level", range(LEVELS))
def test_brightness_moves_all_pixels_by_the_same(level: int) -> None:
    values = 0.3 + 0.4 * images((3, 8, 8), 40)[0]
    change = find("brightness").apply(values, level, images((3, 8, 8), 40)[1]) - values
    amount = (0.05, 0.1, 0.2)[level]
    torch.testing.assert_close(change.abs(), torch.full_like(change, amount), rtol=0, atol=1e-6)
    assert change.amin(1).amin(1).amin(1).sign().unique().tolist() == [-1, 1]  # up for some images, down for others


def test_contrast_scales_the_distance_from_the_mean() -> None:
    values, randomness = images((3, 8, 8))
    changed = find("contrast").apply(values, 2, randomness)
    mean = values.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(changed - mean, 0.5 * (values - mean))


def test_hue_keeps_grey_and_the_brightest_channels_value() -> None:
    values, randomness = images((3, 8, 8))
    changed = find("hue").apply(values, 2, randomness)
    torch.testing.assert_close(changed.amax(1), values.amax(1))
    grey = values[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(find("hue").apply(grey, 2, randomness), grey)


def test_grey_has_three_equal_channels_of_the_standard_luminance() -> None:
    values, randomness = images((3, 8, 8))
    changed = find("grey").apply(values, 0, randomness)
    expected = 0.299 * values[:, 0] + 0.587 * values[:, 1] + 0.114 * values[:, 2]
    for channel in range(3):
        torch.testing.assert_close(changed[:, channel], expected)


@pytest.mark.parametrize(("level", "deviation"), [(0, 0.5), (1, 1.0), (2, 1.5)])
def test_blur_is_scipys_gaussian(level: int, deviation: float) -> None:
    values, randomness = images((1, 64, 64), 2)
    found = find("blur").apply(values, level, randomness)
    radius = math.ceil(3 * deviation)
    expected = [
        gaussian_filter(picture[0].double().numpy(), deviation, mode="nearest", radius=radius) for picture in values
    ]
    torch.testing.assert_close(found[:, 0].double(), torch.from_numpy(np.stack(expected)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("level", "deviation"), [(0, 0.02), (1, 0.04), (2, 0.08)])
def test_noise_has_its_deviation(level: int, deviation: float) -> None:
    values = torch.full((4, 3, 32, 32), 0.5)
    noise = find("noise").apply(values, level, images((1,), 4)[1]) - values
    assert noise.std().item() == pytest.approx(deviation, rel=0.05)
    assert abs(noise.mean().item()) < 3 * deviation / noise.numel() ** 0.5
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close_to_a_smooth_picture(channels: int) -> None:
    values = smooth().expand(-1, channels, -1, -1)
    for level in range(LEVELS):
        changed = find("jpeg").apply(values, level, images((1,), 4)[1])
        assert 0 < (changed - values).abs().mean() < 0.03
        torch.testing.assert_close(changed * 255, (changed * 255).round(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("level", "side"), [(0, 8), (1, 12), (2, 16)])
def test_a_cut_is_a_box_in_the_mean_colour_beside_what_is_spared(level: int, side: int) -> None:
    values, randomness = images((3, 64, 64), 20)
    spared = torch.zeros(20, 64, 64, dtype=torch.bool)
    spared[:, 20:50, 10:60] = True
    changed = find("cutout").apply(values, level, randomness, spared)
    cut = (changed != values).any(1)
    assert not (cut & spared).any()
    for picture, result, place in zip(values, changed, cut, strict=True):
        rows, columns = place.any(1).nonzero(), place.any(0).nonzero()
        assert (len(rows), len(columns), int(place.sum())) == (side, side, side**2)
        torch.testing.assert_close(result[:, place], picture.mean((1, 2))[:, None].expand(-1, side**2))
    assert len(cut.unique(dim=0)) > 10


def test_where_there_is_no_room_for_a_cut_there_is_none() -> None:
    values, randomness = images((3, 64, 64), 2)
    spared = torch.zeros(2, 64, 64, dtype=torch.bool)
    spared[0, ::6, ::6] = True  # no box of 8 fits between
    changed = find("cutout").apply(values, 0, randomness, spared)
    assert torch.equal(changed[0], values[0])
    assert not torch.equal(changed[1], values[1])


# ------------------------------------------------------------------------------------------------ the list


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("colour", set()),
        ("grey picture", {"hue", "grey"}),
        ("four channels", {"hue", "grey", "jpeg"}),
        ("series", {"hflip", "rotate", "hue", "grey", "jpeg"}),
        ("table", set(AUGMENTATIONS) - {"noise"}),
    ],
)
def test_inputs_get_the_changes_that_mean_something_for_them(kind: str, missing: set[str]) -> None:
    assert {name for name, one in AUGMENTATIONS.items() if not one.suits(SHAPES[kind])} == missing


def test_unknown_names_and_levels_are_refused() -> None:
    with pytest.raises(InputError, match=r"no augmentation 'rotation'; did you mean 'rotate'\?"):
        find("rotation")
    with pytest.raises(InputError, match="level 3 of 'noise' does not exist"):
        find("noise").strength(3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_gpu_gives_what_the_processor_gives(name: str) -> None:
    values, randomness = images((3, 32, 24))
    found = find(name).apply(values.cuda(), 1, randomness)
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), find(name).apply(values, 1, randomness), rtol=0, atol=1e-5)
