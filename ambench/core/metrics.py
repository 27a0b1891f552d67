"""What scores an explanation: the trial a metric judges, the values it says, and the ledger of them all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor

from ambench.core.data import Case, Concepts, Pairs, Truth
from ambench.core.errors import InputError
from ambench.core.explanations import Directions, Explanation, Scores
from ambench.core.model import Model
from ambench.core.randomness import Randomness

Better = Literal["higher", "lower", "neither"]
E = TypeVar("E", bound=Explanation)


@dataclass(frozen=True, eq=False)
class Values:
    """What a metric says: values [B, T] float64, one for each image (or portrait, or concept) and concept asked.

    `defined` [B, T] bool: False where there is no truth to hold the answer against: such a value is left out and
    counted. `flat` [B, T] bool: True where there was no answer (a constant map, a dead unit): the value is then what a
    flat map or a coin scores, and counted. `notes` [B, T, …] are what the metric's `finish` will want to know. `ids`
    [B] name the rows where they are not those of the trial's case (refits, pairs of images).
    """

    values: Tensor
    defined: Tensor
    flat: Tensor
    notes: Tensor | None = None
    ids: tuple[str, ...] = ()

    @staticmethod
    def of(
        values: Tensor,
        defined: Tensor | None = None,
        flat: Tensor | None = None,
        notes: Tensor | None = None,
        ids: tuple[str, ...] = (),
    ) -> Values:
        """Return values with everything defined and nothing flat unless told; undefined places hold 0."""
        values = values.double()
        defined = torch.ones_like(values, dtype=torch.bool) if defined is None else defined.bool()
        flat = torch.zeros_like(defined) if flat is None else flat.bool() & defined
        return Values(torch.where(defined, values, torch.zeros_like(values)), defined, flat, notes, ids)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What is known of every (image, concept) pair once all cases are through; tensors [N, T] without pictures.

    `observations` [N, T, …] are what a metric's `observe` returned, or the notes of its `score`; `truth` has no masks.
    """

    ids: tuple[str, ...]
    targets: Tensor
    scores: Tensor
    truth: Truth
    observations: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Rival:
    """Another probe on the same layer and examples, to be told apart from the one on trial."""

    directions: Directions
    localise: Callable[[Tensor, Case], Scores]


@dataclass(frozen=True, eq=False)
class Twin:
    """The method on trial, on another network: `attribute(images, units, case)` explains its output units [B, T]."""

    model: Model
    attribute: Callable[[Tensor, Tensor, Case], Scores]


@dataclass(frozen=True, eq=False)
class Trial(Generic[E]):
    """One method's answer to one case, and all that is needed to judge it.

    `localise(images, case)` answers again for changed images of the same case. `panel` are the other models.
    `shared` is a store for one case: what one metric computed, the next need not. `calibration` is the metric's own.
    `classes` are the dataset's names of what `Truth.shape` and `Truth.texture` count.
    For portraits the case holds the portraits as images, for directions the examples. Of probes only: `refit(counts)`
    fits it to other samples of its examples, `rival(name)` is another probe with the same settings, and `directions`
    are what its answers are about, where those of other methods are about output units. `pairs(concept, count)` are the
    dataset's images that differ in a concept alone. Of attribution methods only: `twin(name)` is the same method on
    another network, or (None) on this one. `under(model)` is any method's `localise` for another network of the same
    layers, for which it does all its work again. `lasting(case)` is a store for model and case, whatever the method.
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
    refit: Callable[[Tensor], Sequence[Directions]] | None = None
    rival: Callable[[str], Rival] | None = None
    pairs: Callable[[str, int], Pairs | None] | None = None
    twin: Callable[[str | None], Twin] | None = None
    directions: Directions | None = None
    under: Callable[[Model], Callable[[Tensor, Case], Scores]] | None = None
    lasting: Callable[[Case], MutableMapping[Hashable, Any]] | None = None

    def reexplain(self, images: Tensor) -> Scores:
        """Return the answer for changed images [B, *input] of this case, with the same ids and so the same noise."""
        if self.localise is None:
            raise InputError("this trial cannot explain again: its explanation is not about images")
        return self.localise(images, self.case)

    def reexplain_under(self, model: Model) -> Scores:
        """Return the method's answer to this case for another network, with the same examples and the same noise.

        Maps are computed, probes fitted and portraits synthesised anew: nothing of the answer on trial is used.
        """
        if self.under is None:
            raise InputError("this trial cannot explain another network: its explanation is not about images")
        return self.under(model)(self.case.images, self.case)

    def share(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what was computed under this key for this case, computing it the first time."""
        if key not in self.shared:
            self.shared[key] = compute()
        return self.shared[key]

    def keep(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the same of what depends on model and case alone, which the trials of other methods find as well.

        It should be small, such as numbers of each image: it outlives the cell.
        """
        store = self.share("lasting", lambda: {} if self.lasting is None else self.lasting(self.case))
        if key not in store:
            store[key] = compute()
        return store[key]


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
    families: ClassVar[tuple[str, ...]] = ("synthesis", "probes", "attribution")  # of methods that it can score
    calibrates: ClassVar[tuple[str, ...]] = families  # of methods for which it must observe the calibration part
    standard: ClassVar[bool] = True  # asked where metrics are not named
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
