"""Seeded changes of an input, and the same change of its map (after Lysnaes-Larsen et al. 2025, arXiv 2511.04312)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import adjust_hue, pil_to_tensor

from ambench.core import InputError, Randomness, nearest

Padding = Literal["border", "zeros"]
LEVELS = 3  # of strength, weakest first
SIDE = 64  # pixels of the shorter side for which lengths are given


@dataclass(frozen=True, eq=False)
class Augmentation(ABC):
    """A change of inputs [B, C, *extent] at one of three levels, weakest first; an image's id is its chance.

    `strengths` holds one number a level, or a single one where there is nothing to grade; they are meant for values in
    [0, 1]. `suits` says of the shape of one input whether the change means anything for it; pictures are [C, H, W],
    series [C, L], tables [D].
    """

    kind: ClassVar[Literal["geometric", "photometric"]]

    name: str
    strengths: tuple[float, ...]
    suits: Callable[[tuple[int, ...]], bool]

    def strength(self, level: int) -> float:
        """Return the strength at a level (0, 1 or 2)."""
        if level not in range(LEVELS):
            raise InputError(f"level {level} of '{self.name}' does not exist; levels are 0 (weakest), 1 and 2")
        return self.strengths[min(level, len(self.strengths) - 1)]

    def apply(
        self,
        images: Tensor,
        level: int,
        randomness: Randomness,
        spared: Tensor | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> Tensor:
        """Return changed images of the same shape; `spared` [B, *extent] bool marks what a cut must not touch.

        `bounds` are the least and greatest value that an input may take, for inputs in units of their own.
        """
        low, high = bounds
        if (low, high) == (0.0, 1.0):
            return self._changed(images, level, randomness, spared)
        size = (high - low) or 1.0
        return low + size * self._changed((images - low) / size, level, randomness, spared)

    @abstractmethod
    def _changed(self, images: Tensor, level: int, randomness: Randomness, spared: Tensor | None) -> Tensor:
        """Return changed images of inputs in [0, 1]."""

    @abstractmethod
    def move(self, maps: Tensor, level: int, randomness: Randomness) -> Tensor:
        """Return maps [B, T, *extent] moved as `apply` moves the images' contents, 0 where nothing came from inside."""

    def visible(self, masks: Tensor, level: int, randomness: Randomness) -> Tensor:
        """Return which share of each mask [B, T, *extent] is still in the frame [B, T], 1 for an empty one."""
        return torch.ones(masks.shape[:2], device=masks.device)


@dataclass(frozen=True, eq=False)
class Geometric(Augmentation):
    """Moves contents: `place(values, strength, randomness, padding)` does it to images and maps alike.

    `shrinks` says that the strength is a factor on lengths.
    """

    kind = "geometric"

    place: Callable[[Tensor, float, Randomness, Padding], Tensor]
    shrinks: bool = False

    def _changed(self, images: Tensor, level: int, randomness: Randomness, spared: Tensor | None) -> Tensor:
        """Return moved images; the edge's pixels fill what comes from outside."""
        return self.place(images, self.strength(level), randomness, "border")

    def move(self, maps: Tensor, level: int, randomness: Randomness) -> Tensor:
        """Return moved maps."""
        return self.place(maps, self.strength(level), randomness, "zeros")

    def visible(self, masks: Tensor, level: int, randomness: Randomness) -> Tensor:
        """Return the moved mask's area over what the change makes of it where nothing is cut off."""
        area = masks.float().flatten(2).sum(2)  # [B, T]
        left = self.move(masks.float(), level, randomness).flatten(2).sum(2)
        factor = self.strength(level) ** (masks.ndim - 2) if self.shrinks else 1.0
        return torch.where(area > 0, left / (factor * area).clamp_min(1e-9), torch.ones_like(area))


