"""Univariate time series with class labels in `.ts` files, as the UCR archive has them: `ucr:PATH`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.core import Case, Concepts, Dataset, InputError, Part, Truth, nearest
from ambench.datasets.archive.pair import Pair, find
from ambench.datasets.archive.text import Labelled
from ambench.datasets.files.digests import digest
from ambench.datasets.files.parts import split

CASE_SERIES = 64


@dataclass(frozen=True)
class Ucr(Dataset):
    """The training file's series are examples, the test file's are explained; every class is asked of every series.

    `path` is a folder with one pair NAME_TRAIN.ts and NAME_TEST.ts, or folder/NAME. Series [1, T] keep the files' own
    units, and `Concepts.bounds` are the training file's least and greatest value. A share `calibrate` of each class's
    examples is kept for thresholds. Classes are called by their labels as written: name your model's outputs so.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> lines = "@univariate true\\n@classLabel true up down\\n@data\\n1,2,3:up\\n2,1,0:down\\n"
    >>> for part in ("TRAIN", "TEST"):
    ...     _ = (root / f"Slopes_{part}.ts").write_text(lines)
    >>> dataset = Ucr(str(root), calibrate=0)
    >>> dataset.names, dataset.concepts("fit").bounds, next(iter(dataset)).truth.present.tolist()
    (('up', 'down'), (0.0, 3.0), [[True, False], [False, True]])
    """

    name: ClassVar[str] = "ucr"
    citation: ClassVar[str] = "Dau et al. 2019, arXiv 1810.07758"

    path: str
    calibrate: float = 0.25

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError("an archive's dataset needs a path: ucr:PATH")
        if not 0 <= self.calibrate < 1:
            raise InputError(f"calibrate {self.calibrate} is a share from 0 up and below 1")
        self._pair.parts  # noqa: B018 - refuses files that are wrong

    @property
    def revision(self) -> str:
        """Digest of the names and bytes of both files, 16 hex digits."""
        return digest(self._pair.train.parent, (self._pair.train, self._pair.test))

    @property
    def names(self) -> tuple[str, ...]:
        """The class labels, in the header's order."""
        return self._pair.parts[0].names

    def concepts(self, part: Part) -> Concepts:
        """Examples of one part, every class in about its share."""
        if part not in ("fit", "calibrate"):
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, ('fit', 'calibrate'))}")
        train, rows = self._pair.parts[0], self._rows[part]
        bounds = (float(train.series.min()), float(train.series.max()))
        ids = tuple(f"train-{row:05d}" for row in rows.tolist())
        return Concepts(self.names, train.series[rows], _shown(train)[rows], ids=ids, bounds=bounds)

    def __iter__(self) -> Iterator[Case]:
        test = self._pair.parts[1]
        present = _shown(test)
        for start in range(0, len(present), CASE_SERIES):
            here = slice(start, start + CASE_SERIES)
            targets = torch.arange(len(self.names)).expand(len(present[here]), -1)  # [B, K]
            ids = tuple(f"test-{row:05d}" for row in range(start, start + len(targets)))
            yield Case(test.series[here], targets, Truth(present[here]), ids)

    @cached_property
    def _pair(self) -> Pair:
        return find(Path(self.path))

    @property
    def _rows(self) -> dict[str, Tensor]:
        """Which series of the training file are in each part, by their numbers alone."""
        kept: list[str] = []
        for number in range(len(self.names)):
            rows = (self._pair.parts[0].classes == number).nonzero().flatten().tolist()
            kept += split(map(str, rows), self.calibrate)[0]
        chosen = torch.zeros(len(self._pair.parts[0].classes), dtype=torch.bool)
        chosen[[int(row) for row in kept]] = True
        return {"fit": (~chosen).nonzero().flatten(), "calibrate": chosen.nonzero().flatten()}


def _shown(part: Labelled) -> Tensor:
    """Return which class each series shows [N, K] bool."""
    return F.one_hot(part.classes, len(part.names)).bool()
