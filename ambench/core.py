"""The nouns of ambench: model, layer, concepts, case, truth, explanation, method, metric, and the chance they share.

Shapes in brackets, everywhere: B images of a case, T concepts asked of each image, K concepts of the dataset, U output
units, P portraits, C channels. `*extent` is the input's own extent (H, W for pictures, its length for series, nothing
for tables), `*cells` that of a layer's grid.
"""

from __future__ import annotations

import difflib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

Part = Literal["fit", "calibrate"]
Better = Literal["higher", "lower", "neither"]


class InputError(ValueError):
    """Something a person typed or handed in is wrong; the message says what, and what is wanted, in one sentence."""


class Skipped(Exception):  # noqa: N818 - it is a verdict on a cell, not a mistake
    """This method, model and data do not fit together; the reason becomes the row's `status`."""


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """Return the hint that ends an error's sentence: the nearest valid name, or all of them (the first 24 of many).

    >>> nearest("gradcan", ["gradcam", "saliency"])
    "did you mean 'gradcam'?"
    """
    names = sorted(valid)
    close = difflib.get_close_matches(wrong, names, n=1)
    shown = ", ".join(names[:24]) + (f", … ({len(names)} in all)" if len(names) > 24 else "")
    return f"did you mean '{close[0]}'?" if close else f"valid: {shown or 'none'}"


# ------------------------------------------------------------------------------------------------ randomness