@dataclass(frozen=True, eq=False)
class Photometric(Augmentation):
    """Changes values where they are: `change(images, strength, randomness, spared)`; maps stay in place."""

    kind = "photometric"

    change: Callable[[Tensor, float, Randomness, Tensor | None], Tensor]

    def _changed(self, images: Tensor, level: int, randomness: Randomness, spared: Tensor | None) -> Tensor:
        """Return changed images, clipped to [0, 1]."""
        return self.change(images, self.strength(level), randomness, spared).clamp(0, 1)

    def move(self, maps: Tensor, level: int, randomness: Randomness) -> Tensor:
        """Return the maps as they are."""
        return maps


def find(name: str) -> Augmentation:
    """Return an augmentation by name; raises InputError with the nearest one.

    >>> image = torch.tensor([[[[0.0, 1.0]]]])  # [1, 1, 1, 2]
    >>> find("hflip").apply(image, 0, Randomness((0,), ("a",))).flatten().tolist()
    [1.0, 0.0]
    """
    if name not in AUGMENTATIONS:
        raise InputError(f"there is no augmentation '{name}'; {nearest(name, AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


# ------------------------------------------------------------------------------------------------ geometry


def _hflip(values: Tensor, strength: float, randomness: Randomness, padding: Padding) -> Tensor:
    return values.flip(-1)


def _translate(values: Tensor, strength: float, randomness: Randomness, padding: Padding) -> Tensor:
    """Whole pixels in a direction of each image's own, so that nothing is blurred."""
    extent = values.shape[2:]
    heading = randomness.normal(len(extent))
    length = max(1.0, _pixels(strength, extent))
    steps = (length * heading / heading.norm(dim=1, keepdim=True)).round().long().to(values.device)  # [B, axes]
    for axis, side in enumerate(extent):
        source = torch.arange(side, device=values.device) - steps[:, axis, None]  # [B, side]
        source = source.view(-1, 1, *[1] * axis, side, *[1] * (len(extent) - axis - 1))
        values = values.take_along_dim(source.clamp(0, side - 1), axis + 2)
        if padding == "zeros":
            values = values * ((source >= 0) & (source < side))
    return values


def _rotate(values: Tensor, strength: float, randomness: Randomness, padding: Padding) -> Tensor:
    angle = math.radians(strength) * _signs(randomness, values)  # [B]
    cosine, sine = angle.cos(), angle.sin()
    return _sample(values, torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2), padding)


def _scale(values: Tensor, strength: float, randomness: Randomness, padding: Padding) -> Tensor:
    grow = torch.eye(2, device=values.device, dtype=values.dtype) / strength
    if values.ndim == 3:
        return _sample(values.unsqueeze(2), grow.expand(len(values), 2, 2), padding).squeeze(2)
    return _sample(values, grow.expand(len(values), 2, 2), padding)


def _sample(pictures: Tensor, source: Tensor, padding: Padding) -> Tensor:
    """Return pictures [B, C, H, W] whose pixel at x, from the centre, comes from `source` [B, 2, 2] times x."""
    height, width = pictures.shape[2:]
    aspect = source.new_tensor([[1.0, height / width], [width / height, 1.0]])  # the grid's sides are both 2 long
    matrix = F.pad(source * aspect, (0, 1))  # [B, 2, 3]
    grid = F.affine_grid(matrix, [len(pictures), 1, height, width], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode=padding, align_corners=False)


# ------------------------------------------------------------------------------------------------ light and detail


