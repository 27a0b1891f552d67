"""Who else is asked about a portrait: other networks with an output of the concept's name, that know what it means."""

from __future__ import annotations

from collections.abc import Iterator

from sklearn.metrics import roc_auc_score

from ambench.core import Model, Portraits, Trial

from ._responses import natural


def judges(trial: Trial[Portraits]) -> Iterator[Model]:
    """Yield the panel's models with other weights and the same input shape."""
    source = trial.model
    own = source.weights.partition("+probes(")[0]  # probe units change nothing that could make it another judge
    for judge in trial.panel:
        if judge.weights != own and judge.input_shape == source.input_shape:
            yield judge


def is_class(judge: Model, name: str) -> bool:
    """Say whether a concept, called by its name or its unit's number, is one of a judge's classes."""
    return judge.units.get(name) in judge.class_units


def is_competent(trial: Trial[Portraits], judge: Model, concept: int, least: float) -> bool:
    """Say whether a judge tells natural images with a concept from those without: area under the ROC curve `least`."""
    name = trial.concepts.names[concept]
    present = trial.concepts.present[:, concept]
    if name not in judge.units or (not is_class(judge, name) and present.all()):
        return False  # not its concept, or nothing without it to be held against
    if least <= 0 or present.all() or not present.any():
        return True
    logits = natural(trial, judge)
    evidence = logits[:, judge.units[name]]
    if is_class(judge, name):  # a class is told by what it has over its rivals
        evidence = evidence - logits[:, list(judge.class_units)].logsumexp(1)
    return bool(roc_auc_score(present.cpu(), evidence.cpu()) >= least)
