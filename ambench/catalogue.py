"""What there is to choose from, a line each, and what a suite would run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from ambench import registry, zoo
from ambench.columns import columns
from ambench.core import Method, Metric
from ambench.plan import Cell

Choice = Literal["models", "methods", "metrics", "datasets"]
_NOTES = {
    "cnn": "64 x 64, trained on shapes",
    "vit": "64 x 64, trained on shapes",
    "series-cnn": "128 samples, trained on series",
}
_MODEL_FORMS = (
    (
        "torchvision:NAME[@WEIGHTS]",
        "any torchvision classifier or segmentation network",
        "WEIGHTS: a torchvision name, .safetensors or .pth",
    ),
    ("timm:NAME[@WEIGHTS]", "any timm classifier", "needs ambench[timm]"),
    ("python:MODULE_OR_FILE:FACTORY", "your own", "the factory returns a network or an ambench.core.Model"),
)


_METHOD_FORMS = (
    ("captum:CLASS", "attribution", "nothing", "any attribution of captum"),
    ("grad-cam:CLASS", "attribution", "nothing", "any class of pytorch-grad-cam; needs ambench[grad-cam]"),
    ("python:MODULE_OR_FILE:FUNCTION", "attribution", "nothing", "your own (network, inputs, targets) -> maps"),
)


def catalogue(choice: Choice) -> str:
    """Return one line for each registered name: what it is, what it reads and which way is better, and its source.

    >>> catalogue("methods").splitlines()[0].split()
    ['name', 'family', 'given', 'source']
    """
    if choice == "models":
        embedded = [(name, "embedded", _NOTES.get(name, "")) for name in zoo.NAMES]
        return columns([*embedded, *_MODEL_FORMS], ("name", "kind", "note"))
    known = registry.names(choice)
    if choice == "methods":
        rows = [_method(name, cls) for name, cls in known.items()]
        return columns([*rows, *_METHOD_FORMS], ("name", "family", "given", "source"))
    if choice == "metrics":
        return columns(
            [_metric(name, cls) for name, cls in known.items()], ("name", "reads", "better", "range", "asked", "source")
        )
    return columns([(name, cls.citation) for name, cls in known.items()], ("name", "source"))


def outline(cells: Sequence[Cell]) -> str:
    """Return what would run: for each dataset its methods and models, then the number of cells and the metrics."""
    parts = [_grid(name, [cell for cell in cells if cell.dataset == name]) for name in _distinct(cells, "dataset")]
    quality = sum(cell.kind == "quality" for cell in cells)
    metrics = sorted({name for cell in cells for name in cell.metrics})
    total = f"{len(cells)} cells: {quality} quality, {len(cells) - quality} cost\nmetrics: {', '.join(metrics)}"
    return "\n\n".join([*parts, total])


def _method(name: str, cls: type[Method]) -> tuple[str, ...]:
    return name, "control" if cls.control else cls.family, cls.supervision, cls.citation


def _metric(name: str, cls: type[Metric[Any]]) -> tuple[str, ...]:
    low, high = cls.range
    asked = "always" if cls.standard else "by name"
    return name, cls.reads.__name__, cls.better, f"{low:g} to {high:g}", asked, cls.citation


def _grid(dataset: str, cells: Sequence[Cell]) -> str:
    """Methods down, models across: how many metrics judge each pair, quality + cost."""
    models = _distinct(cells, "model")
    counts: dict[tuple[str, str, str], int] = {(c.method, c.model, c.kind): len(c.metrics) for c in cells}
    rows = [
        (
            method,
            *(
                " + ".join(str(counts.get((method, model, kind), 0)) for kind in ("quality", "cost"))
                for model in models
            ),
        )
        for method in _distinct(cells, "method")
    ]
    return columns(rows, (dataset, *models))


def _distinct(cells: Sequence[Cell], field: str) -> list[str]:
    return list(dict.fromkeys(getattr(cell, field) for cell in cells))


CHOICES: tuple[Choice, ...] = get_args(Choice)