def _brightness(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    return images + strength * _per_image(_signs(randomness, images), images)


def _contrast(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    mean = _per_image(images.flatten(1).mean(1), images)
    return mean + strength * (images - mean)


def _hue(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    forward = _per_image(_signs(randomness, images), images) > 0
    return torch.where(forward, adjust_hue(images, strength), adjust_hue(images, -strength))


def _grey(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    luminance = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * luminance).sum(1, keepdim=True).expand_as(images)


def _blur(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    deviation = _pixels(strength, images.shape[2:])
    radius = max(1, math.ceil(3 * deviation))
    steps = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (steps / deviation) ** 2)
    weights = (kernel / kernel.sum()).tolist()
    for axis in range(2, images.ndim):
        places = torch.arange(images.shape[axis], device=images.device)
        blurred = torch.zeros_like(images)
        for step, weight in zip(
            range(-radius, radius + 1), weights, strict=True
        ):  # one by one: no batch rounds it otherwise
            blurred = blurred + weight * images.index_select(axis, (places + step).clamp(0, len(places) - 1))
        images = blurred
    return images


def _noise(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    return images + strength * randomness.normal(*images.shape[1:]).to(images)


def _jpeg(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    grey = images.shape[1] == 1
    stored = (images * 255).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu().numpy()  # [B, H, W, C]
    decoded = images.clone()
    for row, picture in enumerate(stored):
        file = BytesIO()
        Image.fromarray(picture[:, :, 0] if grey else picture).save(file, "JPEG", quality=int(strength))
        decoded[row] = pil_to_tensor(Image.open(file)) / 255
    return decoded


def _cutout(images: Tensor, strength: float, randomness: Randomness, spared: Tensor | None) -> Tensor:
    """A box in the image's mean colour, anywhere but on what is spared; no box where there is no room for one."""
    extent = images.shape[2:]
    side = max(1, round(_pixels(strength, extent)))
    taken = images.new_zeros(len(images), *extent) if spared is None else spared.to(images)
    pool = F.max_pool1d if len(extent) == 1 else F.max_pool2d
    blocked = pool(taken.unsqueeze(1), side, 1).squeeze(1)  # [B, *places] of a box's first corner
    draw = randomness.uniform(*blocked.shape[1:]).to(images).masked_fill(blocked > 0, -1).flatten(1)
    best, place = draw.max(1)
    box = _per_image(best >= 0, images)
    for axis, corner in enumerate(torch.unravel_index(place, blocked.shape[1:])):
        here = torch.arange(extent[axis], device=images.device)
        here = here.view(-1, *[1] * (len(extent) - axis - 1))
        first = _per_image(corner, images)
        box = box & (here >= first) & (here < first + side)
    return torch.where(box, images.mean(tuple(range(2, images.ndim)), keepdim=True), images)


def _pixels(length: float, extent: tuple[int, ...]) -> float:
    """A length given for 64 pixels, in those of this extent."""
    return length * min(extent) / SIDE


def _signs(randomness: Randomness, like: Tensor) -> Tensor:
    """One sign an image [B]."""
    return torch.where(randomness.uniform(1)[:, 0] < 0.5, -1.0, 1.0).to(like)


def _per_image(numbers: Tensor, images: Tensor) -> Tensor:
    """Numbers [B] shaped to meet images [B, …]."""
    return numbers.view(-1, *[1] * (images.ndim - 1))


# ------------------------------------------------------------------------------------------------ the list


def _any(shape: tuple[int, ...]) -> bool:
    return True


def _extended(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 3)


def _picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3


def _coloured(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] == 3


def _storable(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    augmentation.name: augmentation
    for augmentation in (
        Geometric("hflip", (1.0,), _picture, _hflip),
        Geometric("translate", (4.0, 8.0, 12.0), _extended, _translate),  # pixels
        Geometric("rotate", (5.0, 10.0, 20.0), _picture, _rotate),  # degrees
        Geometric("scale", (0.9, 0.8, 0.7), _extended, _scale, shrinks=True),
        Photometric("brightness", (0.05, 0.1, 0.2), _extended, _brightness),
        Photometric("contrast", (0.9, 0.75, 0.5), _extended, _contrast),
        Photometric("hue", (0.02, 0.05, 0.1), _coloured, _hue),  # turns
        Photometric("grey", (1.0,), _coloured, _grey),
        Photometric("blur", (0.5, 1.0, 1.5), _extended, _blur),  # pixels
        Photometric("noise", (0.02, 0.04, 0.08), _any, _noise),
        Photometric("jpeg", (80.0, 50.0, 25.0), _storable, _jpeg),  # quality
        Photometric("cutout", (8.0, 12.0, 16.0), _extended, _cutout),  # pixels
    )
}
