"""Random numbers of one picture, from a counter-based generator keyed by what the picture is (Salmon et al. 2011)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def words(seed: int, part: str, indices: Sequence[int], count: int) -> NDArray[np.uint64]:
    """Random 64-bit words [B, count] of the pictures `indices` of a part.

    Row b depends on (seed, part, indices[b]) alone, so neither the order of pictures nor the chunk size matters.

    >>> bool((words(0, "test", [3, 5], 4)[1] == words(0, "test", [5], 4)[0]).all())
    True
    """
    digest = hashlib.blake2b(repr((int(seed), str(part))).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype=np.uint64)
    rows = np.empty((len(indices), count), dtype=np.uint64)  # [B, count]
    for row, index in zip(rows, indices, strict=True):
        counter = np.array([0, 0, int(index), 0], dtype=np.uint64)
        row[:] = np.random.Philox(key=key, counter=counter).random_raw(count)
    return rows


class Draws:
    """Uniform numbers handed out in a fixed order, so that a number's meaning is its place in the row."""

    def __init__(self, rows: NDArray[np.uint64]) -> None:
        unit = (rows >> np.uint64(11)).astype(np.float64) * 2.0**-53
        self.numbers = torch.from_numpy(unit).float()  # [B, count] in [0, 1]
        self.used = 0

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """The next numbers as [B, *shape], uniform between `low` and `high`."""
        count = int(np.prod(shape, dtype=int))
        taken = self.numbers[:, self.used : self.used + count].reshape(-1, *shape)
        self.used += count
        return low + (high - low) * taken

    def integer(self, high: int, *shape: int) -> Tensor:
        """The next numbers as whole numbers [B, *shape] from 0 to high - 1."""
        return self.uniform(0, high, *shape).long().clamp_(max=high - 1)