def generator(*key: Hashable) -> torch.Generator:
    """Return a CPU generator whose stream depends on the key alone, never on what was drawn before.

    >>> a, b = generator(0, "actmax"), generator(0, "actmax")
    >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(repr, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class Randomness:
    """All the chance a component may use: streams keyed by seed, component, image id and repeat.

    Row b of a per-image draw depends on `key` and `ids[b]` only, so neither batch size nor order can change it, and an
    image and its perturbed copy, which keep the same id, share their noise.

    >>> whole, part = Randomness((0, "m"), ("a", "b")), Randomness((0, "m"), ("b",))
    >>> bool(torch.equal(whole.normal(4)[1:], part.normal(4)))
    True
    """

    key: tuple[Hashable, ...]
    ids: tuple[str, ...] = ()

    def generator(self, *more: Hashable) -> torch.Generator:
        """Return the stream of this component for one purpose, whatever the images."""
        return generator(*self.key, *more)

    def normal(self, *shape: int, repeat: int = 0) -> Tensor:
        """Return standard normal numbers [B, *shape], one independent stream an image."""
        return self._per_image(lambda g: torch.randn(shape, generator=g), shape, repeat)

    def uniform(self, *shape: int, repeat: int = 0) -> Tensor:
        """Return numbers uniform in [0, 1) [B, *shape], one independent stream an image."""
        return self._per_image(lambda g: torch.rand(shape, generator=g), shape, repeat)

    def select(self, rows: Sequence[int]) -> Randomness:
        """Return the randomness of some of the images."""
        return replace(self, ids=tuple(self.ids[row] for row in rows))

    def child(self, *more: Hashable) -> Randomness:
        """Return an independent randomness for a part of the component."""
        return replace(self, key=(*self.key, *more))

    def _per_image(self, draw: Callable[[torch.Generator], Tensor], shape: tuple[int, ...], repeat: int) -> Tensor:
        if not self.ids:
            return torch.empty(0, *shape)
        return torch.stack([draw(generator(*self.key, name, repeat)) for name in self.ids])  # [B, *shape]


# ------------------------------------------------------------------------------------------------ model


@dataclass(frozen=True, eq=False)
class Layer:
    """A module of a network and the view of its output as a grid of cells [B, C, *cells].

    Transformers drop their prefix tokens in `as_grid`; channels-last networks permute there.
    """

    name: str
    module: nn.Module
    as_grid: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its names: what its outputs mean and where its features are read.

    `network` maps inputs [B, *input_shape] in [0, 1] to logits [B, U] (normalisation is inside) and is in eval mode.
    `units` maps concept or class name to output unit; `classes` names the mutually exclusive class outputs, in
    the order of the units `class_units`; `weights` is a digest or tag and goes into every record.
    """

    name: str
    weights: str
    network: nn.Module
    units: Mapping[str, int]
    layers: Mapping[str, Layer]
    layer: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] = ()

    @property
    def class_units(self) -> tuple[int, ...]:
        """The output units of `classes`."""
        return tuple(self.units[name] for name in self.classes)

    @property
    def device(self) -> torch.device:
        """Where the network's first parameter lies."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    def at(self, layer: str | None) -> Layer:
        """Return a layer by name (None: the default); raises InputError with the nearest name."""
        name = layer or self.layer
        if name not in self.layers:
            raise InputError(f"model '{self.name}' has no layer '{name}'; {nearest(name, self.layers)}")
        return self.layers[name]


# ------------------------------------------------------------------------------------------------ data


@dataclass(frozen=True, eq=False)
class Concepts:
    """All that a method may learn from: images [N, *input], what they show [N, K] bool, masks [N, K, *extent] or None.

    `keeps` names, per concept, the augmentations that leave it
    what it is (None: all of them do).
    """

    names: tuple[str, ...]
    images: Tensor
    present: Tensor
    masks: Tensor | None = None
    ids: tuple[str, ...] = ()
    keeps: Mapping[str, tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def mean(self) -> Tensor:
        """The mean value of each channel [C], .5 where there are no images."""
        if not len(self.images):
            return torch.full((self.images.shape[1],), 0.5, device=self.images.device)
        return self.images.mean([0, *range(2, self.images.ndim)])  # [C]

    def positives(self, concept: int) -> Tensor:
        """Return the images that show concept number `concept` [n, *input]."""
        return self.images[self.present[:, concept]]

    def negatives(self, concept: int) -> Tensor:
        """Return the images that do not show it [n, *input]."""
        return self.images[~self.present[:, concept]]

    def to(self, device: torch.device | str) -> Concepts:
        """Return the same examples on another device."""
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, images=self.images.to(device), present=self.present.to(device), masks=masks)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a metric may check against; methods never receive it. None means that the dataset does not know.

    present [B, T] bool; masks [B, T, *extent] bool; distractors [B, *extent] bool: certainly none of the concepts;
    object [B, *extent] bool: the whole thing shown; surface [B, *extent] bool: where its texture shows;
    hard [B, T] bool: context and concept disagree; weight [B, T]: how much more often such a pair occurs where the
    examples come from than here; shape, texture [B]: class index by each cue.
    """

    present: Tensor
    masks: Tensor | None = None
    distractors: Tensor | None = None
    object: Tensor | None = None
    surface: Tensor | None = None
    hard: Tensor | None = None
    weight: Tensor | None = None
    shape: Tensor | None = None
    texture: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Truth:
        """Return the truth with `change` applied to every tensor it has."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: change(value) for name, value in known.items()})


@dataclass(frozen=True, eq=False)
class Case:
    """Some images of a dataset's test part and what is asked of them.

    images [B, *input] in [0, 1]; targets [B, T] long: which of the dataset's K concepts are asked of each image;
    ids [B]: unique and stable names of the images.
    """

    images: Tensor
    targets: Tensor
    truth: Truth
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: Sequence[int]) -> Case:
        """Return some of the images, in the order of `rows`."""
        index = torch.as_tensor(list(rows), dtype=torch.long)
        return Case(
            self.images[index.to(self.images.device)],
            self.targets[index.to(self.targets.device)],
            self.truth.map(lambda tensor: tensor[index.to(tensor.device)]),
            tuple(self.ids[row] for row in rows),
        )

    def to(self, device: torch.device | str) -> Case:
        """Return the same case on another device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device)

        return replace(self, images=move(self.images), targets=move(self.targets), truth=self.truth.map(move))


