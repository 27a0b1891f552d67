"""Drawn objects whose outline is one class and whose surface another: `cue_conflict`.

(the stimuli's idea: Geirhos et al. 2019, arXiv 1811.12231; drawn here)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ambench.core import Case, Concepts, Dataset, InputError, Part, nearest
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.parts import VERSION, Cue, DrawnPart, as_examples, asked_for_class
from ambench.datasets.drawing.series import conflicting_classes
from ambench.datasets.drawing.silhouettes import SHAPES


@dataclass(frozen=True)
class CueConflict(Dataset):
    """The pictures of `shapes`, shape and texture never of the same class index, concepts present by a coin.

    `Truth.shape` and `Truth.texture` are indices into the eight class outputs of the embedded networks, whichever cue
    these name. `ask`: each picture is asked for all four concepts; for one class output, called by its number: that
    of its `shape` (with the object as its mask) or its `texture` (with what is seen of its surface); or for all eight
    (`shapes`, `textures`), of which it shows that one. Other settings alone decide the pixels.

    >>> truth = next(iter(CueConflict(test=56))).truth
    >>> bool((truth.shape == truth.texture).any())
    False
    >>> case = next(iter(CueConflict(test=8, ask="texture")))
    >>> bool((case.targets[:, 0] == case.truth.texture).all()), case.truth.masks.shape
    (True, torch.Size([8, 1, 64, 64]))
    """

    name: ClassVar[str] = "cue_conflict"
    citation: ClassVar[str] = "Geirhos et al. 2019, arXiv 1811.12231"

    ask: Literal["concepts", "shape", "texture", "shapes", "textures"] = "concepts"
    fit: int = 200
    calibrate: int = 200
    test: int = 256
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.fit, self.calibrate, self.test) < 0 or self.size < 16:
            raise InputError("fit, calibrate and test are numbers of images from 0 up, and size is at least 16 pixels")

    @property
    def revision(self) -> str:
        """Version of the drawing and the settings."""
        counts = f"fit={self.fit},calibrate={self.calibrate},test={self.test}"
        return f"{VERSION}:size={self.size},seed={self.seed},{counts}"

    @property
    def names(self) -> tuple[str, ...]:
        """Marker, patch, glyph and ring, or the numbers of the classes."""
        return tuple(CONCEPTS) if self.ask == "concepts" else tuple(map(str, range(len(SHAPES))))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the shapes."""
        return tuple(SHAPES)

    def concepts(self, part: Part) -> Concepts:
        """Examples with masks; raises InputError for another part's name."""
        counts = {"fit": self.fit, "calibrate": self.calibrate}
        if part not in counts:
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, counts)}")
        drawn = self._part(f"conflict-{part}", counts[part])
        return drawn.concepts() if self.ask == "concepts" else as_examples(drawn, self._cue, self.names)

    def __iter__(self) -> Iterator[Case]:
        return self._asked(self._part("conflict-test", self.test))

    def _asked(self, part: DrawnPart) -> Iterator[Case]:
        if self.ask == "concepts":
            return part.cases()
        count = len(self.names) if self.ask.endswith("s") else None
        return (asked_for_class(case, self._cue, count) for case in part.cases())

    @property
    def _cue(self) -> Cue:
        return "shape" if self.ask.startswith("shape") else "texture"

    def _part(self, name: str, count: int) -> DrawnPart:
        shape, texture = conflicting_classes(self.seed, name, count)
        return DrawnPart(name, self.seed, self.size, shape, texture, torch.full((count, len(CONCEPTS)), 0.5))
