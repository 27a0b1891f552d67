"""The embedded decoder is what its card says: its pictures are those that the codes describe."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, replace
from functools import cache

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

codes = importlib.import_module("ambench.zoo.codes")
files = importlib.import_module("ambench.zoo.files")
measuring = importlib.import_module("ambench.zoo.measure_decoder")
painter = importlib.import_module("ambench.zoo.painter")
recipe = importlib.import_module("ambench.zoo.decoder_recipe")
script = importlib.import_module("ambench.zoo.train_decoder")
zoo = importlib.import_module("ambench.zoo")

COUNT = 256
GRAIN = (0.015**2) + 1 / 255**2 / 12  # mean square of the pictures' grain and of rounding


@cache
def card() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((files.CARDS / f"{painter.NAME}.json").read_text(encoding="utf-8"))
    return loaded


@cache
def network() -> nn.Module:
    loaded: nn.Module = painter.network()
    return loaded


@cache
def fresh() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures that nobody learned from, their codes, and these decoded."""
    pairs = recipe.taught(0, "test-decoder", COUNT)
    return pairs.pixels / 255.0, pairs.codes, measuring.decoded(network(), pairs.codes)


# ------------------------------------------------------------------------------------------------ the file


def test_the_file_is_fp16_smaller_than_a_megabyte_and_has_the_cards_digest() -> None:
    path = files.WEIGHTS / f"{painter.NAME}.safetensors"
    assert path.stat().st_size <= 1_000_000
    with safe_open(path, framework="pt") as file:
        types = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 - it is no mapping
    assert types == {torch.float16}
    assert card()["digest"] == painter.digest()


def test_the_weights_come_from_the_recipe_as_it_is() -> None:
    assert card()["recipe"] == asdict(script.RECIPE)
    assert card()["parameters"] == sum(parameter.numel() for parameter in network().parameters())


def test_the_codes_statistics_are_those_of_codes_it_did_not_learn_from() -> None:
    written = fresh()[1]
    assert (network().mean - written.mean(0)).abs().max() < 5 / COUNT**0.5
    assert (network().std - written.std(0)).abs().max() < 0.2


# ------------------------------------------------------------------------------------------------ the cards figures


def test_the_error_on_fresh_pictures_is_the_cards_and_little_more_than_their_grain() -> None:
    pictures, _, again = fresh()
    error = (again - pictures).square().mean().item()
    stated = card()["measured"]["error"]  # type: ignore[index]
    assert error == pytest.approx(stated, rel=0.15)
    assert GRAIN < error < 4 * GRAIN


@pytest.mark.parametrize("judge", ["cnn", "vit", "cnn-texture", "vit-texture"])
def test_networks_see_in_decoded_pictures_what_they_see_in_the_pictures(judge: str) -> None:
    pictures, written, again = fresh()
    truth = measuring.meant(written, "texture" in judge)
    for name, images in {"pictures": pictures, "decoded": again}.items():
        found = measuring.scores(measuring.seen(zoo.network(judge), images), truth)
        stated = card()["measured"]["judges"][judge][name]  # type: ignore[index]
        accuracy = stated["class_accuracy"]
        assert abs(found["class_accuracy"] - accuracy) < 4 * (accuracy * (1 - accuracy) / COUNT) ** 0.5 + 0.005
        assert abs(found["concept_accuracy"] - stated["concept_accuracy"]) < 0.015
        assert stated["concept_accuracy"] > 0.99


@pytest.mark.parametrize(
    ("judge", "least"), [("cnn", 0.99), ("vit", 0.96), ("cnn-texture", 0.93), ("vit-texture", 0.9)]
)
def test_the_card_says_that_decoding_costs_little_recognition(judge: str, least: float) -> None:
    stated = card()["measured"]["judges"][judge]  # type: ignore[index]
    assert stated["decoded"]["class_accuracy"] >= least
    assert stated["decoded"]["class_accuracy"] > stated["pictures"]["class_accuracy"] - 0.05