class Dataset(ABC):
    """Three disjoint parts: `fit` (what methods see), `calibrate` (thresholds), and the test part, by iteration.

    A dataset is a frozen dataclass whose fields are its settings; iterating twice gives the same cases.
    """

    name: ClassVar[str]
    citation: ClassVar[str] = "ambench"

    @property
    @abstractmethod
    def revision(self) -> str:
        """Version of the data: same revision and settings, same pixels."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The K concepts, in the order that `Case.targets` counts them."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that `Truth.shape` and `Truth.texture` index (empty: they are not known)."""
        return ()

    @abstractmethod
    def concepts(self, part: Part) -> Concepts:
        """Return the examples of one of the two parts that methods and thresholds may use."""

    @abstractmethod
    def __iter__(self) -> Iterator[Case]:
        """Yield the test part."""


# ------------------------------------------------------------------------------------------------ explanations


@dataclass(frozen=True, eq=False)
class Portraits:
    """Synthesised inputs: images [P, *input], units [P] long, alive [P] bool, history [P, steps] of the objective.

    Restarts of one unit are several portraits of it.
    """

    images: Tensor
    units: Tensor
    alive: Tensor
    history: Tensor


@dataclass(frozen=True, eq=False)
class Directions:
    """Unit vectors in a layer's feature space, one for each concept: vectors [K, C] or [K, C, *cells], bias [K].

    `pooling` says how a grid [C, *cells] becomes what the vector is multiplied with: `mean`, `max` over cells, or
    `none` (the vector has cells itself). A zero vector is a dead direction. `details` are extra numbers [K], by name.
    """

    vectors: Tensor
    bias: Tensor
    layer: str
    pooling: Literal["mean", "max", "none"] = "mean"
    details: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scores:
    """An answer to "is the concept in this image?": scores [B, T], higher means yes."""

    scores: Tensor

    def select(self, rows: Tensor) -> Any:
        """Return the answer to some of the images."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Heatmaps(Scores):
    """An answer to "and where?" as well: values [B, T, *extent], raw and signed, float32."""

    values: Tensor


@dataclass(frozen=True, eq=False)
class Predictions(Scores):
    """The model's own answer: logits [B, U], and as scores those of the concepts asked."""

    logits: Tensor


@dataclass(frozen=True, eq=False)
class Cost:
    """What explaining took: fit_seconds (processor time on CPU), seconds_per_image [R] of R repeats (wall time, alone),
    model_passes (floating-point operations of one explanation over those of one forward; None for a network without
    countable ones), peak_rss_mib, and peak_gpu_mib (None without a GPU)."""

    fit_seconds: float
    seconds_per_image: Tensor
    model_passes: float | None
    peak_rss_mib: float
    peak_gpu_mib: float | None


Explanation = Portraits | Directions | Scores | Cost


# ------------------------------------------------------------------------------------------------ methods


class Method(ABC):
    """What explains a model. A method is a frozen dataclass in a file of its own name; its fields are its settings."""

    family: ClassVar[Literal["synthesis", "probes", "attribution"]]
    citation: ClassVar[str] = "ambench"
    supervision: ClassVar[str] = "nothing"  # what it was given: nothing | contrast images | concept images | masks …
    control: ClassVar[bool] = False  # its results are floors, not contenders
    stochastic: ClassVar[bool] = False  # another seed may change its answer


class SynthesisMethod(Method):
    """Makes portraits of output units."""

    family = "synthesis"

    @abstractmethod
    def synthesise(self, model: Model, units: Tensor, concepts: Concepts, randomness: Randomness) -> Portraits:
        """Return at least one portrait of each of the units [K]."""


