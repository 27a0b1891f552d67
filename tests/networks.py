"""Networks small enough to try everything on: convolutions, a class token, five prefix tokens, shifted windows, series."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer

from ambench.core import Model
from ambench.layers import Tokens
from ambench.models import wrap


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build().eval()


class Convolutional(nn.Module):
    """Two convolutions, average over cells, five units; the same weights whatever kind of ReLU."""

    def __init__(self, relu: str = "module", channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(6, 7, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(7, 5)
        self.kind = relu
        if relu == "module":
            self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectified(self.conv1(x), 1)
        x = self.rectified(self.conv2(x), 2)
        return self.fc(self.dropout(x.mean((2, 3))))

    def rectified(self, x: Tensor, number: int) -> Tensor:
        if self.kind == "module":
            return getattr(self, f"relu{number}")(x)
        return F.relu(x, inplace=self.kind == "in-place")


class Temporal(nn.Module):
    """Two convolutions over time, average over cells, five units."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, 6, 5, stride=2, padding=2)
        self.conv2 = nn.Conv1d(6, 7, 3, stride=2, padding=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.fc = nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu2(self.conv2(self.relu1(self.conv1(x)))).mean(2))


class Registered(nn.Module):
    """A transformer of three blocks with a class token, four registers and 3 x 5 patches of 16 pixels."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width))

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm1(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            return x + self.mlp(self.norm2(x))

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.prefix = nn.Parameter(torch.randn(1, 5, width))
        self.places = nn.Parameter(torch.randn(1, 15, width))
        self.blocks = nn.Sequential(*(Registered.Block(width) for _ in range(3)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        tokens = torch.cat([self.prefix.expand(len(x), -1, -1), tokens], 1)
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def transformer() -> nn.Module:
    network = seeded(lambda: VisionTransformer(16, 4, 2, 2, 12, 20, num_classes=5))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        nn.init.normal_(network.heads.head.weight)  # torchvision starts with zeros
    return network


def swin() -> nn.Module:
    return seeded(lambda: SwinTransformer([2, 2], 8, [2, 2], [2, 2], [2, 2], num_classes=5))


def cnn(relu: str = "module", channels: int = 3, shape: tuple[int, int] = (16, 16)) -> Model:
    network = seeded(lambda: Convolutional(relu, channels))
    return wrap(network, "tiny" if channels == 3 else "grey", input_shape=(channels, *shape))


def series(length: int = 24) -> Model:
    names = ("pairs", "second", "third", "dark", "fours")  # three of them are concepts of the conformance tests
    return wrap(seeded(Temporal), "series", input_shape=(1, length), names=names)


def every() -> dict[str, Model]:
    """All of them as models, by name."""
    return {
        "module": cnn(),
        "functional": cnn("functional"),
        "in-place": cnn("in-place"),
        "one channel": cnn(channels=1),
        "48 x 80": cnn(shape=(48, 80)),
        "1 x 1 grid": cnn(shape=(4, 4)),
        "transformer": wrap(transformer(), "transformer", input_shape=(3, 16, 16)),
        "swin": wrap(swin(), "swin", input_shape=(3, 16, 32)),
        "registered": wrap(
            seeded(Registered), "registered", input_shape=(3, 48, 80), tokens=Tokens(prefix=5, cells=(3, 5))
        ),
    }


def images(model: Model, count: int = 4, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    like = next(model.network.parameters(), torch.zeros(()))
    return torch.rand(count, *model.input_shape, generator=stream).to(like)


def targets(count: int = 4, columns: int = 3) -> Tensor:
    """Different units for every image [count, columns]."""
    return (torch.arange(count)[:, None] + torch.arange(columns)) % 5
