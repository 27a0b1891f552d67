"""Stimuli whose outline is one thing and whose surface another, by their file names: `cue_conflict_folder:PATH`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.categories import sixteen
from ambench.core import Case, Concepts, Dataset, InputError, Part, Truth, nearest
from ambench.datasets.files.digests import digest
from ambench.datasets.files.parts import shuffled
from ambench.datasets.files.pixels import read_image
from ambench.datasets.files.stimuli import Stimuli, Stimulus, read_stimuli

CASE_IMAGES = 64
SIDE = 224  # where nobody says what the model wants


@dataclass(frozen=True)
class CueConflictFolder(Dataset):
    """Pictures called like `cat3-dog2.png`, the shape of cat 3 in the texture of dog 2, each asked for one of its cues.

    They lie anywhere below PATH/stimuli, or below PATH where there is no such folder. PATH/silhouettes holds the filled
    outline of each shape, `cat3.png`, dark on light: the object and, if `ask` is shape, the mask of the concept.

    `ask`: whether each picture is asked for the category of its shape or of its texture. `keep`: pictures whose cues
    conflict, or all of them, those of one cue and plain ones (`cat3.png`) too. `categories`: the names that may occur,
    joined by +, for networks that have such classes; left open, the sixteen of Geirhos et al., of which a network of
    ImageNet's 1000 classes has none: its units for them are the log of the mean over their classes' exponentials.
    `size` is a side in pixels or height+width, `channels` 1 or 3; a size left open is the model's, or 224.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("cat3-dog2", "dog1-dog4"):
    ...     Image.new("RGB", (8, 8)).save(root / f"{name}.png")
    >>> case = next(iter(CueConflictFolder(str(root), size=8)))
    >>> case.ids, CueConflictFolder(str(root)).classes[int(case.truth.texture)]
    (('cat3-dog2',), 'dog')
    """

    name: ClassVar[str] = "cue_conflict_folder"
    citation: ClassVar[str] = "Geirhos et al. 2019, arXiv 1811.12231"

    path: str
    ask: Literal["shape", "texture"] = "shape"
    keep: Literal["conflicts", "all"] = "conflicts"
    categories: tuple[str, ...] = ()
    size: tuple[int, ...] | int | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError("a folder of stimuli needs a path: cue_conflict_folder:PATH")
        if not 1 <= len(self._sides) <= 2 or min(self._sides) < 1:
            raise InputError(f"size is a side in pixels, or height and width, not {self.size}")
        if self.channels not in (1, 3):
            raise InputError(f"channels is 1 (grey) or 3 (red, green, blue), not {self.channels}")
        if not self._kept:
            raise InputError(f"no stimulus in '{self.path}' has two cues that conflict; keep=all takes the others too")

    @property
    def revision(self) -> str:
        """Digest of the names and bytes of all files, 16 hex digits."""
        return digest(Path(self.path), self._stimuli.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The categories."""
        return self.classes

    @property
    def classes(self) -> tuple[str, ...]:
        """The categories, which shape and texture index."""
        return self.categories or tuple(sixteen())

    def concepts(self, part: Part) -> Concepts:
        """No examples; raises InputError for another part's name."""
        if part not in ("fit", "calibrate"):
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, ('fit', 'calibrate'))}")
        nothing = torch.empty(0, self.channels, self._sides[0], self._sides[-1])
        return Concepts(self.names, nothing, torch.empty(0, len(self.names), dtype=torch.bool))

    def __iter__(self) -> Iterator[Case]:
        for start in range(0, len(self._kept), CASE_IMAGES):
            yield self._case([self._stimuli.of[name] for name in self._kept[start : start + CASE_IMAGES]])

    def _case(self, stimuli: list[Stimulus]) -> Case:
        images = torch.stack([self._read(one.file, self.channels) for one in stimuli])  # [B, C, H, W]
        cues = [
            torch.tensor([self.classes.index(getattr(one, cue)) for one in stimuli]) for cue in ("shape", "texture")
        ]
        object = None  # [B, H, W]
        if self._stimuli.silhouettes:
            object = torch.stack([self._read(self._stimuli.silhouettes[one.exemplar], 1)[0] < 0.5 for one in stimuli])
        masks = None if object is None or self.ask == "texture" else object[:, None]
        asked = cues[0 if self.ask == "shape" else 1][:, None]  # [B, 1]
        truth = Truth(torch.ones_like(asked).bool(), masks, object=object, shape=cues[0], texture=cues[1])
        return Case(images, asked, truth, tuple(one.file.stem for one in stimuli))

    def _read(self, file: Path, channels: int) -> Tensor:
        return read_image(file, (self._sides[0], self._sides[-1]), channels)[0]

    @property
    def _sides(self) -> tuple[int, ...]:
        size = SIDE if self.size is None else self.size
        return size if isinstance(size, tuple) else (size,)

    @cached_property
    def _stimuli(self) -> Stimuli:
        return read_stimuli(Path(self.path), self.classes)

    @cached_property
    def _kept(self) -> tuple[str, ...]:
        """The names of the stimuli shown, in an order that follows nothing else about them."""
        return shuffled(name for name, one in self._stimuli.of.items() if self.keep == "all" or one.conflict)
