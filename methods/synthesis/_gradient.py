"""What methods share that climb by gradients: settings, rows for units and restarts, and one reader for all steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ambench import features
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, SynthesisMethod

from ._ascent import Ascended, Ascent
from ._climbing import Climbers, Images
from ._natural import contrast, spread
from ._objectives import Objective
from ._sought import Seeking, sought


@dataclass(frozen=True, eq=False)
class Scene:
    """What one call works with: the model, its examples, contrast images, and the randomness of the call."""

    model: Model
    concepts: Concepts
    contrast: Tensor  # [N, *input]
    randomness: Randomness
    known: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what was computed under this name in this call, computing it the first time."""
        if name not in self.known:
            self.known[name] = compute()
        return self.known[name]


@dataclass(frozen=True)
class GradientSynthesis(SynthesisMethod):
    """Portraits by ascent on some parameters of pictures, all units in one batch."""

    supervision = "contrast images"
    stochastic = True

    objective: Seeking = "logit"
    layer: str | None = None
    channel: int | None = None
    steps: int | None = None
    restarts: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("restarts", self.restarts), ("chunk", self.chunk)):
            if value is not None and value < 1:
                raise InputError(f"{type(self).__module__.rpartition('.')[2]} needs {name} of at least 1, not {value}")

    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return `restarts` portraits of each of the units [K] in turn: images [K * restarts, *input] in [0, 1].

        A portrait depends on its unit and restart, not on the other units. InputError: a unit that is not there.
        """
        if self.layer is not None:
            model.at(self.layer)  # refuses a name that is none
        scene = Scene(model, concepts, contrast(concepts, model), randomness)
        wanted = sought(model, units, concepts, self.objective, self.layer, self.channel)
        climbers = Climbers.of(model, units, wanted, self.scale(scene, wanted.objective), self.restarts)
        images = self.images(scene)
        with features.Reader(model, wanted.objective.layer, *self.layers(model)) as reader:
            ended = climbers.climb(
                self.starts(scene, climbers, images),
                self.chunk,
                lambda objective, rows: self.ascent(scene, images, reader, objective),
            )
        return climbers.portraits(images, ended, self.details(scene, images, ended))

    @abstractmethod
    def images(self, scene: Scene) -> Images:
        """Return the way in which pictures are written as numbers."""

    @abstractmethod
    def ascent(self, scene: Scene, images: Images, reader: features.Reader, objective: Objective) -> Ascent:
        """Return the climb of some of the portraits, a row of the objective each."""

    def layers(self, model: Model) -> tuple[str, ...]:
        """Return the layers that are read beside the objective's."""
        return ()

    def starts(self, scene: Scene, climbers: Climbers, images: Images) -> Tensor:
        """Return the numbers that the climbs start from [P, …]."""
        return climbers.starts(images, scene.randomness)

    def scale(self, scene: Scene, objective: Objective) -> Tensor:
        """Return the unit in which each objective is measured [K]: its standard deviation over contrast images."""
        return spread(scene.model, objective, scene.contrast)

    def details(self, scene: Scene, images: Images, ended: Ascended) -> Mapping[str, Tensor]:
        """Return what else to keep of the portraits."""
        return {}

    def steps_for(self, input_shape: tuple[int, ...]) -> int:
        """Return how many steps an input of this shape gets."""
        return self.steps or (256 if max(input_shape[1:], default=0) < 128 else 512)
