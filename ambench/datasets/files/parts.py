"""Which pictures of a folder are learnt from and which tested, decided by their names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ambench.core import InputError
from ambench.datasets.files.digests import content_digest
from ambench.datasets.files.layout import Layout

PARTS = ("fit", "calibrate", "test")


@dataclass(frozen=True)
class Parts:
    """The three parts: a share `calibrate` of each folder of examples; shares of images/ only when `fit` is given."""

    layout: Layout
    fit: float
    calibrate: float

    def examples(self, part: Literal["fit", "calibrate"]) -> tuple[tuple[Path, str | None], ...]:
        """Return files of concepts/ and contrast/ with the concept that each shows."""
        folders = [*self.layout.examples.items(), (None, self.layout.contrast)]
        return tuple((path, concept) for concept, files in folders for path in self._half(files, part))

    def pictures(self, part: str) -> tuple[str, ...]:
        """Return names of images/ in one part, the test part unless `fit` is given."""
        return self._pictures[part]

    def check(self) -> None:
        """Raise InputError where `fit` cannot be kept, or leaves a part without pictures."""
        if not self.fit:
            return
        if self.layout.examples:
            raise InputError(f"'{self.layout.root}' has concepts/ to learn from; leave out fit, or that folder")
        empty = [part for part in PARTS if not self.pictures(part) and (self.calibrate or part != "calibrate")]
        if empty:
            count = len(self.layout.images)
            raise InputError(f"fit {self.fit} of {count} pictures leaves none for the part '{empty[0]}'")

    def refuse_copies(self) -> None:
        """Raise InputError when files of different parts have the same bytes: what is tested would have been learnt."""
        seen: dict[str, tuple[str, Path]] = {}
        for part in PARTS:
            for path in self._files(part):
                known, other = seen.setdefault(content_digest(path), (part, path))
                if known != part:
                    raise InputError(f"'{path}' ({part} part) is the same picture as '{other}' ({known} part)")

    @cached_property
    def _pictures(self) -> dict[str, tuple[str, ...]]:
        shares = (self.fit, self.calibrate) if self.fit else (0.0, 0.0)
        return dict(zip(PARTS, split(self.layout.images, *shares), strict=True))

    def _half(self, files: tuple[Path, ...], part: str) -> list[Path]:
        named = {path.name: path for path in files}
        kept, learnt = split(named, self.calibrate)
        return [named[name] for name in (learnt if part == "fit" else kept)]

    def _files(self, part: str) -> list[Path]:
        taken = [self.layout.root / "images" / name for name in self.pictures(part)]
        examples = self.examples("fit" if part == "fit" else "calibrate") if part != "test" else ()
        return [*taken, *(path for path, _ in examples)]


def shuffled(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in an order that only the names decide, and that follows nothing else about them.

    >>> shuffled(["a", "b", "c"]) == shuffled(["c", "a", "b"])
    True
    """
    return tuple(sorted(names, key=lambda name: hashlib.blake2b(f"ambench folder {name}".encode()).digest()))


def split(names: Iterable[str], *shares: float) -> tuple[tuple[str, ...], ...]:
    """Return disjoint parts of the given shares, exact to one name and none of them empty, and last what is left.

    >>> [len(part) for part in split(map(str, range(10)), 0.4, 0.25)]
    [4, 2, 4]
    """
    order = shuffled(names)
    fewest = 1 if len(order) > len(shares) else 0
    ends = [0]
    for share in shares:
        ends.append(ends[-1] + (max(fewest, round(share * len(order))) if share else 0))
    return tuple(order[start:end] for start, end in zip(ends, [*ends[1:], len(order)], strict=True))
