"""The things of a scene, painted one by one: which pixels each covers, how much of them, in which colours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.scene import BLOBS, Placement, Scene, Surface
from ambench.datasets.drawing.silhouettes import SHAPES, blob
from ambench.datasets.drawing.textures import TEXTURES

RIM_PIXELS = 1.5
OBJECT_REACH, BLOB_REACH, CONCEPT_REACH = 0.7, 0.46, 0.27  # half picture widths that a thing's centre is from its tip


@dataclass(frozen=True)
class Sprites:
    """The m pixels that n things cover, one thing after the other."""

    thing: Tensor  # [m] which of the n things covers the pixel
    pixel: Tensor  # [m] index of the pixel on the chunk's canvas, pictures and lines end to end
    share: Tensor  # [m] covered share of the pixel, more than a quarter
    inside: Tensor  # [m] bool: not on the rim
    colour: Tensor  # [m, 3]

    def __getitem__(self, rows: Tensor) -> Sprites:
        """The chosen pixels."""
        return Sprites(*(field.index_select(0, rows) for field in vars(self).values()))


def axis(size: int) -> Tensor:
    """Pixel centres [size] in half picture widths, from -1 to 1."""
    return (torch.arange(size) + 0.5) * (2 / size) - 1


def coverage(distance: Tensor) -> Tensor:
    """Share of a pixel that is covered, from its signed distance in pixels (negative inside); up to a quarter is 0."""
    return torch.threshold_((0.5 - distance).clamp_(0, 1), 0.25, 0.0)


class Window:
    """The pixels around the centres of n things, and their offsets from those centres."""

    def __init__(self, places: Placement, rows: Tensor, column: Tensor, reach: float, size: int) -> None:
        self.radius, self.turn = places.radius[rows, column, None, None], places.turn[rows, column, None, None]
        self.half = size / 2
        width = min(size, 2 * int(reach * self.half + 1) + 1)
        pixel = axis(size)
        centre_x, centre_y = places.x[rows, column, None], places.y[rows, column, None]
        columns, lines = self._indices(centre_x, width, size), self._indices(centre_y, width, size)
        self.pixel = (rows[:, None, None] * size + lines[:, :, None]) * size + columns[:, None, :]
        self.across = (pixel[columns] - centre_x)[:, None, :]  # [n, 1, w]
        self.down = (pixel[lines] - centre_y)[:, :, None]  # [n, w, 1]

    def _indices(self, centre: Tensor, width: int, size: int) -> Tensor:
        first = ((centre + 1) * self.half).floor().long() - width // 2
        return first.clamp_(0, size - width) + torch.arange(width)  # [n, w]

    def turned(self, scale: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets [n, w, w] after turning, in units of `scale` [n, 1, 1]."""
        cosine, sine = turn.cos() / scale, turn.sin() / scale
        x = self.across * cosine + self.down * sine
        return x, self.down * cosine - self.across * sine


def object_sprites(scene: Scene) -> Sprites:
    """The textured object of each picture."""
    rows = torch.arange(len(scene.shape))
    column = torch.zeros_like(rows)
    window = Window(scene.things, rows, column, OBJECT_REACH, scene.size)
    x, y = window.turned(window.radius, window.turn)
    distance = torch.empty_like(x)
    for number, silhouette in enumerate(SHAPES.values()):
        chosen = (scene.shape == number).nonzero()[:, 0]
        distance[chosen] = silhouette(x[chosen], y[chosen])
    return _textured(scene.surfaces, rows, column, window, distance)


def blob_sprites(scene: Scene) -> Sprites:
    """The distractors of all pictures, those of one picture together: n = B * BLOBS."""
    rows = torch.arange(len(scene.shape)).repeat_interleave(BLOBS)
    column = torch.arange(1, 1 + BLOBS).repeat(len(scene.shape))
    window = Window(scene.things, rows, column, BLOB_REACH, scene.size)
    x, y = window.turned(window.radius, window.turn)
    distance = blob(x, y, scene.wobble.reshape(-1, 3, 1, 1))
    return _textured(scene.surfaces, rows, column, window, distance)


def concept_sprites(scene: Scene, number: int) -> Sprites:
    """One concept, in the pictures in which it is present."""
    rows = scene.present[:, number].nonzero()[:, 0]
    window = Window(scene.concepts, rows, torch.full_like(rows, number), CONCEPT_REACH, scene.size)
    concept = list(CONCEPTS.values())[number]
    outline, inner, edge, fill = concept(*window.turned(window.radius, window.turn))
    in_pixels = window.radius * window.half
    filled = (0.5 - inner * in_pixels).clamp_(0, 1)
    share = coverage(outline * in_pixels).flatten()
    covered = share.nonzero()[:, 0]
    filled = filled.take(covered)
    colour = torch.lerp(torch.tensor(edge), torch.tensor(fill), filled[:, None])
    thing = covered // outline.shape[1:].numel()
    return Sprites(thing, window.pixel.take(covered), share.take(covered), filled > 0.5, colour)


def _textured(surfaces: Surface, rows: Tensor, column: Tensor, window: Window, distance: Tensor) -> Sprites:
    """Texture inside the outline, its ground colour on the rim; `distance` [n, w, w] in radii."""
    look = Surface(*(field[rows, column] for field in vars(surfaces).values()))
    distance = (distance * (window.radius * window.half)).flatten()
    share = coverage(distance)
    covered = share.nonzero()[:, 0]  # [m]
    thing, distance = covered // window.pixel.shape[1:].numel(), distance.take(covered)
    here = Surface(*(field.index_select(0, thing) for field in vars(look).values()))  # [m]
    u, v = (field.take(covered) for field in window.turned(look.period[:, None, None], look.turn[:, None, None]))
    figure = _figure(here.texture, u + here.shift_u, v + here.shift_v)
    figure = figure.mul_(here.period * window.half).add_(0.5).clamp_(0, 1)
    figure *= (0.5 - RIM_PIXELS - distance).clamp_(0, 1)
    colour = torch.lerp(here.ground, here.figure, figure[:, None])
    return Sprites(thing, window.pixel.take(covered), share.take(covered), distance <= -RIM_PIXELS, colour)


def _figure(texture: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Distance [m] into the figure of each pixel's own texture, in periods."""
    figure = torch.empty_like(u)
    for number, pattern in enumerate(TEXTURES.values()):
        chosen = (texture == number).nonzero()[:, 0]
        figure.index_copy_(0, chosen, pattern(u.take(chosen), v.take(chosen)))
    return figure
