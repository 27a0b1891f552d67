"""What a network's features are of each image, and which class each image is; for metrics of all images together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ambench import features, naming
from ambench.core import InputError, Ledger, Metric, Model, Predictions, Skipped, Trial, Values
from ambench.forward import Forward, watched

Labels = Literal["own", "shape", "texture"]
Pooling = Literal["mean", "max", "class"]
CHUNK = 64


@dataclass(frozen=True, eq=False)
class Judged:
    """One number for each of n images [n] float64, defined or not at all; `flat`: the features are no answer."""

    values: Tensor
    defined: bool = True
    flat: bool = False


@dataclass(frozen=True)
class OfFeatures(Metric[Predictions]):
    """A metric of the features of all images together, which has a number for each of them.

    `layer` (left open: what the last linear layer is given, or without one the default layer) with its `pooling`.
    `labels`: the class of each image is what it is asked for, if that is one thing; else that of the cue that the
    network's classes name (`own`), or of the cue named here.
    """

    reads: ClassVar[type[Predictions]] = Predictions
    standard: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("shape",)

    layer: str | None = None
    pooling: Pooling = "mean"
    labels: Labels = "own"

    @abstractmethod
    def judge(self, found: Tensor, labels: Tensor) -> Judged:
        """Return what features [n, F] float64 and labels [n] of n different images say."""

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return the images' features and labels as notes [B, T, F + 1], None where no classes are known."""
        refuse_broken(trial)
        labels = labels_of(trial, self.labels)
        if labels is None:
            return None
        key = ("features", self.layer, self.pooling)
        found: Tensor = trial.share(key, lambda: read(trial.model, trial.case.images, self.layer, self.pooling))
        notes = torch.cat([found.double(), labels[:, None].double()], 1)[:, None]  # [B, 1, F + 1]
        shape = trial.case.targets.shape
        return Values.of(torch.zeros(shape, device=found.device), notes=notes.expand(-1, shape[1], -1))

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return each image's number, the same for every concept asked of it; one that is there twice counts once."""
        notes = ledger.observations
        if notes is None or not len(ledger.ids):
            return values
        places = {name: row for row, name in reversed(list(enumerate(ledger.ids)))}
        order = sorted(places)  # the sums of floats do not depend on the order of the images
        rows = torch.tensor([places[name] for name in order])
        judged = self.judge(notes[rows, 0, :-1], notes[rows, 0, -1].long())
        number = {name: row for row, name in enumerate(order)}
        said = judged.values.cpu()[torch.tensor([number[name] for name in ledger.ids])][:, None].expand_as(
            values.values
        )
        whole = torch.ones_like(values.defined)
        return Values.of(said, whole & judged.defined, whole & judged.flat)


def refuse_broken(trial: Trial[Predictions]) -> None:
    """Raise InputError where the model's logits are not finite, naming the first image."""
    broken = (~trial.explanation.logits.isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"model '{trial.model.name}' answers image '{trial.case.ids[broken[0]]}' with NaN or infinity")


def labels_of(trial: Trial[Predictions], which: Labels = "own") -> Tensor | None:
    """Return the class of each image [B] long, None where nobody knows it."""
    truth, targets = trial.case.truth, trial.case.targets
    if which == "own" and targets.shape[1] == 1:
        return targets[:, 0]
    cue = naming.cue_of(trial.model, trial.classes) if which == "own" else which
    found = truth.shape if cue == "shape" else truth.texture
    return None if found is None or truth.shape is None else found.long()


def read(model: Model, images: Tensor, layer: str | None, pooling: Pooling) -> Tensor:
    """Return features [B, F] of images; raises InputError for an image of which they are not finite."""
    if layer is None:
        given = head_of(model, images)
        found = features.pool(features.read(model, images)[model.layer], "mean") if given is None else given[1]
    else:
        parts = [features.output(model, part, layer) for part in torch.split(images, CHUNK)] or [images]
        found = torch.cat([features.pooled(model.at(layer), part, pooling) for part in parts])
    if not found.isfinite().all():
        raise InputError(f"the features of model '{model.name}' have NaN or infinity in them")
    return found.flatten(1)


def head_of(model: Model, images: Tensor) -> tuple[nn.Linear, Tensor] | None:
    """Return the last linear layer and what it is given of each image [B, F], None where a network has none."""
    linear = {name: module for name, module in model.network.named_modules() if isinstance(module, nn.Linear)}
    last: list[tuple[nn.Linear, Tensor]] = []

    def watcher(name: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        given = inputs[0]
        if isinstance(given, Tensor) and isinstance(module, nn.Linear) and given.ndim == 2:
            last[:] = [(module, given.clone())]

    parts = []
    with torch.no_grad(), Forward(model, []) as forward, watched(linear, watcher):
        for part in torch.split(images, CHUNK):
            last.clear()
            forward(part)
            parts += [given for _, given in last]
    return (last[0][0], torch.cat(parts)) if last else None


def outgoing(model: Model) -> Tensor:
    """Return the weights from each unit before the head to the model's classes [F, classes]; Skipped without a head."""
    probe = torch.zeros(1, *model.input_shape, device=model.device)
    found = head_of(model, probe)
    if found is None:
        raise Skipped(f"model '{model.name}' has no linear head, whose weights would be its units' directions")
    rows = [unit for unit in model.class_units if unit < len(found[0].weight)]
    return found[0].weight.detach()[rows].T.double()
