"""Outlines against areas known in closed form, and textures against their definition at chosen points."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

silhouettes = importlib.import_module("ambench.datasets.drawing.silhouettes")
textures = importlib.import_module("ambench.datasets.drawing.textures")
concepts = importlib.import_module("ambench.datasets.drawing.concepts")

AXIS = torch.linspace(-1.5, 1.5, 1201)
X, Y = AXIS[None, :].expand(1201, -1), AXIS[:, None].expand(-1, 1201)


def area(name: str) -> float:
    inside = silhouettes.SHAPES[name](X, Y) < 0
    return inside.double().mean().item() * 9


def test_areas_equal_the_closed_forms() -> None:
    lens = circle_overlap(0.95, 0.74, 0.48)
    expected = {
        "disc": math.pi * 0.86**2,
        "square": 1.52**2,
        "triangle": 3 * math.sqrt(3) * 0.53**2,
        "star": 10 * 0.5 * 1.05 * 0.44 * math.sin(math.pi / 5),
        "cross": 2 * 1.9 * 0.6 - 0.6**2,
        "crescent": math.pi * 0.95**2 - lens,
        "heart": (2 * 0.56) ** 2 + math.pi * 0.56**2,
    }
    for name, value in expected.items():
        assert area(name) == pytest.approx(value, rel=0.01), name


def circle_overlap(large: float, small: float, distance: float) -> float:
    """Area that two circles share (the textbook's formula)."""
    first = small**2 * math.acos((distance**2 + small**2 - large**2) / (2 * distance * small))
    second = large**2 * math.acos((distance**2 + large**2 - small**2) / (2 * distance * large))
    product = (-distance + small + large) * (distance + small - large) * (distance - small + large)
    return first + second - 0.5 * math.sqrt(product * (distance + small + large))


@pytest.mark.parametrize("name", list(silhouettes.SHAPES))
def test_distances_change_no_faster_than_the_way_gone(name: str) -> None:
    distance = silhouettes.SHAPES[name](X, Y)
    step = (AXIS[1] - AXIS[0]).item()
    assert (distance.diff(dim=0).abs().max() / step).item() < 1.02
    assert (distance.diff(dim=1).abs().max() / step).item() < 1.02


def test_silhouettes_differ_pairwise_by_a_sixth_of_their_area() -> None:
    inside = torch.stack([shape(X, Y) < 0 for shape in silhouettes.SHAPES.values()])
    for a in range(8):
        for b in range(a):
            apart = (inside[a] ^ inside[b]).sum() / torch.minimum(inside[a].sum(), inside[b].sum())
            assert apart > 1 / 6, (a, b)


@pytest.mark.parametrize("name", list(textures.TEXTURES))
def test_textures_are_figure_on_a_fair_share_of_the_surface(name: str) -> None:
    u = torch.linspace(0, 42, 1500)
    figure = textures.TEXTURES[name](u[None, :].expand(1500, -1), u[:, None].expand(-1, 1500)) > 0
    assert 0.25 < figure.double().mean() < 0.75


def test_stripes_and_dots_have_the_figure_share_of_their_geometry() -> None:
    u = torch.linspace(0, 40, 2001)[:-1]
    grid = u[None, :].expand(2000, -1), u[:, None].expand(-1, 2000)
    assert (textures.stripes(*grid) > 0).double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (textures.checks(*grid) > 0).double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (textures.dots(*grid) > 0).double().mean().item() == pytest.approx(math.pi * 0.33**2, abs=0.01)


def test_names_of_shapes_textures_and_concepts_never_coincide() -> None:
    names = [*silhouettes.SHAPES, *textures.TEXTURES, *concepts.CONCEPTS]
    assert len(names) == len(set(names)) == 20


def test_a_blob_without_wobble_is_a_disc() -> None:
    distance = silhouettes.blob(X[None], Y[None], torch.zeros(1, 3, 1, 1))[0]
    assert torch.allclose(distance, torch.hypot(X, Y) - 0.85, atol=1e-5)
