"""Whether the score still tells the concept on images that another probe gets wrong, where no context is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ambench.activations import Read, read
from ambench.by_concept import ByConcept, best_threshold
from ambench.core import Better, Ledger, Scores, Trial, Values

from ._balance import balanced
from ._threshold import Thresholded

FEWEST = 5  # calibration images on either side that the reference needs
ENOUGH = 20  # images on either side that it gets wrong, below which the nearest to being wrong are taken
SHARE = 0.25  # of either side, that are taken then


@dataclass(frozen=True, eq=False)
class Reference:
    """What is frozen before the test part: thresholds [K] of the score, and another probe [K, C] with biases [K]."""

    thresholds: Tensor
    known: Tensor
    vectors: Tensor
    biases: Tensor

    def at(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the thresholds of the concepts asked [B, T], and which are known."""
        return ByConcept(self.thresholds, self.known).at(targets)


@dataclass(frozen=True)
class EstimatedHardAccuracy(Thresholded):
    """Balanced accuracy on the images that an independent reference probe misjudges; up, [0, 1], chance .5.

    Ours, after Lysnaes-Larsen et al. 2025 (arXiv 2511.04312), for datasets that do not know their contexts; where they
    do, `hard_accuracy` is exact, and the two are never the same number. The reference is a logistic regression of
    mean-pooled features of the model's default `layer`, fitted to the calibration part, which the probe on trial has
    not learnt from. Fewer than 20 misjudged images of either side: the quarter of positives it scores lowest and of
    negatives it scores highest. The threshold is that of `normal_accuracy`.

    >>> hard = misjudged(torch.tensor([3.0, 1.0, -1.0, -9.0] * 5), torch.tensor([True, True, False, False] * 5))
    >>> int(hard.sum()), EstimatedHardAccuracy().chance  # nothing is misjudged: a quarter of either side
    (4, 0.5)
    """

    reads: ClassVar[type[Scores]] = Scores
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    layer: str | None = None

    def observe(self, trial: Trial[Scores]) -> Tensor:
        """Return the scores [B, T, 1] and, behind them, the reference's features [B, T, 1 + C]."""
        scores = super().observe(trial).double()
        features = self._features(trial)
        repeated = features[:, None].expand(-1, scores.shape[1], -1)
        return torch.cat([scores[..., None], repeated], 2)

    def calibrate(self, ledger: Ledger) -> Reference | None:  # type: ignore[override]
        """Return thresholds and the reference; a concept without five calibration images on either side has none."""
        seen = ledger.observations
        if seen is None:
            return None
        order = sorted(range(len(ledger.ids)), key=ledger.ids.__getitem__)  # sums do not depend on who came first
        seen, present, targets = seen[order], ledger.truth.present[order], ledger.targets[order]
        count = int(targets.max()) + 1 if targets.numel() else 0
        fitted = [_reference(seen[..., 1:][targets == k], present[targets == k]) for k in range(count)]
        none = torch.zeros(seen.shape[2] - 1, dtype=torch.float64), 0.0
        vectors = torch.stack([(one or none)[0] for one in fitted]) if fitted else none[0][None, :0]
        biases = torch.tensor([(one or none)[1] for one in fitted], dtype=torch.float64)
        known = torch.tensor([one is not None for one in fitted], dtype=torch.bool)
        found = ByConcept.of(targets, lambda asked: best_threshold(seen[..., 0][asked], present[asked]))
        return Reference(found.values, found.known & known, vectors, biases)

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return 1, .5 or 0 for each pair [B, T], and what the reference says of it in the notes."""
        judged = self.judge(trial, trial.explanation)
        if judged is None:
            return None
        reference: Reference = trial.calibration
        logits = self._features(trial).cpu() @ reference.vectors.T + reference.biases  # [B, K]
        targets = trial.case.targets.cpu()
        notes = logits.gather(1, targets.clamp(max=max(0, logits.shape[1] - 1))) if logits.shape[1] else None
        return Values.of(judged.values, judged.defined, judged.flat, None if notes is None else notes[..., None])

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the accuracy on hard pairs plus each image's own pull on it."""
        hard = torch.zeros_like(values.defined)
        if ledger.observations is not None:
            for concept in torch.unique(ledger.targets).tolist():
                asked = (ledger.targets == concept) & values.defined
                hard[asked] = misjudged(ledger.observations[..., 0][asked], ledger.truth.present[asked].bool())
        return balanced(Values.of(values.values, values.defined & hard, values.flat), ledger)

    def _features(self, trial: Trial[Scores]) -> Tensor:
        wanted = Read(trial.model.at(self.layer).name, "mean")
        found: Tensor = trial.share(
            ("reference", wanted), lambda: read(trial.model, trial.case.images, [wanted])[wanted].whole().double()
        )
        return found


def misjudged(logits: Tensor, present: Tensor) -> Tensor:
    """Return which pairs [n] are hard: on the wrong side of 0, or the nearest to it where those are too few."""
    wrong = (logits > 0) != present
    if min(int((wrong & present).sum()), int((wrong & ~present).sum())) >= ENOUGH:
        return wrong
    hard = torch.zeros_like(present)
    for side, sign in ((present, 1.0), (~present, -1.0)):
        rows = side.nonzero()[:, 0]
        order = (sign * logits[rows]).argsort(stable=True)
        hard[rows[order[: round(SHARE * len(rows))]]] = True
    return hard


def _reference(features: Tensor, present: Tensor) -> tuple[Tensor, float] | None:
    """Return the vector [C] and bias of a logistic regression; None with too few images on a side."""
    shown = present.bool()
    if min(int(shown.sum()), int((~shown).sum())) < FEWEST:
        return None
    centre = features.mean(0)
    scale = (features - centre).square().mean().sqrt().clamp_min(1e-12)
    probe = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
    probe.fit(((features - centre) / scale).cpu().numpy(), shown.cpu().numpy())
    vector = torch.as_tensor(probe.coef_[0], dtype=torch.float64) / scale.cpu()
    return vector, float(probe.intercept_[0]) - float(vector @ centre.cpu())
