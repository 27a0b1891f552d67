"""All random parameters of a chunk of pictures, drawn whether used or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.draws import Draws, words
from ambench.datasets.drawing.textures import TEXTURES

BLOBS = 3
PARAMETER_WORDS = 128


@dataclass(frozen=True)
class Placement:
    """Where n things lie, each field [B, n]: centre, radius in half picture widths, turn in radians."""

    x: Tensor
    y: Tensor
    radius: Tensor
    turn: Tensor


@dataclass(frozen=True)
class Surface:
    """How n things look: texture [B, n] and its placement, two colours [B, n, 3]."""

    texture: Tensor
    period: Tensor
    turn: Tensor
    shift_u: Tensor
    shift_v: Tensor
    ground: Tensor
    figure: Tensor


@dataclass(frozen=True)
class Scene:
    """Parameters of B pictures; the object is the first of the 1 + BLOBS textured things."""

    size: int
    shape: Tensor  # [B] index into SHAPES
    things: Placement  # [B, 1 + BLOBS]
    surfaces: Surface  # [B, 1 + BLOBS]
    wobble: Tensor  # [B, BLOBS, 3]
    in_front: Tensor  # [B, BLOBS] bool
    concepts: Placement  # [B, K]
    present: Tensor  # [B, K] bool
    background: Tensor  # [B, 3]
    slope: Tensor  # [B, 2] change of brightness across half a picture
    noise: Tensor  # [B, size, size, 3] uint8


def scene(
    seed: int, part: str, indices: Sequence[int], shape: Tensor, texture: Tensor, present_share: Tensor, size: int = 64
) -> Scene:
    """The scenes of the pictures `indices` of a part.

    `shape` and `texture` [B] are the object's classes, `present_share` [B, K] the probability of each concept
    (0 and 1 force it; every other parameter stays what it was).
    """
    pixel_words = -(-3 * size * size // 8)
    rows = words(seed, part, indices, PARAMETER_WORDS + pixel_words)
    draws = Draws(rows[:, :PARAMETER_WORDS])
    noise = torch.from_numpy(rows[:, PARAMETER_WORDS:].copy()).view(torch.uint8)[:, : 3 * size * size]
    return Scene(
        size=size,
        shape=shape,
        present=draws.uniform(0, 1, len(CONCEPTS)) < present_share,
        concepts=_concept_places(draws),
        things=_thing_places(draws),
        surfaces=_surfaces(draws, texture),
        wobble=draws.uniform(-0.16, 0.16, BLOBS, 3),
        in_front=draws.uniform(0, 1, BLOBS) < 0.3,
        background=draws.uniform(0.2, 0.8, 3),
        slope=draws.uniform(-0.06, 0.06, 2),
        noise=noise.reshape(-1, size, size, 3),
    )


def _concept_places(draws: Draws) -> Placement:
    """Distinct cells of a 3 x 3 grid, jittered so little that two concepts never touch."""
    count = len(CONCEPTS)
    cells = draws.uniform(0, 1, 9).argsort(1)[:, :count]  # [B, K]
    radius = draws.uniform(0.172, 0.188, count)
    room = 1 / 3 - 0.05 - radius
    jitter_x, jitter_y = draws.uniform(-1, 1, count) * room, draws.uniform(-1, 1, count) * room
    x = (cells % 3 - 1) * (2 / 3) + jitter_x
    y = (cells // 3 - 1) * (2 / 3) + jitter_y
    return Placement(x, y, radius, draws.uniform(-0.35, 0.35, count))


def _thing_places(draws: Draws) -> Placement:
    """The object near the middle and upright within 35 degrees, the blobs anywhere."""
    pairs = (
        (draws.uniform(-0.34, 0.34, 1), draws.uniform(-0.9, 0.9, BLOBS)),
        (draws.uniform(-0.34, 0.34, 1), draws.uniform(-0.9, 0.9, BLOBS)),
        (draws.uniform(0.46, 0.64, 1), draws.uniform(0.2, 0.34, BLOBS)),
        (draws.uniform(-0.6, 0.6, 1), draws.uniform(-math.pi, math.pi, BLOBS)),
    )
    x, y, radius, turn = (torch.cat(pair, 1) for pair in pairs)
    return Placement(x, y, radius, turn)


def _surfaces(draws: Draws, texture: Tensor) -> Surface:
    """The object's texture is given, the blobs' are drawn; one colour is dark and one light."""
    count = 1 + BLOBS
    dark, light = draws.uniform(0.02, 0.42, count, 3), draws.uniform(0.58, 0.98, count, 3)
    swap = draws.uniform(0, 1, count, 1) < 0.5
    return Surface(
        texture=torch.cat((texture[:, None], draws.integer(len(TEXTURES), BLOBS)), 1),
        period=draws.uniform(0.17, 0.23, count),
        turn=draws.uniform(-math.pi, math.pi, count),
        shift_u=draws.uniform(0, 64, count),
        shift_v=draws.uniform(0, 64, count),
        ground=torch.where(swap, light, dark),
        figure=torch.where(swap, dark, light),
    )