def test_drawn_codes_give_pictures_that_networks_read_as_they_are_meant() -> None:
    drawn = torch.randn(COUNT, codes.CODE, generator=torch.Generator().manual_seed(3))
    images = measuring.decoded(network(), drawn)
    for judge in ("cnn", "vit"):
        found = measuring.scores(measuring.seen(zoo.network(judge), images), measuring.meant(drawn, False))
        stated = card()["measured"]["judges"][judge]["drawn"]  # type: ignore[index]
        accuracy = stated["class_accuracy"]
        assert abs(found["class_accuracy"] - accuracy) < 4 * (accuracy * (1 - accuracy) / COUNT) ** 0.5
        assert stated["concept_accuracy"] > 0.7
        decided = card()["measured"]["judges"][judge]["decided"]  # type: ignore[index]
        assert decided["class_accuracy"] > 0.85
        assert decided["concept_accuracy"] > 0.95


# ------------------------------------------------------------------------------------------------ the network


def test_decoding_repeats_itself_and_a_picture_depends_on_its_code_alone() -> None:
    exact = painter.network().double()
    drawn = torch.randn(6, codes.CODE, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        whole = exact(drawn)
        assert torch.equal(whole, exact(drawn))
        alone = torch.cat([exact(code[None]) for code in drawn.flip(0)]).flip(0)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-12)


def test_all_pictures_lie_within_the_range_of_images() -> None:
    wild = 3 * torch.randn(32, codes.CODE, generator=torch.Generator().manual_seed(5))
    images = measuring.decoded(network(), torch.cat((wild, wild.sign(), torch.zeros_like(wild[:1]))))
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1


