"""A picture file's pixels as a model wants them: upright, in its colours, resized and cropped; and masks cut alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from ambench.core import InputError

LUMA = (0.299, 0.587, 0.114)  # grey from red, green and blue (ITU-R BT.601)


def read_image(path: Path, size: tuple[int, int], channels: int) -> tuple[Tensor, tuple[int, int]]:
    """Return a picture [channels, *size] float32 in [0, 1], and its extent before the crop.

    It is resized to cover `size` and cropped at its centre. EXIF orientation is followed, transparency lies on white,
    palettes are looked up, and 16 bits are kept. Raises InputError naming the file when it cannot be decoded.
    """
    pixels = _colours(_decode(path))  # [3 or 4, h, w]
    colours = pixels[:3]
    if len(pixels) == 4:
        colours = colours * pixels[3:] + (1 - pixels[3:])
    if channels == 1:
        colours = (colours * torch.tensor(LUMA).view(3, 1, 1)).sum(0, keepdim=True)
    extent = covering(colours.shape[1:], size)
    return _cut(_resized(colours, extent), size).clamp(0, 1), extent


def read_mask(path: Path, extent: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return where a mask is not zero [*size] bool, stretched to its picture's `extent` and cropped as it was.

    With an alpha channel it counts where it is opaque as well.
    """
    pixels = _channels(_decode(path))  # [1 to 4, h, w]
    solid = len(pixels) in (1, 3)
    shown = pixels.amax(0) > 0 if solid else (pixels[:-1].amax(0) > 0) & (pixels[-1] > 0)
    near = interpolate(shown[None, None].float(), extent, mode="nearest-exact")[0]
    return _cut(near, size)[0] > 0


def covering(extent: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest extent of the same proportions that covers `size`.

    >>> covering((360, 480), (224, 224))
    (224, 299)
    """
    scale = max(size[0] / extent[0], size[1] / extent[1])
    return max(size[0], round(extent[0] * scale)), max(size[1], round(extent[1] * scale))


def _resized(pixels: Tensor, extent: tuple[int, int]) -> Tensor:
    if pixels.shape[1:] == extent:
        return pixels
    return interpolate(pixels[None], extent, mode="bilinear", antialias=True)[0]


def _cut(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    top, left = (pixels.shape[1] - size[0]) // 2, (pixels.shape[2] - size[1]) // 2
    return pixels[:, top : top + size[0], left : left + size[1]]


def _colours(picture: Image.Image) -> Tensor:
    """Return red, green, blue, and alpha where there is one [3 or 4, h, w] float32 in [0, 1]."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to 8
        return _channels(picture).expand(3, -1, -1) / 65535
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    return _channels(picture.convert("RGBA" if transparent else "RGB")) / 255


def _channels(picture: Image.Image) -> Tensor:
    """Return what a picture holds, a palette's numbers included [c, h, w] float32."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _decode(path: Path) -> Image.Image:
    """Return the upright picture in a file."""
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"picture '{path}' cannot be decoded: {str(error).replace(str(path), 'it')}") from None
