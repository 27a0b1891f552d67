"""Pictures of your own in a folder, with labels, masks or concept examples: `folder:PATH`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Case, Concepts, Dataset, InputError, Part, Truth, nearest
from ambench.datasets.files.digests import digest
from ambench.datasets.files.layout import Layout, read_layout
from ambench.datasets.files.parts import Parts
from ambench.datasets.files.reader import Reader, joined

CASE_IMAGES = 64
SIDE = 224  # where nobody says what the model wants


@dataclass(frozen=True)
class Folder(Dataset):
    """What `images/` holds is explained; `labels.csv`, `masks/<concept>/` and `concepts/<concept>/` say what it shows.

    With masks or concepts there are K concepts, all asked of every image: one is present where its mask is not zero,
    and where an image has no mask of it, when the label is its name. Otherwise the labels are the concepts, and an
    image is asked for its own. Examples are those of `concepts/` and, as negatives, of `contrast/`: a share `calibrate`
    of each folder is kept for thresholds. Without `concepts/`, a share `fit` of `images/`, and if there is one a share
    `calibrate`, become examples and leave the test part.

    `size` is a side in pixels or height+width, `channels` is 1 or 3; a size left open is the model's, or 224. The
    file names decide parts and order, so that the first images are a fair sample.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "images").mkdir()
    >>> Image.new("RGB", (12, 8), "white").save(root / "images" / "white.png")
    >>> _ = (root / "labels.csv").write_text("file,label\\nwhite.png,snow\\n")
    >>> dataset = Folder(str(root), size=8)
    >>> dataset.names, next(iter(dataset)).images.shape
    (('snow',), torch.Size([1, 3, 8, 8]))
    """

    name: ClassVar[str] = "folder"
    citation: ClassVar[str] = "your own"

    path: str
    size: tuple[int, ...] | int | None = None
    channels: int = 3
    fit: float = 0.0
    calibrate: float = 0.25

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError("a folder dataset needs a path: folder:PATH")
        if not 1 <= len(self._sides) <= 2 or min(self._sides) < 1:
            raise InputError(f"size is a side in pixels, or height and width, not {self.size}")
        if self.channels not in (1, 3):
            raise InputError(f"channels is 1 (grey) or 3 (red, green, blue), not {self.channels}")
        if not (0 <= self.fit < 1 and 0 <= self.calibrate < 1 and self.fit + self.calibrate < 1):
            raise InputError(f"fit {self.fit} and calibrate {self.calibrate} are shares, below 1 together")
        self._parts.check()

    @property
    def revision(self) -> str:
        """Digest of the names and bytes of all files, 16 hex digits."""
        return digest(self._layout.root, self._layout.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The concepts that have a folder, sorted, else the labels in the table's order."""
        return self._layout.concepts or self._layout.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """All names in the columns shape and texture, sorted."""
        cues = (cue for row in self._layout.rows.values() for cue in (row.shape, row.texture))
        return tuple(sorted({cue for cue in cues if cue is not None}))

    def concepts(self, part: Part) -> Concepts:
        """Examples of one part; raises InputError when a picture with the same bytes is in another part."""
        if part not in ("fit", "calibrate"):
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, ('fit', 'calibrate'))}")
        self._parts.refuse_copies()
        files, names = self._parts.examples(part), self._parts.pictures(part)
        shown = joined(self._reader.examples(files), self._reader.pictures(names))
        root = self._layout.root
        ids = (*(path.relative_to(root).as_posix() for path, _ in files), *names)
        return Concepts(self.names, shown.images, shown.present, shown.masks, ids)

    def __iter__(self) -> Iterator[Case]:
        tested = self._parts.pictures("test")
        for start in range(0, len(tested), CASE_IMAGES):
            yield self._case(tested[start : start + CASE_IMAGES])

    def _case(self, names: tuple[str, ...]) -> Case:
        shown = self._reader.pictures(names)
        cues = self._cue("shape", names), self._cue("texture", names)
        if self._layout.concepts:
            targets = torch.arange(len(self.names)).expand(len(names), -1)  # [B, K]
            present = shown.present
        else:
            targets = shown.present.int().argmax(1, keepdim=True)  # [B, 1]
            present = torch.ones_like(targets, dtype=torch.bool)
        truth = Truth(present, shown.masks, shape=cues[0], texture=cues[1])
        return Case(shown.images, targets, truth, names)

    def _cue(self, column: str, names: tuple[str, ...]) -> Tensor | None:
        """Return which class a cue names in each picture [B], None where the table does not say."""
        said = [getattr(self._layout.rows.get(name), column, None) for name in names]
        return None if None in said else torch.tensor([self.classes.index(cue) for cue in said])

    @property
    def _sides(self) -> tuple[int, ...]:
        size = SIDE if self.size is None else self.size
        return size if isinstance(size, tuple) else (size,)

    @cached_property
    def _layout(self) -> Layout:
        return read_layout(Path(self.path))

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self._layout, self.fit, self.calibrate)

    @property
    def _reader(self) -> Reader:
        return Reader(self._layout, self.names, (self._sides[0], self._sides[-1]), self.channels)
