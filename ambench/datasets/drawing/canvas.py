"""Compositing of a scene: background, textured things from back to front, concepts on top, and who is seen where."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.scene import BLOBS, Scene
from ambench.datasets.drawing.sprites import Sprites, axis, blob_sprites, concept_sprites, object_sprites

NOISE_SPREAD = 0.015 * 12**0.5
OBJECT, RIM, DISTRACTOR, FIRST_CONCEPT = 1, 2, 3, 4  # who owns a pixel; 0 is the background


@dataclass(frozen=True)
class Picture:
    """B pictures in eight bits with what is visible in them."""

    pixels: Tensor  # [B, 3, H, W] uint8
    object: Tensor  # [B, H, W] bool: the object, its rim included
    surface: Tensor  # [B, H, W] bool: the object's texture, its rim excluded
    concepts: Tensor  # [B, K, H, W] bool
    distractors: Tensor  # [B, H, W] bool


def draw(scene: Scene) -> Picture:
    """The pictures of a scene.

    A thing is visible in a pixel if it covers more than a quarter of it and nothing nearer does; smaller shares are
    not painted at all, so a concept changes the pixels of its mask and no others.
    """
    canvas = Canvas(scene)
    blobs, in_front = blob_sprites(scene), scene.in_front.flatten()
    canvas.paint_in_turn(blobs, ~in_front)
    objects = object_sprites(scene)
    canvas.paint(objects, torch.where(objects.inside, OBJECT, RIM).to(torch.uint8))
    canvas.paint_in_turn(blobs, in_front)
    for number in range(len(CONCEPTS)):
        sprites = concept_sprites(scene, number)
        canvas.paint(sprites, _all(FIRST_CONCEPT + number, sprites))
    return canvas.picture()


class Canvas:
    """Pictures under way: colours [B, H, W, 3] and the nearest thing's number [B, H, W] in each pixel."""

    def __init__(self, scene: Scene) -> None:
        pixel = axis(scene.size)
        across, down = scene.slope[:, 0, None, None] * pixel, scene.slope[:, 1, None, None] * pixel[:, None]
        grain = scene.noise.float().sub_(127.5).mul_(NOISE_SPREAD / 256)
        self.colours = grain.add_((across + down)[..., None]).add_(scene.background[:, None, None])
        self.owner = torch.zeros(self.colours.shape[:3], dtype=torch.uint8)

    def paint(self, sprites: Sprites, owner: Tensor) -> None:
        """Lay sprites of different pictures on the canvas; `owner` [m] has the pixels from now on."""
        colours, owners = self.colours.view(-1, 3), self.owner.view(-1)
        mixed = torch.lerp(colours.index_select(0, sprites.pixel), sprites.colour, sprites.share[:, None])
        colours.index_copy_(0, sprites.pixel, mixed)
        owners.index_copy_(0, sprites.pixel, owner)

    def paint_in_turn(self, blobs: Sprites, chosen: Tensor) -> None:
        """Lay the chosen blobs [n], one of each picture after the other, so that their order of depth is fixed."""
        wanted, number = chosen[blobs.thing], blobs.thing % BLOBS
        for turn in range(BLOBS):
            sprites = blobs[(wanted & (number == turn)).nonzero()[:, 0]]
            self.paint(sprites, _all(DISTRACTOR, sprites))

    def picture(self) -> Picture:
        """What has been painted, in eight bits."""
        numbers = torch.arange(FIRST_CONCEPT, FIRST_CONCEPT + len(CONCEPTS), dtype=torch.uint8)
        pixels = self.colours.permute(0, 3, 1, 2).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return Picture(
            pixels=pixels.contiguous(),
            object=(self.owner == OBJECT) | (self.owner == RIM),
            surface=self.owner == OBJECT,
            concepts=self.owner[:, None] == numbers[:, None, None],
            distractors=self.owner == DISTRACTOR,
        )


def _all(owner: int, sprites: Sprites) -> Tensor:
    return torch.full_like(sprites.pixel, owner, dtype=torch.uint8)
