"""The two files of a problem in the archive: NAME_TRAIN.ts and NAME_TEST.ts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ambench.core import InputError, nearest
from ambench.datasets.archive.text import Labelled, read

TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"


@dataclass(frozen=True)
class Pair:
    """A problem's training and test file, which have the same length of series and the same classes."""

    train: Path
    test: Path

    @cached_property
    def parts(self) -> tuple[Labelled, Labelled]:
        """Both files' series; raises InputError where they do not belong together."""
        train, test = read(self.train), read(self.test)
        lengths = [part.series.shape[2] for part in (train, test)]
        if lengths[0] != lengths[1]:
            raise InputError(
                f"series of '{self.train}' have {lengths[0]} values and those of '{self.test}' {lengths[1]}"
            )
        if train.names != test.names:
            classes = [", ".join(part.names) for part in (train, test)]
            raise InputError(f"classes of '{self.train}' are {classes[0]}, and those of '{self.test}' {classes[1]}")
        return train, test


def find(path: Path) -> Pair:
    """Return the pair that a path names: its folder, one of its files, or the folder and the problem's name.

    Raises InputError where there is none, or more than one.
    """
    if path.is_dir():
        return _only(path)
    ending = next((end for end in (TRAIN, TEST) if path.name.endswith(end)), "")
    stem = path.name.removesuffix(ending)
    pair = Pair(path.with_name(stem + TRAIN), path.with_name(stem + TEST))
    if not pair.train.is_file() and not pair.test.is_file():
        known = _problems(path.parent)
        raise InputError(f"there is no problem '{stem}' in '{path.parent}'; {nearest(stem, known)}")
    for file in (pair.train, pair.test):
        if not file.is_file():
            raise InputError(f"there is no file '{file}'; a training and a test file are wanted")
    return pair


def _only(folder: Path) -> Pair:
    problems = _problems(folder)
    if len(problems) != 1:
        found = f"holds {len(problems)}: {', '.join(problems[:8])}" if problems else "holds none"
        raise InputError(f"'{folder}' {found}; one pair NAME{TRAIN} and NAME{TEST}, or ucr:{folder}/NAME, is wanted")
    return find(folder / problems[0])


def _problems(folder: Path) -> list[str]:
    """Return the names of the problems of which a file lies in a folder."""
    names = [path.name for path in folder.glob("*.ts")] if folder.is_dir() else []
    return sorted({name.removesuffix(end) for name in names for end in (TRAIN, TEST) if name.endswith(end)})
