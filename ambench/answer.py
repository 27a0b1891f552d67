"""A method's answer to a cell: its explanation, kept on disk, and a function that says of any image what and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from torch import Tensor

from ambench import activations, cost, explanation_files, explanations, registry
from ambench.core import (
    AttributionMethod,
    Case,
    Directions,
    InputError,
    Model,
    Portraits,
    ProbeMethod,
    Randomness,
    Rival,
    Scores,
    Skipped,
    SynthesisMethod,
    Twin,
)
from ambench.workbench import Workbench, load

Localise = Callable[[Tensor, Case], Scores]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method gave back for a cell; `localise` is None where portraits cannot be lifted to directions.

    `rivals` are the probes that it was told apart from, and why some cannot be had; `folder` is where they are kept.
    `twins` are the networks that it was compared with.
    `elsewhere` are the method's directions in other networks, by the tag of their weights.
    """

    explanation: Portraits | Directions | None
    localise: Localise | None
    fit_seconds: float
    folder: Path | None = None
    rivals: dict[str, Rival | Skipped] = field(default_factory=dict)
    twins: dict[str | None, Twin] = field(default_factory=dict)
    elsewhere: dict[str, Directions] = field(default_factory=dict)

    @property
    def missing(self) -> Mapping[int, str]:
        """Why some concepts, by number, have no answer."""
        return self.explanation.missing if isinstance(self.explanation, Directions) else {}


def answer(bench: Workbench, kept: Path | None) -> Answer:
    """Return the method's answer, read from `kept` if it is there, else made, timed and kept."""
    if isinstance(bench.method, AttributionMethod):
        return Answer(None, _attribute(bench, bench.method), 0.0)
    explanation, seconds = explanation_files.read(kept, str(bench.model.device)) or _make(bench, kept)
    directions = _directions(bench, explanation)
    return Answer(explanation, None if directions is None else _localise(bench.model, directions), seconds)


def under(bench: Workbench, found: Answer, model: Model) -> Localise:
    """Return how the cell's method explains another network of the same layers and units: it does all its work again.

    Examples and chance stay what they were; fits and portraits are made once for each tag of weights.
    """
    other = replace(bench, model=model)
    if isinstance(bench.method, AttributionMethod):
        return _attribute(other, bench.method)
    if model.weights not in found.elsewhere:
        with activations.not_keeping():
            directions = _directions(other, _make(other, None)[0])
        if directions is None:
            raise Skipped("these portraits cannot be lifted, so they explain no image, whatever the network")
        found.elsewhere[model.weights] = directions
    return _localise(model, found.elsewhere[model.weights])


def kept_at(bench: Workbench, folder: Path | None) -> Path | None:
    """Return where a cell's explanation is kept: named by all that decides it, whatever metrics are asked of it."""
    if folder is None:
        return None
    cell = bench.cell
    return explanation_files.place(
        folder,
        cell.model,
        bench.model.weights,
        cell.method,
        cell.dataset,
        bench.dataset.revision,
        cell.seed,
        cell.device,
        registry.code_digest(bench.method),
    )


def rival(bench: Workbench, name: str, folder: Path | None) -> Rival:
    """Return another probe on the same cell, with the settings that it shares with the cell's own method.

    Raises Skipped with the reason where that probe cannot be had.
    """
    kind = registry.find("methods", name)
    shared = {f.name: getattr(bench.method, f.name) for f in fields(kind) if hasattr(bench.method, f.name)}
    method = kind(**shared)
    other = replace(bench, method=method, cell=replace(bench.cell, method=registry.spec_of(method)))
    found = answer(other, kept_at(other, folder))
    if not isinstance(found.explanation, Directions) or found.localise is None:
        raise InputError(f"'{name}' is no probe, so it cannot be a probe's rival")
    return Rival(found.explanation, found.localise)


def twin(bench: Workbench, method: AttributionMethod, name: str | None) -> Twin:
    """Return the cell's method on another network, with the randomness of that network's own cell; None: on its own.

    Raises InputError for a network that takes other inputs.
    """
    elsewhere = name is not None and name != bench.cell.model
    there = load(replace(bench.cell, model=str(name), metrics=()), bench.given) if elsewhere else bench
    if there.model.input_shape != bench.model.input_shape:
        shapes = [list(one.input_shape) for one in (bench.model, there.model)]
        raise InputError(f"'{name}' takes inputs {shapes[1]}, but '{bench.cell.model}' {shapes[0]}: they are no twins")

    def attribute(images: Tensor, units: Tensor, case: Case) -> Scores:
        randomness = Randomness(there.randomness.key, case.ids)
        return method.attribute(there.model, images, units, there.concepts, randomness)

    return Twin(there.model, attribute)


def _attribute(bench: Workbench, method: AttributionMethod) -> Localise:
    def localise(images: Tensor, case: Case) -> Scores:
        randomness = Randomness(bench.randomness.key, case.ids)
        return method.attribute(bench.model, images, bench.units[case.targets], bench.concepts, randomness)

    return localise


def _make(bench: Workbench, kept: Path | None) -> tuple[Portraits | Directions, float]:
    method, concepts = bench.method, bench.concepts
    made: Portraits | Directions | None = None
    with cost.stopwatch(bench.model.device) as watch:
        if isinstance(method, SynthesisMethod):
            made = method.synthesise(bench.model, bench.units, concepts, bench.randomness)
        elif isinstance(method, ProbeMethod):
            made = method.fit(bench.model, concepts, bench.randomness)
    if made is None:
        raise InputError(f"'{bench.cell.method}' is no synthesis, probe or attribution method")
    if kept is not None:
        explanation_files.write(kept, made, watch.seconds)
    return made, watch.seconds


def _directions(bench: Workbench, explanation: Portraits | Directions) -> Directions | None:
    """Return a probe's directions, or those of portraits; None where these differ from nothing, or are read nowhere."""
    if isinstance(explanation, Directions):
        return explanation
    if not len(bench.concepts) or not bench.model.layers:
        return None
    return explanations.directions(bench.model, explanation, bench.units, bench.concepts)


def _localise(model: Model, directions: Directions) -> Localise:
    return lambda images, case: explanations.localise(model, directions, images, case.targets)
