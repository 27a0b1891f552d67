"""The CAV of a concept's context: what a probe finds that has learnt only the concept's company."""

from __future__ import annotations

from dataclasses import dataclass

from ambench.core import Concepts, Directions, Model, Randomness, Skipped

from ._classified import ClassifierProbe
from ._examples import balanced_accuracy, refuse_too_few
from ._folds import out_of_fold
from ._probe import Sample, directions


@dataclass(frozen=True)
class ContextCav(ClassifierProbe):
    """A linear classifier of the images in which a concept is usual, whether they show it or not (ambench).

    A negative control for `cav` where the dataset knows the contexts: whoever scores like it on images whose context
    misleads has found the context. `layer`, `pooling`, `solver`, `inverse_penalty` and `chunk` as in `cav`.

    >>> ContextCav().supervision
    'contexts of the concepts'
    """

    supervision = "contexts of the concepts"
    control = True

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return the directions of the contexts; Skipped where the examples do not say them, or too few of a side."""
        if concepts.contexts is None:
            raise Skipped("the contexts of these examples are not known, so there is none to learn")
        refuse_too_few(concepts, concepts.contexts, "examples in the context of")
        return self.solve(self.arranged(self.sample(model, concepts, randomness)))

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C] or [K, C, *cells] (`none`), and `details["accuracy"]` on contexts, out of fold."""
        contexts, design = sample.concepts.contexts, sample.design()
        assert contexts is not None
        vectors, bias = self.classifier.solve(design, contexts).restored()
        accuracy = balanced_accuracy(out_of_fold(self.classifier, design, sample, contexts), contexts)
        return directions(sample, vectors, bias, self.pooling, {"accuracy": accuracy})
