"""A small spiking network, as anybody would hand one to ambench: `python:tests/spiking.py:network`.

A spiking network is a module that takes images [B, *input] in [0, 1] and returns firing rates [B, U]: the spikes of
its output neurons, averaged over the steps. How an image becomes spikes is its own business.
"""

from __future__ import annotations

import snntorch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ambench.core import Model
from ambench.models import wrap

COLOURS = ("red", "green", "blue")


class FiringRates(nn.Module):
    """Leaky integrate-and-fire neurons: one for each colour in each of 16 places, and one that sums up each colour.

    Images [B, 3, 16, 16] become rates [B, 3]. With `coded` the image itself is spikes: in each step a pixel is one
    with the probability that is its value; else it is a steady current.
    """

    def __init__(self, steps: int = 25, coded: bool = False) -> None:
        super().__init__()
        self.steps, self.coded = steps, coded
        self.colours = nn.Conv2d(3, 3, 1, bias=False)
        self.colours.weight.data = (2 * torch.eye(3) - 0.5)[:, :, None, None]  # a colour, less the others
        self.places, self.sums = snntorch.Leaky(beta=0.8), snntorch.Leaky(beta=0.8)

    def forward(self, images: Tensor) -> Tensor:
        """Return how often each output neuron fires, from 0 (never) to 1 (in every step)."""
        places, sums, spikes = self.places.reset_mem(), self.sums.reset_mem(), []
        for _ in range(self.steps):
            seen = torch.bernoulli(images) if self.coded else images
            fired, places = self.places(F.avg_pool2d(self.colours(seen), 4), places)  # [B, 3, 4, 4]
            fired, sums = self.sums(3 * fired.mean((2, 3)), sums)  # [B, 3]
            spikes.append(fired)
        return torch.stack(spikes).mean(0)


def network() -> Model:
    """Return the network that sees steady currents."""
    return wrap(FiringRates(), "spiking", input_shape=(3, 16, 16), names=COLOURS)


def noisy() -> Model:
    """Return the network that sees spikes, which is not the same twice."""
    return wrap(FiringRates(coded=True), "noisy", input_shape=(3, 16, 16), names=COLOURS)
