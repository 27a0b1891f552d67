"""How far in frequency a portrait of series keeps its power from where the data keeps it (ambench)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._series import moving, series


@dataclass(frozen=True)
class SpectralDistance(Metric[Portraits]):
    """Earth mover's distance between the power spectra of a portrait and of the data; down, [0, 1].

    Frequencies are counted from 0 to 1, the highest there is. A spectrum is the periodogram of the series less its
    mean, under a Hann window, averaged over channels and scaled to a sum of 1; that of the data is the mean over the
    method's examples. A single wave at the frequency of all the data's power scores 0, white noise beside slow data
    about a half. Spectra of constant series are no spectra: such a portrait is undefined, such an example left out. A
    dead portrait is judged as uniform noise would be. Of series only.

    >>> from ambench.core import Case, Concepts, Randomness, Truth
    >>> waves = torch.stack([torch.cos(torch.arange(64) * torch.pi * turn) for turn in (0.25, 0.75)])[:, None]
    >>> concepts = Concepts(("slow",), waves[:1], torch.ones(1, 1).bool())
    >>> case = Case(waves, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("slow/0", "slow/1"))
    >>> portraits = Portraits(waves, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> trial = Trial(None, case, portraits, concepts, Randomness((0,)), torch.arange(1))
    >>> [round(value, 4) for value in SpectralDistance().score(trial).values[:, 0].tolist()]
    [0.0, 0.5]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural series; Skipped for pictures."""
        made, natural = series(trial, "spectral_distance")
        if not len(natural):
            return None
        living = natural[moving(natural)]
        usual = spectra(living if len(living) else natural).mean(0)
        apart = (spectra(made) - usual).cumsum(1).abs()[:, :-1].mean(1)  # steps of frequency are 1 / (F - 1)
        defined = moving(made) & (len(living) > 0)
        return Values.of(apart.clamp(0, 1)[:, None], defined[:, None], ~trial.explanation.alive[:, None])


def spectra(series: Tensor) -> Tensor:
    """Return the power of series [N, C, T] at frequencies from 0 to the highest [N, F], a sum of 1 each.

    >>> spectra(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])).argmax().item()  # nothing is faster than up and down in turn
    2
    """
    length = series.shape[2]
    window = torch.hann_window(length, dtype=series.dtype, device=series.device)
    waves = torch.fft.rfft(window * (series - series.mean(2, keepdim=True)), dim=2)  # [N, C, F]
    power = waves.abs().square()
    both = torch.full((power.shape[2],), 2.0, dtype=power.dtype, device=power.device)  # a wave and its mirror image
    both[0] = 1
    both[-1] = 1 if length % 2 == 0 else 2
    total = (power * both).mean(1)
    shares: Tensor = total / total.sum(1, keepdim=True).clamp_min(1e-300)
    return shares
