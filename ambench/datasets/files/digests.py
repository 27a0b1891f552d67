"""What files are, by their names and bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

BLOCK_BYTES = 1 << 20


def digest(root: Path, files: Sequence[Path]) -> str:
    """Return 16 hex digits of the names and bytes of some files below a folder."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(root).as_posix()}\0{content_digest(path)}\n".encode())
    return total.hexdigest()[:16]


def content_digest(path: Path) -> str:
    """Return the hex digest of a file's bytes; unchanged files are read once."""
    stat = path.stat()
    return _content_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1 << 18)
def _content_digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            total.update(block)
    return total.hexdigest()
