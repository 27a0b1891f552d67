"""A network that paints the scene a code describes, thing after thing, with outlines and surfaces it has learned.

(placing by sampling: Jaderberg et al. 2015, arXiv 1506.02025; layer over layer: Yang et al. 2017, arXiv 1703.01560)
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.scene import BLOBS
from ambench.datasets.drawing.silhouettes import SHAPES
from ambench.datasets.drawing.sprites import axis
from ambench.datasets.drawing.textures import TEXTURES
from ambench.zoo.codes import CODE, SHIFTS, THINGS, read
from ambench.zoo.files import WEIGHTS, digest_of
from ambench.zoo.files import read as stored

NAME = "shapes-decoder"  # of the weights and the card
SIZE = 64
OUTLINE_REACH, CONCEPT_REACH = 1.25, 1.35  # half width of a learned map, in radii
TEXTURE_REACH = 4.1  # periods from an object's centre to its tip
Frame = tuple[Tensor, Tensor]  # coordinates [N, T, SIZE, SIZE] each


class Painter(nn.Module):
    """Codes [N, CODE] -> images [N, 3, 64, 64] in [0, 1], of learned maps that are blended, placed and overlaid.

    The maps hold log-odds, of lying within an outline, within its rim, on a texture's figure, so that an edge is
    sharp at every scale.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outlines = _maps(len(SHAPES), 2, 48)  # covered; within the rim
        self.blob = _maps(1 + 3, 2, 32)  # the same of a round blob, and what each wobble adds to it
        self.textures = _maps(len(TEXTURES), 1, 96)
        self.concepts = _maps(len(CONCEPTS), 4, 32)  # covered; red, green, blue
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(CODE))  # of the codes it learned from
        self.register_buffer("std", torch.ones(CODE))

    def forward(self, codes: Tensor) -> Tensor:
        """Images [N, 3, SIZE, SIZE]."""
        said = read(codes)
        canvas = _background(said)
        covers, colours = self._things(said)  # [N, THINGS, SIZE, SIZE], [N, THINGS, 3, SIZE, SIZE]
        front = said["blob_in_front"][..., None]  # [N, BLOBS, 1, 1]
        for number in range(BLOBS):
            canvas = _over(canvas, colours[:, 1 + number], covers[:, 1 + number] * (1 - front[:, number]))
        canvas = _over(canvas, colours[:, 0], covers[:, 0])
        for number in range(BLOBS):
            canvas = _over(canvas, colours[:, 1 + number], covers[:, 1 + number] * front[:, number])
        covers, colours = self._concepts(said)
        for number in range(len(CONCEPTS)):
            canvas = _over(canvas, colours[:, number], covers[:, number])
        return canvas

    def _things(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cover and colours of the object and the blobs."""
        place = torch.cat((said["object_place"][..., :3], said["blob_place"]), 1)  # [N, THINGS, 3]
        turn = said["object_place"][..., 3]
        turned = torch.cat((torch.stack((turn.cos(), turn.sin()), 2), said["blob_turn"]), 1)
        frame = _frame(place, place[..., 2], turned)
        ones = torch.ones_like(said["blob_wobble"][..., :1])
        wobble = torch.cat((ones, said["blob_wobble"] / 0.16), 2)  # [N, BLOBS, 1 + 3]
        outlines = _sampled(_blend(said["object_outline"], self.outlines), _some(frame, 0, 1), OUTLINE_REACH)
        blobs = _sampled(_blend(wobble, self.blob), _some(frame, 1, THINGS), OUTLINE_REACH)
        covered, within = torch.cat((outlines, blobs), 1).sigmoid().unbind(2)  # [N, THINGS, SIZE, SIZE] each
        covered = covered * _on_map(frame, OUTLINE_REACH)
        figure = self._figure(said, place) * within
        light = said["ground_is_light"]
        ground = torch.lerp(said["dark"], said["light"], light)[..., None, None]  # [N, THINGS, 3, 1, 1]
        other = torch.lerp(said["light"], said["dark"], light)[..., None, None]
        return covered, torch.lerp(ground, other, figure[:, :, None])

    def _figure(self, said: dict[str, Tensor], place: Tensor) -> Tensor:
        """How far each pixel lies on the figure of each thing's texture [N, THINGS, SIZE, SIZE]."""
        period, *shifts = said["texture_place"].unbind(2)
        u, v = _frame(place, period, said["texture_turn"])
        centred = tuple(way + (shift - SHIFTS / 2)[..., None, None] for way, shift in zip((u, v), shifts, strict=True))
        maps = _blend(said["texture"], self.textures)
        return _sampled(maps, (centred[0], centred[1]), TEXTURE_REACH + SHIFTS / 2)[:, :, 0].sigmoid()

    def _concepts(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cover and colours of the concepts."""
        place = said["concept_place"]  # [N, K, 4]
        turned = torch.stack((place[..., 3].cos(), place[..., 3].sin()), 2)
        frame = _frame(place, place[..., 2], turned)
        drawn = _sampled_alike(self.concepts, frame, CONCEPT_REACH).sigmoid()  # [N, K, 4, SIZE, SIZE]
        covered = drawn[:, :, 0] * _on_map(frame, CONCEPT_REACH)
        return covered * said["concept_present"][..., None], drawn[:, :, 1:]


def network(file: Path | None = None) -> Painter:
    """The painter that comes with the package, or with other weights, fp32 on the CPU, in eval mode.

    >>> network()(torch.zeros(1, CODE)).shape
    torch.Size([1, 3, 64, 64])
    """
    painter = Painter()
    painter.load_state_dict(stored(file or WEIGHTS / f"{NAME}.safetensors"))
    return painter.eval()


def digest() -> str:
    """SHA-256 of the weights that come with the package, as stored."""
    return digest_of(stored(WEIGHTS / f"{NAME}.safetensors"))


def _maps(count: int, channels: int, side: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(count, channels, side, side))


def _background(said: dict[str, Tensor]) -> Tensor:
    colour, slope = said["background"][:, 0], said["slope"][:, 0]  # [N, 3], [N, 2]
    pixel = axis(SIZE).to(colour)
    ramp = slope[:, 0, None, None] * pixel + slope[:, 1, None, None] * pixel[:, None]  # [N, SIZE, SIZE]
    return colour[..., None, None] + ramp[:, None]


def _frame(place: Tensor, scale: Tensor, turned: Tensor) -> Frame:
    """Each pixel as seen from things: offsets from places [N, T, 2 or more], turned [N, T, 2], in `scale` [N, T]."""
    pixel = axis(SIZE).to(place)
    across = (pixel - place[..., 0, None])[:, :, None, :]  # [N, T, 1, SIZE]
    down = (pixel - place[..., 1, None])[..., None]  # [N, T, SIZE, 1]
    cosine, sine = (turned / scale[..., None])[..., None, None].unbind(2)  # [N, T, 1, 1] each
    return across * cosine + down * sine, down * cosine - across * sine


def _some(frame: Frame, start: int, stop: int) -> Frame:
    return frame[0][:, start:stop], frame[1][:, start:stop]


def _on_map(frame: Frame, reach: float) -> Tensor:
    """1 where a thing's frame is within its map, and 0 beyond, where nothing is covered."""
    return (torch.maximum(frame[0].abs(), frame[1].abs()) < reach).to(frame[0])


def _blend(weights: Tensor, maps: Tensor) -> Tensor:
    """Weighted sums [N, T, C, h, w] of maps [M, C, h, w], with weights [N, T, M]."""
    return (weights @ maps.flatten(1)).reshape(*weights.shape[:2], *maps.shape[1:])


def _sampled(maps: Tensor, frame: Frame, reach: float) -> Tensor:
    """Values [N, T, C, SIZE, SIZE] of each thing's own map [N, T, C, h, w] at its frame, the border beyond it."""
    grid = torch.stack(frame, 4).div(reach).flatten(0, 1)  # [N * T, SIZE, SIZE, 2]
    values = functional.grid_sample(maps.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    return values.reshape(*maps.shape[:3], SIZE, SIZE)


def _sampled_alike(maps: Tensor, frame: Frame, reach: float) -> Tensor:
    """Values [N, T, C, SIZE, SIZE] of maps [T, C, h, w] that are the same in all images."""
    count = len(frame[0])
    grid = torch.stack(frame, 4).div(reach).transpose(0, 1).flatten(1, 2)  # [T, N * SIZE, SIZE, 2]
    values = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    return values.reshape(*maps.shape[:2], count, SIZE, SIZE).permute(2, 0, 1, 3, 4)


def _over(canvas: Tensor, colour: Tensor, cover: Tensor) -> Tensor:
    """A thing's colours [N, 3, SIZE, SIZE] laid over a canvas where it covers it [N, SIZE, SIZE]."""
    return torch.lerp(canvas, colour, cover[:, None])
