"""Metrics over the cases of a cell: observe and calibrate, score each case, finish with what all cases said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ambench import sharing
from ambench.answer import Answer, rival, twin, under
from ambench.core import (
    AttributionMethod,
    Case,
    Directions,
    Ledger,
    Method,
    Metric,
    Pairs,
    Portraits,
    ProbeMethod,
    Rival,
    Scores,
    Skipped,
    Trial,
    Truth,
    Twin,
    Values,
)
from ambench.workbench import Workbench, as_case, pairs_of


@dataclass
class Verdict:
    """What one metric said of a cell: final values, or the reason why there are none."""

    metric: Metric[Any]
    spec: str
    values: Values | None = None
    ids: tuple[str, ...] = ()
    targets: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.long))
    reason: str | None = None
    failed: bool = False
    skipped: bool = False
    missing: Mapping[str, str] = field(default_factory=dict)  # concepts that the method has no answer for, and why


def judge(bench: Workbench, answer: Answer, folder: Path | None = None) -> list[Verdict]:
    """Return the verdict of every metric of the cell that can read the answer, each independent of the others.

    `folder` is the run's: a rival probe's explanation is read from there, or kept there.
    """
    answer = replace(answer, folder=folder)
    verdicts = [Verdict(metric, spec) for metric, spec in zip(bench.metrics, bench.cell.metrics, strict=True)]
    image_verdicts = [v for v in verdicts if issubclass(v.metric.reads, Scores)]
    if image_verdicts and answer.localise is not None:
        _judge_images(bench, answer, image_verdicts)
    elif not bench.model.layers:
        for verdict in image_verdicts:
            verdict.reason = f"model '{bench.model.name}' has no layer in which its portraits could be read"
    for verdict in verdicts:
        if isinstance(answer.explanation, verdict.metric.reads):
            _guarded(verdict, _judge_explanation, bench, answer)
    said = [v for v in verdicts if v.values is not None or v.reason is not None]
    return [_without_missing(bench, answer, verdict) for verdict in said]


def _without_missing(bench: Workbench, answer: Answer, verdict: Verdict) -> Verdict:
    """Leave out the pairs of concepts that the method has no answer for."""
    if verdict.values is None or not answer.missing:
        return verdict
    gone = torch.isin(verdict.targets, torch.tensor(sorted(answer.missing)))
    values = replace(verdict.values, defined=verdict.values.defined & ~gone.to(verdict.values.defined.device))
    missing = {bench.dataset.names[number]: why for number, why in answer.missing.items()}
    return replace(verdict, values=values, missing=missing)


def trial(bench: Workbench, answer: Answer, case: Case, explanation: Any) -> Trial[Any]:
    """Return the trial of one explanation of one case."""
    randomness = replace(bench.randomness, ids=case.ids)
    return Trial(
        bench.model,
        case,
        explanation,
        bench.concepts,
        randomness,
        bench.units,
        answer.localise,
        bench.panel,
        classes=bench.dataset.classes,
        refit=_refit(bench),
        rival=_rival(bench, answer),
        pairs=lambda concept, count: _pairs(bench, concept, count),
        twin=_twin(bench, answer),
        directions=answer.explanation if isinstance(answer.explanation, Directions) else None,
        under=None if answer.localise is None else lambda model: under(bench, answer, model),
        lasting=lambda case: sharing.lasting(bench.model, case),
    )


def _refit(bench: Workbench) -> Callable[[Tensor], Sequence[Directions]] | None:
    method = bench.method
    if not isinstance(method, ProbeMethod):
        return None
    return lambda counts: method.refit(bench.model, bench.concepts, counts, bench.randomness)


def _rival(bench: Workbench, answer: Answer) -> Callable[[str], Rival] | None:
    if not isinstance(bench.method, ProbeMethod):
        return None
    known: dict[str, Rival | Skipped] = answer.rivals

    def find(name: str) -> Rival:
        if name not in known:
            try:
                known[name] = rival(bench, name, answer.folder)
            except Skipped as reason:
                known[name] = reason
        found = known[name]
        if isinstance(found, Skipped):
            raise found
        return found

    return find


def _twin(bench: Workbench, answer: Answer) -> Callable[[str | None], Twin] | None:
    method = bench.method
    if not isinstance(method, AttributionMethod):
        return None

    def find(name: str | None) -> Twin:
        if name not in answer.twins:
            answer.twins[name] = twin(bench, method, name)
        return answer.twins[name]

    return find


def _pairs(bench: Workbench, concept: str, count: int) -> Pairs | None:
    pairs = pairs_of(bench.dataset, concept, count)
    if pairs is None:
        return None
    device = bench.model.device
    return Pairs(pairs.shown.to(device), pairs.hidden.to(device), pairs.mask.to(device))


@dataclass
class _Pages:
    """The running record of one metric while the cases stream by."""

    ids: list[str] = field(default_factory=list)
    tensors: dict[str, list[Tensor]] = field(default_factory=dict)

    def add(self, case: Case, **tensors: Tensor | None) -> None:
        self.ids += case.ids
        truth = {k: v for k, v in vars(_without_pictures(case.truth)).items() if v is not None}
        for name, tensor in {"targets": case.targets, **truth, **tensors}.items():
            if tensor is not None:
                self.tensors.setdefault(name, []).append(tensor.detach().cpu())

    def ledger(self) -> Ledger:
        joined = {name: torch.cat(parts) for name, parts in self.tensors.items()}
        known = {name: joined[name] for name in vars(Truth(torch.empty(0))) if name in joined}
        return Ledger(tuple(self.ids), joined["targets"], joined["scores"], Truth(**known), joined.get("observations"))

    def values(self) -> Values:
        values, defined, flat = (torch.cat(self.tensors[name]) for name in ("values", "defined", "flat"))
        return Values(values, defined, flat)


def _without_pictures(truth: Truth) -> Truth:
    return replace(truth, masks=None, distractors=None, object=None, surface=None)


def _judge_images(bench: Workbench, answer: Answer, verdicts: list[Verdict]) -> None:
    observers = [v for v in verdicts if _observes(v.metric, bench.method)]
    learned = _calibrations(bench, answer, observers)
    pages = [_Pages() for _ in verdicts]
    position = 0
    for case in bench.cases():
        scores = answer.localise(case.images, case)  # type: ignore[misc]
        here = trial(bench, answer, case, scores)
        for verdict, page in zip(verdicts, pages, strict=True):
            if isinstance(scores, verdict.metric.reads):
                _guarded(verdict, _score_case, here, page, position, learned.get(verdict.spec))
        position += len(case)
    for verdict, page in zip(verdicts, pages, strict=True):
        if page.ids:
            _guarded(verdict, _finish, page)


def _observes(metric: Metric[Any], method: Method) -> bool:
    return type(metric).observe is not Metric.observe and method.family in metric.calibrates


def _calibrations(bench: Workbench, answer: Answer, observers: list[Verdict]) -> dict[str, Any]:
    """Return what each metric that calibrates learned from the calibration part."""
    pages = [_Pages() for _ in observers]
    for case in bench.calibration_cases() if observers else ():
        scores = answer.localise(case.images, case)  # type: ignore[misc]
        here = trial(bench, answer, case, scores)
        for verdict, page in zip(observers, pages, strict=True):
            if isinstance(scores, verdict.metric.reads):
                _guarded(verdict, _observe_case, here, page)
    learned: dict[str, Any] = {}
    for verdict, page in zip(observers, pages, strict=True):
        if page.ids:
            _guarded(verdict, _calibrate, page, learned)
    return learned


def _observe_case(verdict: Verdict, here: Trial[Any], page: _Pages) -> None:
    page.add(here.case, scores=here.explanation.scores, observations=verdict.metric.observe(here))


def _calibrate(verdict: Verdict, page: _Pages, learned: dict[str, Any]) -> None:
    learned[verdict.spec] = verdict.metric.calibrate(page.ledger())


def _score_case(verdict: Verdict, whole: Trial[Any], page: _Pages, position: int, calibration: Any) -> None:
    limit = verdict.metric.limit
    count = len(whole.case) if limit is None else max(0, min(len(whole.case), limit - position))
    if not count:
        return
    here = _first(whole, count) if count < len(whole.case) else whole
    values = verdict.metric.score(replace(here, calibration=calibration))
    if values is None:
        missing = [need for need in verdict.metric.needs if getattr(whole.case.truth, need) is None]
        needs = ", ".join(missing or ["examples to calibrate on"])
        verdict.reason = f"the dataset does not know what {verdict.spec} needs ({needs})"
        return
    parts = {"values": values.values, "defined": values.defined, "flat": values.flat, "observations": values.notes}
    page.add(here.case, scores=here.explanation.scores, **parts)


def _first(whole: Trial[Any], count: int) -> Trial[Any]:
    """Return the trial of a case's first images; it shares what other metrics with the same limit computed."""
    rows = range(count)
    part = whole.share(("first", count), lambda: (whole.case.select(rows), whole.explanation.select(slice(count)), {}))
    case, explanation, shared = part
    randomness = whole.randomness.select(rows)
    return replace(whole, case=case, explanation=explanation, randomness=randomness, shared=shared)


