"""Drawn scenes as codes: each parameter of a picture as units of about mean 0 and spread 1.

A code has one unit for a number of a known range, one for what is so or not, two for an angle, and three for a choice
of eight. No unit between -1 and 1 is without slope, so that one can climb there: halfway between two items of a choice
lies a blend, and where every unit is -1 or 1 there is none.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.scene import BLOBS, Scene

SHIFTS = 4.0  # periods by which a texture may be shifted: enough to show every phase of those that repeat
NEAR_NOUGHT = 1e-4  # an angle whose two units are 0 is 0
THINGS = 1 + BLOBS
BITS = 3  # eight shapes, eight textures


@dataclass(frozen=True)
class Part:
    """The units of `things` alike, `numbers` each, and what is read from them.

    `range`: numbers between `low` and `high`, uniform if the code is normal; `either`: a share, 0 at -1 and 1 at 1;
    `choice`: weights of 2^numbers items, products of such shares, that sum to 1; `angle`: cosine and sine.
    """

    things: int
    numbers: int
    kind: Literal["range", "choice", "either", "angle"]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def units(self) -> int:
        """How many units of the code."""
        return self.things * self.numbers

    def read(self, code: Tensor) -> Tensor:
        """What units [N, units] say, [N, things, numbers], or [N, things, 2^numbers] of a choice."""
        code = code.reshape(-1, self.things, self.numbers)
        if self.kind == "choice":
            for_items = _held(code)[..., None] * self._signs().to(code)  # [N, things, numbers, 2^numbers]
            return ((1 + for_items) / 2).prod(2)
        if self.kind == "either":
            return (1 + _held(code)) / 2
        if self.kind == "angle":
            code = code + code.new_tensor((NEAR_NOUGHT, 0.0))
            return functional.normalize(code, dim=2)
        low, high = code.new_tensor(self.low), code.new_tensor(self.high)
        share: Tensor = torch.special.ndtr(code)
        return low + (high - low) * share

    def write(self, values: Tensor) -> Tensor:
        """The units [N, units] that say `values` [N, things, numbers]; a choice is given as its item [N, things]."""
        if self.kind == "choice":
            signs: Tensor = self._signs().T[values]  # [N, things, numbers]
            return signs.flatten(1)
        if self.kind == "either":
            return (2 * values - 1).flatten(1)
        if self.kind == "angle":
            return (values * math.sqrt(2)).flatten(1)
        low, high = values.new_tensor(self.low), values.new_tensor(self.high)
        normal: Tensor = torch.special.ndtri(((values - low) / (high - low)).clamp(1e-3, 1 - 1e-3))
        return normal.flatten(1)

    def _signs(self) -> Tensor:
        """The sign of each unit [numbers, 2^numbers] that stands for an item."""
        return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=self.numbers))).T


PARTS: dict[str, Part] = {
    "object_outline": Part(1, BITS, "choice"),
    "object_place": Part(1, 4, "range", (-0.34, -0.34, 0.46, -0.6), (0.34, 0.34, 0.64, 0.6)),  # x, y, radius, turn
    "blob_place": Part(BLOBS, 3, "range", (-0.9, -0.9, 0.2), (0.9, 0.9, 0.34)),  # x, y, radius
    "blob_turn": Part(BLOBS, 2, "angle"),
    "blob_wobble": Part(BLOBS, 3, "range", (-0.16,) * 3, (0.16,) * 3),
    "blob_in_front": Part(BLOBS, 1, "either"),
    "texture": Part(THINGS, BITS, "choice"),
    "texture_place": Part(THINGS, 3, "range", (0.17, 0.0, 0.0), (0.23, SHIFTS, SHIFTS)),  # period, two shifts
    "texture_turn": Part(THINGS, 2, "angle"),
    "dark": Part(THINGS, 3, "range", (0.02,) * 3, (0.42,) * 3),
    "light": Part(THINGS, 3, "range", (0.58,) * 3, (0.98,) * 3),
    "ground_is_light": Part(THINGS, 1, "either"),
    "concept_present": Part(len(CONCEPTS), 1, "either"),
    "concept_place": Part(len(CONCEPTS), 4, "range", (-0.9, -0.9, 0.172, -0.35), (0.9, 0.9, 0.188, 0.35)),
    "background": Part(1, 3, "range", (0.2,) * 3, (0.8,) * 3),
    "slope": Part(1, 2, "range", (-0.06,) * 2, (0.06,) * 2),
}
CODE = sum(part.units for part in PARTS.values())


def read(codes: Tensor) -> dict[str, Tensor]:
    """What codes [N, CODE] say of each part, [N, things, numbers].

    >>> read(torch.zeros(2, CODE))["background"][0, 0].tolist()
    [0.5, 0.5, 0.5]
    """
    chunks = torch.split(codes, [part.units for part in PARTS.values()], dim=1)
    return {name: part.read(chunk) for (name, part), chunk in zip(PARTS.items(), chunks, strict=True)}


def decided(codes: Tensor) -> Tensor:
    """The same codes [N, CODE] with each choice made: its units are -1 or 1.

    >>> read(decided(torch.full((1, CODE), 0.1)))["concept_present"].flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    made = [part.kind in ("choice", "either") for part in PARTS.values() for _ in range(part.units)]
    return torch.where(torch.tensor(made, device=codes.device), torch.where(codes > 0, 1.0, -1.0), codes)


def write(scene: Scene) -> Tensor:
    """The codes [B, CODE] of scenes whose textures are shifted by less than `SHIFTS` periods."""
    values = _values(scene)
    return torch.cat([part.write(values[name]) for name, part in PARTS.items()], 1)


def _held(code: Tensor) -> Tensor:
    """A code held between -1 and 1, with slope 1 at both ends too, where `clamp` may have none."""
    return torch.where(code.abs() <= 1, code, code.sign())


def _values(scene: Scene) -> dict[str, Tensor]:
    things, surfaces, concepts = scene.things, scene.surfaces, scene.concepts
    light = surfaces.ground.mean(2, keepdim=True) > surfaces.figure.mean(2, keepdim=True)  # [B, THINGS, 1]
    numbers = torch.stack((things.x, things.y, things.radius, things.turn), 2)  # [B, THINGS, 4]
    return {
        "object_outline": scene.shape[:, None],
        "object_place": numbers[:, :1],
        "blob_place": numbers[:, 1:, :3],
        "blob_turn": _direction(things.turn[:, 1:]),
        "blob_wobble": scene.wobble,
        "blob_in_front": scene.in_front[..., None].float(),
        "texture": surfaces.texture,
        "texture_place": torch.stack((surfaces.period, surfaces.shift_u, surfaces.shift_v), 2),
        "texture_turn": _direction(surfaces.turn),
        "dark": torch.where(light, surfaces.figure, surfaces.ground),
        "light": torch.where(light, surfaces.ground, surfaces.figure),
        "ground_is_light": light.float(),
        "concept_present": scene.present[..., None].float(),
        "concept_place": torch.stack((concepts.x, concepts.y, concepts.radius, concepts.turn), 2),
        "background": scene.background[:, None],
        "slope": scene.slope[:, None],
    }


def _direction(turn: Tensor) -> Tensor:
    return torch.stack((turn.cos(), turn.sin()), 2)
