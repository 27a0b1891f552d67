"""One `.ts` text file: header lines with @, then a line for each series, values, a colon and the label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ambench.core import InputError, nearest

# What a header may say that cannot be explained here, as `tag: (value, reason)`.
REFUSED = {
    "timestamps": ("true", "holds times of measurement; evenly spaced values without times are wanted"),
    "univariate": ("false", "holds series of several channels; series of one channel are wanted"),
    "equallength": ("false", "holds series of unequal length; cut or fill them to one length first"),
    "classlabel": ("false", "holds no class labels; a label behind each series is wanted"),
    "targetlabel": ("true", "holds numbers to be predicted in the place of classes; class labels are wanted"),
}


@dataclass(frozen=True, eq=False)
class Labelled:
    """The N series of a file [N, 1, T] float32 in its own units, their classes [N], and the classes' names in order."""

    series: Tensor
    classes: Tensor
    names: tuple[str, ...]


def read(path: Path) -> Labelled:
    """Return what a file holds, read once while it is unchanged; raises InputError with the line and what is wrong."""
    if not path.is_file():
        raise InputError(f"there is no file '{path}'")
    stat = path.stat()
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, size_bytes: int, changed_ns: int) -> Labelled:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"'{path}' is no text; a .ts file of the UCR archive is wanted") from None
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
    told = ((number, line) for number, line in numbered if line and not line.startswith("#"))
    header = _header(path, told)
    return _labelled(path, header, [_Row.of(path, number, line) for number, line in told])


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> Mapping[str, Sequence[str]]:
    """Return the words behind each tag, up to the line @data."""
    found: dict[str, list[str]] = {}
    for number, line in lines:
        if not line.startswith("@"):
            raise InputError(
                f"line {number} of '{path}' is no header line: one that begins with @, or @data, is wanted"
            )
        tag, *words = line[1:].split()
        if tag.lower() == "data":
            _refuse(path, found)
            return found
        found[tag.lower()] = words
    raise InputError(f"'{path}' has no line @data; a .ts file of the UCR archive is wanted")


def _refuse(path: Path, header: Mapping[str, Sequence[str]]) -> None:
    for tag, (value, reason) in REFUSED.items():
        if [word.lower() for word in header.get(tag, ())[:1]] == [value]:
            raise InputError(f"'{path}' {reason}")


@dataclass(frozen=True, eq=False)
class _Row:
    """A line of the file: its number, the values in it and its label."""

    number: int
    values: NDArray[np.float64]
    label: str

    @staticmethod
    def of(path: Path, number: int, line: str) -> _Row:
        *channels, label = line.split(":")
        if not channels or not label.strip():
            raise InputError(f"line {number} of '{path}' has no label; values, a colon and a label are wanted")
        if len(channels) > 1:
            raise InputError(f"line {number} of '{path}' has {len(channels)} channels; series of one are wanted")
        words = [word.strip() for word in channels[0].split(",")]
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            wrong = next(word for word in words if not _is_number(word))
            what = "a missing value (?)" if wrong == "?" else f"'{wrong}'"
            raise InputError(f"line {number} of '{path}' has {what} where a number is wanted") from None
        if not np.isfinite(values).all():
            raise InputError(f"line {number} of '{path}' has NaN or infinity where a number is wanted")
        return _Row(number, values, label.strip())


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _labelled(path: Path, header: Mapping[str, Sequence[str]], rows: Sequence[_Row]) -> Labelled:
    if not rows:
        raise InputError(f"'{path}' holds no series behind @data")
    names = tuple(header.get("classlabel", ())[1:]) or tuple(dict.fromkeys(sorted(row.label for row in rows)))
    length = len(rows[0].values)
    said = header.get("serieslength", [str(length)])[0]
    if said != str(length):
        raise InputError(f"'{path}' says that series have {said} values, but line {rows[0].number} has {length}")
    for row in rows:
        if len(row.values) != length:
            raise InputError(
                f"line {row.number} of '{path}' has {len(row.values)} values and the lines before it {length}; "
                "cut or fill all series to one length first"
            )
        if row.label not in names:
            raise InputError(f"line {row.number} of '{path}' has the label '{row.label}'; {nearest(row.label, names)}")
    series = torch.from_numpy(np.stack([row.values for row in rows])).float().unsqueeze(1)  # [N, 1, T]
    return Labelled(series, torch.tensor([names.index(row.label) for row in rows]), names)
