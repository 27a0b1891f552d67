"""A suite becomes cells: one model, one method, one dataset, one seed, and the metrics that can read what comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from typing import Any, Literal, get_args, get_type_hints

from ambench import registry
from ambench.core import (
    AttributionMethod,
    Cost,
    Directions,
    Heatmaps,
    InputError,
    Method,
    Metric,
    Portraits,
    Scores,
    SynthesisMethod,
)
from ambench.suite import Grid, Suite

CellKind = Literal["quality", "cost"]


@dataclass(frozen=True)
class Cell:
    """Everything that decides a cell's numbers, as text: names with settings, and the digest of the plugins' code.

    `panel` names the models that judge this cell's portraits; `code` changes when the method's or a metric's file does.
    """

    kind: CellKind
    model: str
    method: str
    dataset: str
    metrics: tuple[str, ...]
    seed: int = 0
    limit: int | None = None
    batch_size: int = 64
    device: str = "cpu"
    panel: tuple[str, ...] = ()
    code: str = ""

    @property
    def id(self) -> str:
        """The cell's name in a run's folder: 16 hex digits that change when any field does.

        >>> len(Cell("quality", "cnn", "gradcam", "shapes", ("iou",)).id)
        16
        """
        return _digest(asdict(self), 8)

    def __str__(self) -> str:
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.method} on {self.model}, {self.dataset}{seed}{', cost' if self.kind == 'cost' else ''}"


@dataclass(frozen=True)
class Given:
    """Objects handed in from Python, by the name that their cells use; every other name goes to the registry."""

    models: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def load(self, kind: registry.Kind, spec: str) -> Any:
        """Return the object of that name, or what the registry makes of it."""
        known = vars(self)[kind]
        return known[spec] if spec in known else registry.load(kind, spec)

    def canonical(self, kind: registry.Kind, spec: str) -> str:
        """Return the shortest way to write a plugin's name and settings, so that two spellings are one cell.

        >>> Given().canonical("methods", "gradcam:relu=true")
        'gradcam'
        """
        if spec in vars(self)[kind] or spec.startswith("python:"):
            return spec
        return registry.spec_of(registry.load(kind, spec))


NOTHING_GIVEN = Given()
_Key = tuple[CellKind, str, str, str]  # kind, model, method, dataset
_Load = Callable[[registry.Kind, str], Any]


def cells(suite: Suite, given: Given = NOTHING_GIVEN) -> list[Cell]:
    """Return a suite's cells, quality before cost; raises InputError for unknown names before anything runs.

    Metrics that cannot read what a method yields are left out of its cells; one that fits no cell is an error.

    >>> grid = {"models": "cnn", "methods": "gradcam", "datasets": "shapes", "metrics": ["iou", "seconds_per_image"]}
    >>> [(cell.kind, cell.metrics) for cell in cells(Suite.parse({"grids": [grid]}))]
    [('quality', ('iou',)), ('cost', ('seconds_per_image',))]
    """
    load: _Load = cache(given.load)
    asked = _crossings([_spelt(grid, given) for grid in suite.grids], load)
    _refuse_idle_metrics(suite, asked, given)
    found = []
    for kind in get_args(CellKind):
        for seed in suite.seeds if kind == "quality" else suite.seeds[:1]:
            found += [_cell(key, asked, seed, suite, load, given) for key in asked if key[0] == kind]
    return found


def kinds_yielded(method: Method) -> tuple[type[Any], ...]:
    """Return the kinds of explanation that metrics can read from a method, through the lifts."""
    if isinstance(method, AttributionMethod):
        return (get_type_hints(type(method).attribute).get("return", Scores),)
    return (Portraits, Directions, Heatmaps) if isinstance(method, SynthesisMethod) else (Directions, Heatmaps)


def fits(metric: Metric[Any], method: Method) -> bool:
    """Say whether a metric can read what a method yields; a method that only promises Scores may yield any of them."""
    wanted = metric.reads
    if method.family not in metric.families:
        return False
    yielded = kinds_yielded(method)
    return wanted is Cost or any(issubclass(k, wanted) or (k is Scores and issubclass(wanted, Scores)) for k in yielded)


def _spelt(grid: Grid, given: Given) -> Grid:
    """The grid with every plugin written in its shortest way, and `all` or `standard` metrics by name."""
    known = registry.names("metrics").items()
    if isinstance(grid.metrics, str):
        metrics = tuple(name for name, metric in known if metric.standard or grid.metrics == "all")
    else:
        metrics = grid.metrics
    axes: dict[registry.Kind, tuple[str, ...]] = {
        "methods": grid.methods,
        "datasets": grid.datasets,
        "metrics": metrics,
    }
    spelt = {str(kind): tuple(given.canonical(kind, spec) for spec in specs) for kind, specs in axes.items()}
    return grid.model_copy(update=spelt)


def _crossings(grids: list[Grid], load: _Load) -> dict[_Key, tuple[str, ...]]:
    """The metrics of every crossing; what two grids ask of the same crossing becomes one cell."""
    asked: dict[_Key, tuple[str, ...]] = {}
    for grid in grids:
        for dataset, model, method, name in product(grid.datasets, grid.models, grid.methods, grid.metrics):
            metric = load("metrics", name)
            if fits(metric, load("methods", method)):
                key: _Key = ("cost" if metric.reads is Cost else "quality", model, method, dataset)
                asked[key] = tuple(dict.fromkeys((*asked.get(key, ()), name)))
    return asked


def _refuse_idle_metrics(suite: Suite, asked: dict[_Key, tuple[str, ...]], given: Given) -> None:
    used = {name for names in asked.values() for name in names}
    for name in (name for grid in suite.grids if not isinstance(grid.metrics, str) for name in grid.metrics):
        if given.canonical("metrics", name) not in used:
            metric = given.load("metrics", name)
            everybody = metric.families == Metric.families
            what = metric.reads.__name__ + ("" if everybody else f" of {' or '.join(metric.families)}")
            raise InputError(f"metric '{name}' reads {what}, which no method of this suite gives: leave it out")


def _cell(key: _Key, asked: dict[_Key, tuple[str, ...]], seed: int, suite: Suite, load: _Load, given: Given) -> Cell:
    kind, model, method, dataset = key
    judges = isinstance(load("methods", method), SynthesisMethod) and kind == "quality"
    panel = tuple(k[1] for k in asked if judges and k != key and (k[0], *k[2:]) == (kind, method, dataset))
    return Cell(
        kind=kind,
        model=model,
        method=method,
        dataset=dataset,
        metrics=asked[key],
        seed=seed,
        limit=suite.limit,
        batch_size=suite.batch_size,
        device=suite.device,
        panel=panel,
        code=_code(key, asked[key], load, given),
    )


def _code(key: _Key, metrics: tuple[str, ...], load: _Load, given: Given) -> str:
    """The digest of what decides a cell's numbers and its names do not say: code, data, and a given model's weights."""
    plugins = [load("methods", key[2]), *(load("metrics", name) for name in metrics)]
    weights = [given.models[key[1]].weights] if key[1] in given.models else []
    revision = load("datasets", key[3]).revision
    return _digest([registry.code_digest(plugin) for plugin in plugins] + [revision, *weights], 6)


def _digest(content: object, size: int) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
