"""The embedded architectures: a narrow ResNet, a small vision transformer, a network for series; normalised inside.

(He et al. 2016, arXiv 1512.03385; Dosovitskiy et al. 2021, arXiv 2010.11929; Xiao et al. 2021, arXiv 2106.14881)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer

MEAN, SPREAD = 0.5, 0.28


class NarrowResNet(ResNet):  # type: ignore[misc]
    """One basic block a stage, 16 to 96 channels, 8 x 8 cells at the end of 64 x 64 images [B, 3, 64, 64] in [0, 1]."""

    def __init__(self, units: int) -> None:
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=units)
        self.inplanes = 16
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.maxpool = nn.Identity()
        self.layer1 = self._make_layer(BasicBlock, 16, 1)
        self.layer2 = self._make_layer(BasicBlock, 32, 1, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 64, 1, stride=2)
        self.layer4 = self._make_layer(BasicBlock, 96, 1)
        self.fc = nn.Linear(96, units)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, units]."""
        logits: Tensor = super().forward((x - MEAN) / SPREAD)
        return logits


class SmallTransformer(VisionTransformer):  # type: ignore[misc]
    """Convolutional stem, 4 blocks of width 96 with 3 heads, 8 x 8 tokens and a class token, for 64 x 64 images."""

    def __init__(self, units: int) -> None:
        stem = [ConvStemConfig(out_channels=width, kernel_size=3, stride=2) for width in (24, 48, 96)]
        super().__init__(64, 8, 4, 3, 96, 192, num_classes=units, conv_stem_configs=stem)
        head = self.heads[-1]
        nn.init.normal_(head.weight, std=96**-0.5)  # torchvision's zeros would make an untrained net constant

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, units]."""
        logits: Tensor = super().forward((x - MEAN) / SPREAD)
        return logits


class SeriesConvolutions(nn.Module):
    """Four convolutions over time, 16 to 64 channels, a cell at the end for 4 samples of series [B, 1, T] in [0, 1]."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.layer1 = _stage(1, 16, kernel=7, stride=2)
        self.layer2 = _stage(16, 32, kernel=5)
        self.layer3 = _stage(32, 64, kernel=5, stride=2)
        self.layer4 = _stage(64, 64, kernel=5)
        self.fc = nn.Linear(64, units)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, units]."""
        cells = self.layer4(self.layer3(self.layer2(self.layer1((x - MEAN) / SPREAD))))  # [B, 64, T / 4]
        logits: Tensor = self.fc(cells.mean(2))
        return logits


def _stage(channels: int, wider: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv1d(channels, wider, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(wider), nn.ReLU())


Architecture = type[NarrowResNet] | type[SmallTransformer] | type[SeriesConvolutions]


def initialised(architecture: Architecture, units: int, seed: int) -> nn.Module:
    """A network with the initial weights of a seed; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture(units)
