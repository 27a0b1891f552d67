"""A network that paints the scene a code describes, thing after thing, with outlines and surfaces it has learned.

(placing by sampling: Jaderberg et al. 2015, arXiv 1506.02025; layer over layer: Yang et al. 2017, arXiv 1703.01560;
learned distances: Park et al. 2019, arXiv 1901.05103)
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
TEXTURE_REACH = 4.1 + SHIFTS / 2  # the same in periods: from an object's centre to its tip, and the shift
WOBBLE = 0.16  # the largest
SHARPNESS = 5.5  # log-odds a pixel: an edge is a pixel wide
Frame = tuple[Tensor, Tensor]  # coordinates [N, T, SIZE, SIZE] each


class Painter(nn.Module):
    """Codes [N, CODE] -> images [N, 3, 64, 64] in [0, 1], of learned maps that are blended, placed and overlaid.

    The maps of outlines hold distances, positive inside, in radii, those of textures in periods. Blends of distances
    have edges as sharp as any: between a star and a disc lies a star with blunt points, and no ghost of either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outlines = nn.Parameter(_round(len(SHAPES), 48, OUTLINE_REACH))
        self.blob = nn.Parameter(_round(1 + 3, 32, OUTLINE_REACH))  # a round one, and what each wobble adds to it
        self.textures = nn.Parameter(torch.zeros(len(TEXTURES), 1, 128, 128))  # positive on the figure
        self.concepts = nn.Parameter(_round(len(CONCEPTS), 32, CONCEPT_REACH))
        self.colours = nn.Parameter(torch.zeros(len(CONCEPTS), 3, 32, 32))  # log-odds of red, green, blue
        self.rim = nn.Parameter(torch.tensor(1.0))  # pixels of ground colour around a surface
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
        turned = torch.cat((_direction(said["object_place"][..., 3]), said["blob_turn"]), 1)
        frame = _frame(place, place[..., 2], turned)
        ones = torch.ones_like(said["blob_wobble"][..., :1])
        wobble = torch.cat((ones, said["blob_wobble"] / WOBBLE), 2)  # [N, BLOBS, 1 + 3]
        outlines = _sampled(_blend(said["object_outline"], self.outlines), _some(frame, 0, 1), OUTLINE_REACH)
        blobs = _sampled(_blend(wobble, self.blob), _some(frame, 1, THINGS), OUTLINE_REACH)
        depth = torch.cat((outlines, blobs), 1)[:, :, 0] * _pixels(place[..., 2])  # [N, THINGS, SIZE, SIZE]
        figure = self._figure(said, place) * self._share(depth - self.rim)
        light = said["ground_is_light"]
        ground = torch.lerp(said["dark"], said["light"], light)[..., None, None]  # [N, THINGS, 3, 1, 1]
        other = torch.lerp(said["light"], said["dark"], light)[..., None, None]
        return self._share(depth) * _on_map(frame, OUTLINE_REACH), torch.lerp(ground, other, figure[:, :, None])

    def _figure(self, said: dict[str, Tensor], place: Tensor) -> Tensor:
        """How far each pixel lies on the figure of each thing's texture [N, THINGS, SIZE, SIZE]."""
        period, *shifts = said["texture_place"].unbind(2)
        u, v = _frame(place, period, said["texture_turn"])
        u, v = (way + (shift - SHIFTS / 2)[..., None, None] for way, shift in zip((u, v), shifts, strict=True))
        depth = _sampled(_blend(said["texture"], self.textures), (u, v), TEXTURE_REACH)[:, :, 0]
        return self._share(depth * _pixels(period))

    def _concepts(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cover and colours of the concepts."""
        place = said["concept_place"]  # [N, K, 4]
        frame = _frame(place, place[..., 2], _direction(place[..., 3]))
        maps = torch.cat((self.concepts, self.colours), 1)
        drawn = _sampled_alike(maps, frame, CONCEPT_REACH)  # [N, K, 4, SIZE, SIZE]
        covered = self._share(drawn[:, :, 0] * _pixels(place[..., 2])) * _on_map(frame, CONCEPT_REACH)
        return covered * said["concept_present"][..., None], drawn[:, :, 1:].sigmoid()

    def _share(self, depth: Tensor) -> Tensor:
        """Which share of a pixel lies inside an edge, from the pixels that its middle is inside."""
        return (SHARPNESS * depth).sigmoid()


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


def roughness(painter: Painter) -> Tensor:
    """How much the slopes of the maps change from one place to the next, a mean square.

    Distances have one slope for long ways. Without it nothing would be learned far from edges, and blends would fray.
    Surfaces count little: their finest features are as small as the places.
    """
    outlines = _bends(painter.outlines, OUTLINE_REACH) + _bends(painter.blob, OUTLINE_REACH)
    return outlines + _bends(painter.concepts, CONCEPT_REACH) + 0.05 * _bends(painter.textures, TEXTURE_REACH)


def _bends(maps: Tensor, reach: float) -> Tensor:
    across, down = maps.diff(n=2, dim=3), maps.diff(n=2, dim=2)
    mixed = maps.diff(dim=3).diff(dim=2)
    bends = across.square().mean() + down.square().mean() + 2 * mixed.square().mean()
    return bends / (2 * reach / maps.shape[-1]) ** 2


def _round(count: int, side: int, reach: float) -> Tensor:
    """Maps [count, 1, side, side] to begin with: flat cones, whose edges are so soft that every place can learn."""
    line = axis(side) * reach
    return (0.1 * (0.8 - torch.hypot(line, line[:, None]))).repeat(count, 1, 1, 1)


def _pixels(lengths: Tensor) -> Tensor:
    """Lengths [N, T], given in half picture widths, in pixels [N, T, 1, 1]."""
    return lengths[..., None, None] * (SIZE / 2)


def _direction(turn: Tensor) -> Tensor:
    return torch.stack((turn.cos(), turn.sin()), 2)


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