class ProbeMethod(Method):
    """Finds a direction for each concept."""

    family = "probes"

    @abstractmethod
    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return K directions, in the order of `concepts.names`."""


class AttributionMethod(Method):
    """Says of each image how much of the concept it shows, and where."""

    family = "attribution"

    @abstractmethod
    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Scores:
        """Return the answer for images [B, *input] and output units `targets` [B, T]; Heatmaps where there are maps."""


# ------------------------------------------------------------------------------------------------ metrics

E = TypeVar("E", bound=Explanation)


@dataclass(frozen=True, eq=False)
class Values:
    """What a metric says: values [B, T] float64, one for each image (or portrait, or concept) and concept asked.

    `defined` [B, T] bool: False where there is no truth to hold the answer against: such a value is left out and
    counted. `flat` [B, T] bool: True where there was no answer (a constant map, a dead unit): the value is then what a
    flat map or a coin scores, and counted.
    """

    values: Tensor
    defined: Tensor
    flat: Tensor

    @staticmethod
    def of(values: Tensor, defined: Tensor | None = None, flat: Tensor | None = None) -> Values:
        """Return values with everything defined and nothing flat unless told; undefined places hold 0."""
        values = values.double()
        defined = torch.ones_like(values, dtype=torch.bool) if defined is None else defined.bool()
        flat = torch.zeros_like(defined) if flat is None else flat.bool() & defined
        return Values(torch.where(defined, values, torch.zeros_like(values)), defined, flat)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What is known of every (image, concept) pair once all cases are through; tensors [N, T] without pictures.

    `observations` [N, T, …] are what a metric's `observe` returned; `truth` has no masks.
    """

    ids: tuple[str, ...]
    targets: Tensor
    scores: Tensor
    truth: Truth
    observations: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Trial(Generic[E]):
    """One method's answer to one case, and all that is needed to judge it.

    `localise(images, case)` answers again for changed images of the same case. `panel` are the other models.
    `shared` is a store for one case: what one metric computed, the next need not. `calibration` is the metric's own.
    `classes` are the dataset's names of what `Truth.shape` and `Truth.texture` count.
    For portraits the case holds the portraits as images, for directions the calibration examples.
    """

    model: Model
    case: Case
    explanation: E
    concepts: Concepts
    randomness: Randomness
    units: Tensor
    localise: Callable[[Tensor, Case], Scores] | None = None
    panel: tuple[Model, ...] = ()
    calibration: Any = None
    shared: dict[Hashable, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    def reexplain(self, images: Tensor) -> Scores:
        """Return the answer for changed images [B, *input] of this case, with the same ids and so the same noise."""
        if self.localise is None:
            raise InputError("this trial cannot explain again: its explanation is not about images")
        return self.localise(images, self.case)

    def share(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what was computed under this key for this case, computing it the first time."""
        if key not in self.shared:
            self.shared[key] = compute()
        return self.shared[key]


class Metric(ABC, Generic[E]):
    """Scores one kind of explanation. A metric is a frozen dataclass in a file of its own name.

    The harness calls, for each calibration case, `observe`; once, `calibrate` with all of them; for each test case,
    `score`; and once, `finish` with all values. Only `score` must be written.
    """

    version: ClassVar[int] = 1
    reads: ClassVar[type[Any]]
    better: ClassVar[Better]
    range: ClassVar[tuple[float, float]]
    chance: ClassVar[float | None] = None  # what a coin or a flat map scores; None: depends on the image
    needs: ClassVar[tuple[str, ...]] = ()  # fields of Truth without which it returns None
    citation: ClassVar[str] = "ambench"
    limit: int | None = None  # score only the first so many images: for metrics that explain again and again

    def observe(self, trial: Trial[E]) -> Tensor | None:
        """Return what to remember of a calibration case [B, T, …], or None."""
        return None

    def calibrate(self, ledger: Ledger) -> Any:
        """Return the frozen thresholds that `score` will find in `trial.calibration`."""
        return None

    @abstractmethod
    def score(self, trial: Trial[E]) -> Values | None:
        """Return one value for each image and concept asked; None exactly when the truth it needs is missing."""

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the final per-image values, once those of all images are known (weights, spreads)."""
        return values
