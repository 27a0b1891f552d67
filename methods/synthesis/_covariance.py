"""Evolution of a Gaussian that learns its covariance: CMA-ES (Hansen 2016, arXiv 1604.00772), by `cmaes`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from cmaes import CMA, SepCMA
from torch import Tensor

from ._spaces import REACH

WIDTH = 0.3 * 2 * REACH  # the first standard deviation
FULL = 100  # numbers in a code above which the covariance is kept diagonal


def usual_population(dimensions: int) -> int:
    """Return how many codes a generation has.

    >>> usual_population(10), usual_population(270)
    (10, 20)
    """
    return 4 + math.floor(3 * math.log(dimensions))


class Evolutions:
    """One CMA-ES for each of P rows, from the middle of the range; what leaves the range is put on its edge.

    A search that has converged starts again, from a place of its own and with fresh chance.
    """

    def __init__(self, population: int, dimensions: int, streams: Sequence[torch.Generator]) -> None:
        self._population = population
        self._dimensions = dimensions
        self._streams = streams
        self._searches = [self._started(np.zeros(dimensions), stream) for stream in streams]
        self._asked: list[list[np.ndarray]] = []

    def ask(self) -> Tensor:
        """Return the next generation of every row [P, k, d]."""
        self._asked = [[search.ask() for _ in range(self._population)] for search in self._searches]
        return torch.from_numpy(np.array(self._asked))

    def tell(self, values: Tensor) -> None:
        """Move every row's Gaussian by the values [P, k] of the generation just asked for."""
        for row, (search, codes) in enumerate(zip(self._searches, self._asked, strict=True)):
            search.tell([(code, -value) for code, value in zip(codes, values[row].tolist(), strict=True)])
            if search.should_stop():
                stream = self._streams[row]
                place = REACH * (2 * torch.rand(self._dimensions, generator=stream, dtype=torch.float64) - 1)
                self._searches[row] = self._started(place.numpy(), stream)

    def _started(self, mean: np.ndarray, stream: torch.Generator) -> CMA | SepCMA:
        kind = CMA if self._dimensions <= FULL else SepCMA
        return kind(
            mean=mean,
            sigma=WIDTH,
            bounds=np.array([[-REACH, REACH]] * self._dimensions),
            n_max_resampling=0,  # with many numbers some always leave the range
            seed=int(torch.randint(2**32, (), generator=stream)),
            population_size=self._population,
        )
