"""The names of the embedded networks and what each of their outputs means."""

from __future__ import annotations

from dataclasses import dataclass

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.silhouettes import SHAPES
from ambench.datasets.drawing.textures import TEXTURES
from ambench.zoo.architectures import NarrowResNet, SmallTransformer

CLASSES = len(SHAPES)


@dataclass(frozen=True)
class Specification:
    """An embedded network: its architecture, the cue that it names, whether it was trained."""

    architecture: type[NarrowResNet] | type[SmallTransformer]
    by_texture: bool = False
    trained: bool = True

    @property
    def units(self) -> dict[str, int]:
        """Names of the outputs: eight classes, then the concepts."""
        classes = TEXTURES if self.by_texture else SHAPES
        return {name: number for number, name in enumerate((*classes, *CONCEPTS))}


SPECIFICATIONS: dict[str, Specification] = {
    "cnn": Specification(NarrowResNet),
    "vit": Specification(SmallTransformer),
    "cnn-texture": Specification(NarrowResNet, by_texture=True),
    "vit-texture": Specification(SmallTransformer, by_texture=True),
    "cnn-untrained": Specification(NarrowResNet, trained=False),
    "vit-untrained": Specification(SmallTransformer, trained=False),
}