def test_slopes_equal_finite_differences() -> None:
    exact = painter.network().double()
    drawn = torch.rand(1, codes.CODE, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    code = (1.8 * drawn - 0.9).requires_grad_()
    weight = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    (slope,) = torch.autograd.grad((exact(code) * weight).sum(), code)
    step = 1e-7  # sampling is linear between the points of a map: small enough to cross none, or hardly any
    with torch.no_grad():
        nudges = step * torch.eye(codes.CODE, dtype=torch.float64)
        ahead, behind = ((exact(code + way * nudges) * weight).sum((1, 2, 3)) for way in (1, -1))
    numeric = (ahead - behind) / (2 * step)
    torch.testing.assert_close(numeric, slope[0], rtol=1e-3, atol=1e-3)
    assert (slope != 0).all()


@pytest.mark.parametrize("number", range(4))
def test_a_concept_appears_where_its_code_says_and_nowhere_else(number: int) -> None:
    said = units("concept_present")[number], units("concept_place").view(4, 4)[number]
    code = torch.zeros(2, codes.CODE)
    code[:, units("concept_present")] = -1.0
    code[:, said[1][0]], code[:, said[1][1]] = 0.6, -0.4
    code[1, said[0]] = 1.0
    without, with_it = measuring.decoded(network(), code)
    changed = (with_it - without).abs().sum(0)  # [64, 64]
    place = codes.read(code)["concept_place"][0, number]
    pixel = (torch.arange(64) + 0.5) / 32 - 1
    centre = [(changed.sum(way) @ pixel / changed.sum()).item() for way in (0, 1)]
    assert centre == pytest.approx(place[:2].tolist(), abs=0.04)
    far = torch.hypot(pixel - place[0], pixel[:, None] - place[1]) > 1.4 * place[2]
    assert changed[far].sum() < 0.03 * changed.sum()
    assert changed.max() > 0.3


def units(name: str) -> Tensor:
    """Which units of a code belong to a part."""
    before = 0
    for part_name, part in codes.PARTS.items():
        if part_name == name:
            return torch.arange(before, before + part.units)
        before += part.units
    raise KeyError(name)


def test_moving_the_object_moves_its_picture() -> None:
    code = torch.zeros(2, codes.CODE, dtype=torch.float64)
    code[:, units("concept_present")] = -1.0
    code[:, units("ground_is_light")] = 1.0
    code[:, units("blob_place").view(3, 3)[:, :2]] = 3.0  # out of the way, into one corner
    across = torch.special.ndtri(torch.tensor((-0.0625 + 0.34, 0.0625 + 0.34), dtype=torch.float64) / 0.68)
    code[:, units("object_place")[0]] = across  # four pixels to the right
    with torch.no_grad():
        left, right = painter.network().double()(code)
    flat = codes.read(code)["background"][0, 0, 0].item()  # its colour is grey, its slope none
    torch.testing.assert_close(right[:, :44, 8:44], left[:, :44, 4:40], rtol=0, atol=1e-9)
    assert (left[:, :44, 4:40] - flat).abs().max() > 0.2


# ------------------------------------------------------------------------------------------------ what it has learned


def places(side: int, reach: float) -> tuple[Tensor, Tensor]:
    """Where the points of a map lie, from left to right and from top to bottom [side, side] each."""
    line = ((torch.arange(side) + 0.5) / side * 2 - 1) * reach
    return line.expand(side, side), line[:, None].expand(side, side)


def test_its_outlines_are_those_of_the_drawing_and_hold_distances() -> None:
    maps = network().outlines[:, 0]
    x, y = places(maps.shape[-1], painter.OUTLINE_REACH)
    for learned, silhouette in zip(maps, painter.SHAPES.values(), strict=True):
        drawn = -silhouette(x, y)
        assert ((learned > 0) == (drawn > 0)).float().mean() > 0.97
        near = drawn.abs() < 0.15
        assert (learned - drawn)[near].abs().mean() < 0.03  # radii, which are 15 to 20 pixels


def test_its_textures_are_those_of_the_drawing() -> None:
    maps = network().textures[:, 0]
    u, v = places(maps.shape[-1], painter.TEXTURE_REACH)
    shown = torch.hypot(u, v) < 3.5  # the shifts of the pictures come on top
    for learned, texture in zip(maps, painter.TEXTURES.values(), strict=True):
        drawn = texture(u + codes.SHIFTS / 2, v + codes.SHIFTS / 2)
        sure = shown & (drawn.abs() > 0.06)  # less than half a pixel from an edge either is right
        assert ((learned > 0) == (drawn > 0))[sure].float().mean() > 0.95


def test_its_rim_is_as_wide_as_the_drawings() -> None:
    from ambench.datasets.drawing.sprites import RIM_PIXELS

    assert network().rim.item() == pytest.approx(RIM_PIXELS, abs=0.1)


def test_between_two_outlines_lies_one_with_edges_and_no_ghost_of_either() -> None:
    code = torch.zeros(3, codes.CODE)
    ends = codes.PARTS["object_outline"].write(torch.tensor([[3], [0]]))  # star and disc
    code[:, units("object_outline")] = torch.stack((ends[0], ends.mean(0), ends[1]))
    with torch.no_grad():
        covers = network()._things(codes.read(code))[0][:, 0]  # [3, 64, 64]
    edge = ((covers > 0.1) & (covers < 0.9)).sum((1, 2))
    area = covers.sum((1, 2))
    assert edge[1] < 1.3 * edge[[0, 2]].max()
    assert area[0] < area[1] < area[2]


# ------------------------------------------------------------------------------------------------ what it learns from


def test_pictures_that_repeat_are_the_same_when_their_shifts_are_unwound() -> None:
    shape = torch.arange(8)
    for texture in (0, 2):  # stripes and dots repeat after one and two periods
        drawn = recipe.scene(0, "test-unwound", range(8), shape, torch.full((8,), texture), torch.zeros(8, 4))
        surfaces = replace(drawn.surfaces, texture=torch.full_like(drawn.surfaces.texture, texture))
        drawn = replace(drawn, surfaces=surfaces)
        unwound = recipe.unwound(drawn)
        assert (unwound.surfaces.shift_u < codes.SHIFTS).all()
        assert (unwound.surfaces.shift_u != drawn.surfaces.shift_u).any()
        difference = recipe.draw(unwound).pixels.int() - recipe.draw(drawn).pixels.int()
        assert difference.abs().max() <= 1  # of 255: sums of floats are rounded otherwise


def test_it_learns_from_no_picture_of_the_dataset() -> None:
    pairs = recipe.taught(0, "train-decoder", 64)
    test = importlib.import_module("ambench.datasets.shapes").Shapes(test=64)
    pixels = {(image * 255).round().byte().numpy().tobytes() for case in test for image in case.images}
    assert not pixels & {image.numpy().tobytes() for image in pairs.pixels}
