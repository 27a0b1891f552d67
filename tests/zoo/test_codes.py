"""A code says what its scene is, in units of about mean 0 and spread 1."""

from __future__ import annotations

import importlib

import pytest
import torch
from scipy import stats
from torch import Tensor

from ambench.datasets.drawing.scene import Scene, scene
from ambench.datasets.drawing.series import balanced_classes

codes = importlib.import_module("ambench.zoo.codes")
recipe = importlib.import_module("ambench.zoo.decoder_recipe")

COUNT = 512


@pytest.fixture(scope="module")
def drawn() -> Scene:
    shape, texture = balanced_classes(0, "test-codes", COUNT)
    whole = scene(0, "test-codes", range(COUNT), shape, texture, torch.full((COUNT, 4), 0.5))
    unwound: Scene = recipe.unwound(whole)
    return unwound


@pytest.fixture(scope="module")
def said(drawn: Scene) -> dict[str, Tensor]:
    read: dict[str, Tensor] = codes.read(codes.write(drawn))
    return read


def test_numbers_are_read_as_they_were_written(drawn: Scene, said: dict[str, Tensor]) -> None:
    places = torch.stack((drawn.things.x, drawn.things.y, drawn.things.radius), 2)
    concepts = torch.stack((drawn.concepts.x, drawn.concepts.y, drawn.concepts.radius, drawn.concepts.turn), 2)
    near = {"rtol": 0, "atol": 2e-3}  # a code holds no more than 3.1 spreads, a thousandth of the range at each end
    torch.testing.assert_close(said["object_place"][..., :3], places[:, :1], **near)
    torch.testing.assert_close(said["object_place"][..., 3], drawn.things.turn[:, :1], **near)
    torch.testing.assert_close(said["blob_place"], places[:, 1:], **near)
    torch.testing.assert_close(said["blob_wobble"], drawn.wobble, **near)
    torch.testing.assert_close(said["concept_place"], concepts, **near)
    torch.testing.assert_close(said["background"][:, 0], drawn.background, **near)
    torch.testing.assert_close(said["slope"][:, 0], drawn.slope, **near)
    torch.testing.assert_close(said["texture_place"][..., 0], drawn.surfaces.period, **near)
    torch.testing.assert_close(said["texture_place"][..., 1], drawn.surfaces.shift_u, rtol=0, atol=5e-3)


def test_choices_shares_and_angles_are_read_as_they_were_written(drawn: Scene, said: dict[str, Tensor]) -> None:
    assert torch.equal(said["object_outline"][:, 0].argmax(1), drawn.shape)
    assert torch.equal(said["texture"].argmax(2), drawn.surfaces.texture)
    assert min(said[name].amax(2).min().item() for name in ("object_outline", "texture")) == 1
    assert torch.equal(said["concept_present"][..., 0] > 0.5, drawn.present)
    assert torch.equal(said["blob_in_front"][..., 0] > 0.5, drawn.in_front)
    cosine, sine = said["blob_turn"].unbind(2)
    difference = torch.atan2(sine, cosine) - drawn.things.turn[:, 1:]
    assert difference.sin().abs().max() < 1e-3
    assert difference.cos().min() > 0.999


def test_colours_go_to_the_side_that_they_are_on(drawn: Scene, said: dict[str, Tensor]) -> None:
    is_light = said["ground_is_light"] > 0.5
    ground = torch.where(is_light, said["light"], said["dark"])
    figure = torch.where(is_light, said["dark"], said["light"])
    torch.testing.assert_close(ground, drawn.surfaces.ground, rtol=0, atol=2e-3)
    torch.testing.assert_close(figure, drawn.surfaces.figure, rtol=0, atol=2e-3)


def test_units_have_about_mean_0_and_spread_1(drawn: Scene) -> None:
    written = codes.write(drawn)
    assert written.shape == (COUNT, codes.CODE)
    rare = codes.PARTS["blob_in_front"].units  # which is so in 3 of 10
    assert (written.mean(0).abs() > 5 / COUNT**0.5).sum() == rare
    assert ((written.std(0) - 1).abs() < 0.15).all()


def test_a_normal_unit_gives_a_uniform_number() -> None:
    part = codes.Part(2, 1, "range", (-3.0,), (5.0,))
    code = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = stats.uniform(-3, 8).ppf(stats.norm.cdf(code.numpy()))
    torch.testing.assert_close(part.read(code)[..., 0], torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_a_choice_has_the_products_of_its_units_shares_as_weights() -> None:
    code = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    weights = codes.Part(2, 3, "choice").read(code)  # [5, 2, 8]
    share = (code.view(5, 2, 3).clamp(-1, 1) + 1) / 2
    for item in range(8):
        bits = [(item >> 2) & 1, (item >> 1) & 1, item & 1]
        factors = [share[..., unit] if bit else 1 - share[..., unit] for unit, bit in enumerate(bits)]
        torch.testing.assert_close(weights[..., item], factors[0] * factors[1] * factors[2])


def test_corners_of_the_box_hold_no_blends() -> None:
    code = torch.randn(64, codes.CODE, generator=torch.Generator().manual_seed(2)).sign()
    said = codes.read(code)
    assert (said["object_outline"].amax(2) == 1).all()
    assert (said["texture"].amax(2) == 1).all()
    assert set(said["concept_present"].unique().tolist()) == {0, 1}


def test_no_unit_in_the_box_is_without_slope_not_even_at_its_corners() -> None:
    inside = torch.rand(16, codes.CODE, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for code in (inside, inside.sign()):
        for part, units in zip(
            codes.PARTS.values(), torch.split(code, [p.units for p in codes.PARTS.values()], 1), strict=True
        ):
            units = units.clone().requires_grad_()
            said = part.read(units)
            weights = torch.rand(said.shape, generator=torch.Generator().manual_seed(4))
            (slope,) = torch.autograd.grad((said * weights).sum(), units)
            assert (slope != 0).all()


def test_decided_codes_say_what_the_codes_say_most_and_hold_no_blends() -> None:
    drawn = torch.randn(64, codes.CODE, generator=torch.Generator().manual_seed(5))
    before, after = codes.read(drawn), codes.read(codes.decided(drawn))
    for name, part in codes.PARTS.items():
        if part.kind == "choice":
            assert torch.equal(before[name].argmax(2), after[name].argmax(2))
            assert (after[name].amax(2) == 1).all()
        elif part.kind == "either":
            assert torch.equal(before[name] > 0.5, after[name] == 1)
        else:
            assert torch.equal(before[name], after[name])


def test_the_middle_of_the_box_has_an_angle_and_finite_slopes() -> None:
    code = torch.zeros(1, codes.CODE, dtype=torch.float64, requires_grad=True)
    said = codes.read(code)
    assert said["blob_turn"][0, 0].tolist() == [1, 0]
    sum(value.square().sum() for value in said.values()).backward()
    assert code.grad is not None
    assert code.grad.isfinite().all()
