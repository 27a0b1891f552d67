"""The settings of all probes that are linear classifiers of pooled features."""

from __future__ import annotations

from dataclasses import dataclass

from ambench.core import InputError, Pooling

from ._classifier import Classifier, Solver
from ._probe import Probe, Sample


@dataclass(frozen=True)
class ClassifierProbe(Probe):
    """Where features are read, how they are pooled, and how the two sides are told apart."""

    layer: str | None = None
    pooling: Pooling = "mean"
    solver: Solver = "logistic"
    inverse_penalty: float | None = None
    chunk: int = 64

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise InputError(f"chunk is a number of images from 1 up, not {self.chunk}")
        if self.inverse_penalty is not None and not self.inverse_penalty > 0:
            raise InputError(f"inverse_penalty is a number above 0, not {self.inverse_penalty}")

    @property
    def features(self) -> Pooling:
        """Its pooling."""
        return self.pooling

    def arranged(self, sample: Sample) -> Sample:
        """Return a sample by name where stochastic gradients would learn something else from another order."""
        return sample.by_name() if self.solver == "sgd" else sample

    @property
    def classifier(self) -> Classifier:
        """What tells the two sides apart."""
        return Classifier(self.solver, self.inverse_penalty, self.pooling)