def _finish(verdict: Verdict, page: _Pages) -> None:
    ledger = page.ledger()
    verdict.values = verdict.metric.finish(page.values(), ledger)
    verdict.ids, verdict.targets, verdict.reason = ledger.ids, ledger.targets, None


def _judge_explanation(verdict: Verdict, bench: Workbench, answer: Answer) -> None:
    case = explanation_case(bench, answer.explanation)
    values = verdict.metric.score(trial(bench, answer, case, answer.explanation))
    if values is None:
        verdict.reason = f"nothing here that {verdict.spec} could hold the answer against"
        return
    clusters = tuple(name.rsplit("/", 1)[0] for name in values.ids or case.ids)  # restarts of a portrait are one
    targets = torch.arange(len(bench.dataset.names)).expand(len(clusters), -1) if values.ids else case.targets.cpu()
    verdict.values, verdict.ids, verdict.targets = values, clusters, targets


def explanation_case(bench: Workbench, explanation: Any) -> Case:
    """Return the case on which an explanation itself is judged: its portraits as images, or the examples."""
    if not isinstance(explanation, Portraits):
        return as_case(bench.concepts)
    order = {unit: k for k, unit in enumerate(bench.units.tolist())}
    targets = torch.tensor([[order[unit]] for unit in explanation.units.tolist()], device=bench.model.device)  # [P, 1]
    names = [bench.dataset.names[k] for k in targets[:, 0].tolist()]
    ids = tuple(f"{name}/{names[:i].count(name)}" for i, name in enumerate(names))
    return Case(explanation.images, targets, Truth(torch.ones_like(targets, dtype=torch.bool)), ids)


def _guarded(verdict: Verdict, work: Any, *arguments: Any) -> None:
    """Do a metric's part; an error fails this metric alone, and is kept as its reason."""
    if verdict.failed or verdict.skipped:
        return
    try:
        work(verdict, *arguments)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # the cell is run again with half the batch
    except Skipped as reason:  # it does not fit this method or these data
        verdict.values, verdict.reason, verdict.skipped = None, str(reason), True
    except Exception as error:  # a plugin's mistake costs its own rows and no others
        verdict.values, verdict.failed = None, True
        verdict.reason = f"{type(error).__name__}: {error}"
