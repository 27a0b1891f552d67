"""The names of the embedded networks and what each of their outputs means."""

from __future__ import annotations

from dataclasses import dataclass

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.silhouettes import SHAPES
from ambench.datasets.drawing.textures import TEXTURES
from ambench.datasets.waveforms.carriers import WAVEFORMS
from ambench.datasets.waveforms.events import EVENTS
from ambench.zoo.architectures import Architecture, NarrowResNet, SeriesConvolutions, SmallTransformer

CLASSES = len(SHAPES)


@dataclass(frozen=True)
class Specification:
    """An embedded network of pictures or series: its architecture, the cue that it names, whether it was trained."""

    architecture: Architecture
    by_texture: bool = False
    trained: bool = True

    @property
    def of_series(self) -> bool:
        """Whether its inputs are drawn series instead of drawn pictures."""
        return self.architecture is SeriesConvolutions

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return (1, 128) if self.of_series else (3, 64, 64)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs of which one is the answer."""
        return tuple(WAVEFORMS if self.of_series else TEXTURES if self.by_texture else SHAPES)

    @property
    def units(self) -> dict[str, int]:
        """Names of the outputs: the classes, then the concepts."""
        concepts = EVENTS if self.of_series else tuple(CONCEPTS)
        return {name: number for number, name in enumerate((*self.classes, *concepts))}


SPECIFICATIONS: dict[str, Specification] = {
    "cnn": Specification(NarrowResNet),
    "vit": Specification(SmallTransformer),
    "cnn-texture": Specification(NarrowResNet, by_texture=True),
    "vit-texture": Specification(SmallTransformer, by_texture=True),
    "cnn-untrained": Specification(NarrowResNet, trained=False),
    "vit-untrained": Specification(SmallTransformer, trained=False),
    "series-cnn": Specification(SeriesConvolutions),
    "series-cnn-untrained": Specification(SeriesConvolutions, trained=False),
}
