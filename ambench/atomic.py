"""Files that are written whole or not at all, whatever kills the process, and folders swept of what it left behind."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

from ambench.core import InputError


def write(place: Path, content: bytes) -> None:
    """Write a file: a temporary one beside it, brought to the disk, then renamed; InputError if the disk is full."""
    _attempt(place, lambda target: _replace(target, content))


def is_temporary(place: Path) -> bool:
    """Say whether a file is one that `write` had not finished."""
    return re.fullmatch(r"\..+\.\d+\.tmp", place.name) is not None


def sweep(folder: Path) -> None:
    """Remove the temporary files of processes that are gone (one with this process's number is of an earlier one)."""
    for place in filter(is_temporary, folder.rglob(".*.tmp")):
        process = int(place.name.split(".")[-2])
        if process == os.getpid() or not _alive(process):
            place.unlink(missing_ok=True)


def _replace(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.parent / f".{place.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def _attempt(place: Path, action: Callable[[Path], None]) -> None:
    try:
        action(place)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"the disk is full: '{place}' could not be written; make room and repeat the command, which goes on"
            raise InputError(text) from error
        raise InputError(f"'{place}' cannot be written: {error.strerror or error}") from error


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, asking is killing
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True
