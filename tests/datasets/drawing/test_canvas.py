"""What is seen where: depth, rims, distractors and anti-aliasing."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch

scenes = importlib.import_module("ambench.datasets.drawing.scene")
canvas = importlib.import_module("ambench.datasets.drawing.canvas")
sprites = importlib.import_module("ambench.datasets.drawing.sprites")


def some_scene(count: int = 32, share: float = 0.5):  # type: ignore[no-untyped-def]
    shape = torch.arange(count) % 8
    return scenes.scene(7, "depth", range(count), shape, shape.flip(0), torch.full((count, 4), share))


def test_masks_are_disjoint_and_the_surface_lies_in_the_object() -> None:
    picture = canvas.draw(some_scene())
    seen = picture.object.int() + picture.distractors.int() + picture.concepts.sum(1)
    assert int(seen.max()) == 1
    assert not bool((picture.surface & ~picture.object).any())
    assert bool((picture.object & ~picture.surface).any((1, 2)).all())


def test_unseen_parts_are_those_of_nearer_things() -> None:
    scene = some_scene(share=0.0)
    behind = canvas.draw(replace(scene, in_front=torch.zeros_like(scene.in_front)))
    front = canvas.draw(replace(scene, in_front=torch.ones_like(scene.in_front)))
    assert not bool((front.object & ~behind.object).any())
    assert not bool((behind.distractors & ~front.distractors).any())
    assert torch.equal(behind.object | behind.distractors, front.object | front.distractors)
    assert torch.equal(behind.object & ~front.object, front.distractors & ~behind.distractors)


def test_pixels_outside_every_mask_are_background_only() -> None:
    scene = some_scene()
    picture = canvas.draw(scene)
    nothing = ~(picture.object | picture.distractors | picture.concepts.any(1))
    painted = picture.pixels.float() / 255 - scene.background[:, :, None, None]
    limit = 2 * 0.06 + 0.015 * 12**0.5 / 2 + 1 / 255
    assert painted.abs().amax(1)[nothing].max() <= limit


def test_the_outline_is_softened_and_nothing_thinner_than_a_quarter_pixel_is_painted() -> None:
    distance = torch.tensor([-1.0, -0.5, -0.25, 0.0, 0.2, 0.25, 0.3, 1.0])
    expected = torch.tensor([1.0, 1.0, 0.75, 0.5, 0.3, 0.0, 0.0, 0.0])
    assert torch.allclose(sprites.coverage(distance), expected, atol=1e-6)


def test_windows_hold_all_that_the_whole_canvas_would(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = some_scene(256, share=1.0)
    small = canvas.draw(scene)
    for name in ("OBJECT_REACH", "BLOB_REACH", "CONCEPT_REACH"):
        monkeypatch.setattr(sprites, name, 4.0)
    whole = canvas.draw(scene)
    for name, value in vars(whole).items():
        assert torch.equal(value, getattr(small, name)), name


def test_the_backgrounds_mean_is_random_and_its_noise_small() -> None:
    scene = some_scene(256)
    assert scene.background.std() > 0.15
    assert (scene.noise.float().std() * canvas.NOISE_SPREAD / 256 - 0.015).abs() < 1e-3
