"""What the model, or a probe, says of changed images, a chunk at a time: logits, and the probabilities they mean."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.by_concept import ByConcept, best_threshold
from ambench.core import Heatmaps, InputError, Ledger, Metric, Model, Trial
from ambench.finite import refuse_broken

from ._inputs import as_given

Ask = Callable[[Tensor], Tensor]  # pictures [n, C, *extent] -> one number for each of the dataset's concepts [n, K]


def logits(trial: Trial[Any], changed: Tensor) -> Tensor:
    """Return the logits of all concepts [n, K] float64: of their output units, or a probe's own.

    Raises InputError for one that is not finite.
    """
    if trial.directions is None:
        return _finite(trial, _answers(trial, changed)[:, trial.units])
    images = as_given(trial, changed)
    return _finite(trial, explanations.strengths(trial.model, trial.directions, images, max(1, len(images))))


def _answers(trial: Trial[Any], changed: Tensor) -> Tensor:
    """The network's logits [n, U]."""
    return features.logits(trial.model, as_given(trial, changed), max(1, len(changed)))


def _finite(trial: Trial[Any], said: Tensor) -> Tensor:
    if not said.isfinite().all():
        raise InputError(f"model '{trial.model.name}' answers a changed image with NaN or infinity; numbers are wanted")
    return said.double()


def probabilities(model: Model, units: Tensor, answers: Tensor) -> Tensor:
    """Return the probabilities of output units [K] in a network's logits [n, U], as [n, K] float64.

    Of two or more classes that exclude each other it is the softmax over them; any other unit answers for itself.

    >>> from ambench.toy import network
    >>> probabilities(network(), torch.tensor([0, 2]), torch.tensor([[0.0, 0.0, 0.0]])).mul(3).tolist()
    [[1.0, 1.0]]
    """
    asked = answers[:, units].double()
    alone = asked.sigmoid()
    classes = torch.tensor(model.class_units, device=units.device, dtype=torch.long)
    if len(classes) < 2:
        return alone
    among = (asked - answers[:, classes].double().logsumexp(1, keepdim=True)).exp()
    return torch.where(torch.isin(units, classes), among, alone)


def streamed(ask: Ask, change: Callable[[Tensor], Tensor], columns: Tensor, chunk: int) -> Tensor:
    """Return what is said of N changed images [N]: `change(rows)` makes some of them, `columns` [N] are their concepts.

    No more than `chunk` images are there at a time.
    """
    parts = [columns.new_empty(0, dtype=torch.float64)]
    for rows in torch.split(torch.arange(len(columns), device=columns.device), chunk):
        parts.append(ask(change(rows)).gather(1, columns[rows, None])[:, 0])
    return torch.cat(parts)


def of_each(ask: Ask, images: Tensor, chunk: int) -> Tensor:
    """Return what is said of pictures [n, C, *extent], as [n, K], no more than `chunk` of them at a time."""
    return torch.cat([ask(some) for some in torch.split(images, chunk)])


def kept(trial: Trial[Any], key: Hashable, compute: Callable[[], Any]) -> Any:
    """Return what is asked about a case without a map: once for all methods, of a probe once for all metrics."""
    if trial.directions is not None:
        return trial.share(("faithfulness", key), compute)
    return trial.keep(("faithfulness", key, tuple(trial.units.tolist())), compute)


# ------------------------------------------------------------------------------------------------ how sure


@dataclass(frozen=True, eq=False)
class Scale:
    """What makes probabilities of a probe's logits: thresholds and deviations [K] float64, and which are known [K]."""

    thresholds: Tensor
    deviations: Tensor
    known: Tensor

    def probabilities(self, answers: Tensor) -> Tensor:
        """Return the logistic of logits [n, K] in deviations from their threshold; .5 where none is known."""
        missing = answers.shape[1] - len(self.known)
        fill = torch.nn.functional.pad
        thresholds = fill(self.thresholds, (0, missing)).to(answers.device)
        deviations = fill(self.deviations, (0, missing), value=1.0).to(answers.device)
        known = fill(self.known, (0, missing)).to(answers.device)
        return ((answers.double() - thresholds) / deviations).sigmoid().masked_fill(~known, 0.5)


class Sure(Metric[Heatmaps]):
    """A metric that asks how sure the model is of changed images.

    Of an output unit, portrayed or not, that is its probability; of a probe, the logistic of its logit less the
    threshold that the calibration part gave it, over the logit's deviation there. `chunk` images go through the network
    at a time.
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    calibrates: ClassVar[tuple[str, ...]] = ("probes",)

    def observe(self, trial: Trial[Heatmaps]) -> Tensor:
        """Return the scores [B, T] of a calibration case."""
        refuse_broken(trial, trial.explanation.scores, "score")
        return trial.explanation.scores

    def calibrate(self, ledger: Ledger) -> Scale:
        """Return each concept's threshold and deviation."""
        scores, present = ledger.scores.double(), ledger.truth.present.bool()
        best = ByConcept.of(ledger.targets, lambda asked: best_threshold(scores[asked], present[asked]))
        spread = ByConcept.of(ledger.targets, lambda asked: _deviation(scores[asked]))
        return Scale(best.values, spread.values, best.known & spread.known)

    def asks(self, trial: Trial[Heatmaps]) -> Ask | None:
        """Return what to ask of images; None for a probe that nothing was there to calibrate."""
        if trial.directions is None:
            return lambda changed: _finite(trial, probabilities(trial.model, trial.units, _answers(trial, changed)))
        if trial.calibration is None:
            return None
        scale: Scale = trial.calibration
        return lambda changed: scale.probabilities(logits(trial, changed))

    def asked(self, trial: Trial[Heatmaps]) -> Tensor:
        """Return the pairs [B, T] bool that can be scored: the image shows the concept, and a probe has a threshold."""
        present = trial.case.truth.present.bool()
        if trial.directions is None or trial.calibration is None:
            return present
        return present & ByConcept(trial.calibration.thresholds, trial.calibration.known).at(trial.case.targets)[1]


def _deviation(scores: Tensor) -> float | None:
    """Return the standard deviation of scores [n], whatever their order; None where there is none."""
    ordered = scores.sort().values
    deviation = float(ordered.std(correction=0)) if len(ordered) else 0.0
    return deviation or None


def refuse_chunk(name: str, chunk: int) -> None:
    """Raise InputError for a chunk that holds nothing."""
    if chunk < 1:
        raise InputError(f"{name} needs chunk of at least 1, not {chunk}")
