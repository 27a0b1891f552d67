"""Drawn series from random parameters: the waveform, its grain, and what happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ambench.datasets.drawing.draws import Draws, words
from ambench.datasets.waveforms.carriers import carry
from ambench.datasets.waveforms.events import EVENTS, Places, bump, burst, spike

USUAL_LENGTH = 128  # samples, for which all widths are given
LEVELS = 1024  # values are multiples of its inverse, so that they are the same on every machine
BUMPS = 2
SLOTS = 6  # each event and each bump has one to itself
GRAIN = 0.02
PARAMETER_WORDS = 64


@dataclass(frozen=True)
class Traces:
    """B series of T samples, in whole levels, with what happens in them."""

    levels: Tensor  # [B, T] int16, from 0 to LEVELS
    present: Tensor  # [B, K] bool
    events: Tensor  # [B, K, T] bool: the samples that each event changes
    bumps: Tensor  # [B, T] bool

    @property
    def values(self) -> Tensor:
        """The series [B, 1, T] in [0, 1]."""
        return self.levels.float().div_(LEVELS).unsqueeze(1)


def traces(
    seed: int, part: str, indices: Sequence[int], waveform: Tensor, present_share: Tensor, length: int = USUAL_LENGTH
) -> Traces:
    """Draw the series `indices` of a part.

    `waveform` [B] are their classes, `present_share` [B, K] the probability of each event (0 and 1 force it; everything
    else stays what it was).
    """
    grain_words = -(-length // 8)
    rows = words(seed, part, indices, PARAMETER_WORDS + grain_words)
    draws = Draws(rows[:, :PARAMETER_WORDS])
    grain = torch.from_numpy(rows[:, PARAMETER_WORDS:].copy().view(np.uint8))[:, :length]  # [B, T]
    present = draws.uniform(0, 1, len(EVENTS)) < present_share
    events, bumps = _places(draws, length)
    quiet = _quiet(draws, waveform, length)
    inside = events.inside(length) & present[..., None]  # [B, K, T]
    noisy = quiet + (grain.float() - 127.5) * (GRAIN / 127.5)
    noisy = noisy + (bumps.height[..., None] * bump(bumps.distance(length))).sum(1)
    levels = _with_events(noisy, quiet, events, inside, draws).mul(LEVELS).round_().clamp_(0, LEVELS)
    return Traces(levels.to(torch.int16), present, inside, bumps.inside(length).any(1))


def _quiet(draws: Draws, waveform: Tensor, length: int) -> Tensor:
    """Return the waveforms on their slopes [B, T], without grain; their periods are 14 to 24 samples of 128."""
    samples = torch.arange(length, dtype=torch.float32) / length
    cycles = USUAL_LENGTH / draws.uniform(14, 24, 1)  # [B, 1]
    phase = cycles * samples + draws.uniform(0, 1, 1)
    height, middle, slope = draws.uniform(0.08, 0.14, 1), draws.uniform(0.35, 0.55, 1), draws.uniform(-0.08, 0.08, 1)
    return middle + slope * (samples - 0.5) + height * carry(waveform, phase)


def _places(draws: Draws, length: int) -> tuple[Places, Places]:
    """Return where events and bumps lie: in slots of their own, moved so little that no two touch."""
    slot, unit = length / SLOTS, length / USUAL_LENGTH
    slots = draws.uniform(0, 1, SLOTS).argsort(1)[:, : len(EVENTS) + BUMPS]  # [B, things]
    widths = (draws.uniform(2.5, 4, 1), draws.uniform(7, 9, 2), draws.uniform(6, 9, BUMPS))
    half_width = torch.cat(widths, 1) * unit
    move = draws.uniform(-1, 1, len(EVENTS) + BUMPS) * (slot / 2 - half_width - unit / 2)
    centre = (slots + 0.5) * slot - 0.5 + move
    up = torch.where(draws.uniform(0, 1, BUMPS) < 0.5, -1.0, 1.0)
    heights = (draws.uniform(0.25, 0.32, 1), draws.uniform(0.10, 0.14, 2), up * draws.uniform(0.12, 0.2, BUMPS))
    whole = Places(centre, half_width, torch.cat(heights, 1))
    events, bumps = (Places(*(part[:, rows] for part in vars(whole).values())) for rows in (slice(3), slice(3, None)))
    return events, bumps


def _with_events(noisy: Tensor, quiet: Tensor, events: Places, inside: Tensor, draws: Draws) -> Tensor:
    """Return the series [B, T] with a spike and a burst added, and held at one value on the plateau."""
    length = noisy.shape[1]
    distance = events.distance(length)  # [B, K, T]
    turns = events.half_width[:, 1:2] / (draws.uniform(3.2, 4.2, 1) * length / USUAL_LENGTH)
    added = torch.cat((spike(distance[:, :1]), burst(distance[:, 1:2], turns)), 1) * events.height[:, :2, None]
    drawn = noisy + (added * inside[:, :2]).sum(1)
    held = quiet.gather(1, events.centre[:, 2:].round().long().clamp(0, length - 1))  # [B, 1]
    return torch.where(inside[:, 2], held, drawn)
