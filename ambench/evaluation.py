"""The benchmark from Python: names or objects in, results out; the command line takes the same way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ambench import adapters, plan, provenance, registry
from ambench import models as model_names
from ambench.core import Dataset, InputError, Method, Metric, Model, nearest
from ambench.engine import default_jobs, execute
from ambench.plan import NOTHING_GIVEN, Cell, Given
from ambench.results import Results
from ambench.sharing import forget_activations
from ambench.store import Store
from ambench.suite import Suite
from ambench.worker import Done

Watch = Callable[[Collection[Cell]], AbstractContextManager[Callable[[Done], None]]]
_AGAIN = ("failed", "oom", "timeout")  # what another try may mend


def evaluate(
    models: str | Model | Sequence[str | Model],
    methods: str | Method | Callable[..., Any] | Sequence[str | Method | Callable[..., Any]],
    datasets: str | Dataset | Sequence[str | Dataset] = "shapes",
    metrics: str | Metric[Any] | Sequence[str | Metric[Any]] = "standard",
    *,
    seed: int | Sequence[int] = 0,
    out: str | Path | None = None,
    limit: int | None = None,
    device: str | None = None,
    batch_size: int = 64,
    jobs: int | None = None,
    timeout_seconds: float | None = None,
) -> Results:
    """Return the results of explaining every model with every method on every dataset; each is a name or an object.

    A method may also be a class or an instance of captum or pytorch-grad-cam, or a function `(network, inputs, targets)
    -> maps`, as it is.
    Names alone run on `jobs` worker processes; 0, or any object, means this process, where no time limit can be kept.
    With `out` the run stays in that folder, and the same call resumes it. `device` is that of a model handed in, else
    the CPU. Raises InputError for what cannot be run; what goes wrong in a cell becomes a row.

    >>> import ambench
    >>> results = ambench.evaluate("python:ambench.toy:network", "gradcam", "python:ambench.toy:Squares", "iou", jobs=0)
    >>> frame = results.to_frame()
    >>> frame[frame.concept == "all"].value.item() > 0.5
    True
    """
    named = _Named()
    axes = {
        "models": named.axis("models", models),
        "methods": named.axis("methods", methods),
        "datasets": named.axis("datasets", datasets),
        "metrics": metrics if metrics in ("all", "standard") else named.axis("metrics", metrics),
    }
    conditions = {"seed": seed, "limit": limit, "batch_size": batch_size, "timeout_seconds": timeout_seconds}
    suite = Suite.parse({"name": "python", **conditions, "device": device or named.device, "grids": [axes]})
    if out is not None:
        return Results.open(run_suite(suite, out, jobs, named.given).path)
    with tempfile.TemporaryDirectory(prefix="ambench-") as folder:
        return Results.open(run_suite(suite, Path(folder) / "run", jobs, named.given).path)


def run_suite(
    suite: Suite,
    out: str | Path | None = None,
    jobs: int | None = None,
    given: Given = NOTHING_GIVEN,
    watch: Watch | None = None,
) -> Store:
    """Run what a suite's folder does not hold yet, and return its store; cells that failed are tried again.

    Without `out` the folder is the suite's own under `results/runs`, so that the same command goes on where it stopped.
    """
    cells = planned(suite, given)
    folder = default_folder(suite) if out is None else Path(out)
    described = {cell.id: asdict(cell) for cell in cells}
    store = Store.create(folder, provenance.manifest(folder.name, suite.asked(), described))
    kept = {name for name, content in store.cells().items() if content["status"] not in _AGAIN}
    left = [cell for cell in cells if cell.id not in kept]
    count = default_jobs(suite.device) if jobs is None else jobs
    with nullcontext(lambda done: None) if watch is None else watch(left) as tell:
        for done in execute(left, store, count, suite.timeout_seconds, given):
            tell(done)
    if not store.unfinished():
        forget_activations(store.path)
    return store


def planned(suite: Suite, given: Given = NOTHING_GIVEN) -> list[Cell]:
    """Return a suite's cells once its device is there and all its models can be made; raises InputError otherwise.

    A dataset whose labels are numbers beyond a model's output units is refused too.
    """
    model_names.check_device(suite.device)
    cells = plan.cells(suite, given)
    for name in dict.fromkeys(cell.model for cell in cells):
        model = given.models[name] if name in given.models else _made(name)
        for dataset in dict.fromkeys(cell.dataset for cell in cells if cell.model == name):
            _require_units(model, given.load("datasets", dataset))
    return cells


def _require_units(model: Model, dataset: Dataset) -> None:
    """Refuse a label that can only be meant as an output unit and is none; other names may get a unit of their own."""
    for name in dataset.names:
        if name.removeprefix("-").isdecimal() and name not in model.units:
            hint = nearest(name, model.units)
            if model.classes == tuple(map(str, range(len(model.classes)))):
                hint += " (its outputs have no names yet: wrap(network, names=...) gives them those of the dataset)"
            raise InputError(f"label '{name}' is no output unit of model '{model.name}'; {hint}")


def _made(name: str) -> Model:
    try:
        return model_names.resolve(name, "cpu")
    except InputError:
        raise
    except Exception as error:  # a factory of somebody else's may raise anything
        raise InputError(f"model '{name}' cannot be made: {type(error).__name__}: {error}") from error


def default_folder(suite: Suite) -> Path:
    """Return where a suite's run lies unless told: a folder of its own below the current one."""
    return Path("results", "runs", f"{suite.name}-{suite.digest}")


@dataclass
class _Named:
    """Objects by the name that their cells will use."""

    given: Given = field(default_factory=lambda: Given({}, {}, {}, {}))
    device: str = "cpu"

    def axis(self, kind: str, items: Any) -> list[str]:
        several = isinstance(items, Sequence) and not isinstance(items, str)
        return [self._name(kind, item) for item in (items if several else [items])]

    def _name(self, kind: str, item: Any) -> str:
        if isinstance(item, str):
            return item
        if kind == "methods" and not isinstance(item, Method):
            item = adapters.adapt(item) or item
        wanted = {"models": Model, "methods": Method, "datasets": Dataset, "metrics": Metric}[kind]
        if not isinstance(item, wanted):
            raise InputError(f"one of the {kind} is a {type(item).__name__}; wanted: a name or a {wanted.__name__}")
        name: str = item.name if isinstance(item, Model) else registry.spec_of(item)
        known: dict[str, Any] = vars(self.given)[kind]
        if known.setdefault(name, item) is not item:
            raise InputError(f"two of the {kind} are called '{name}'; give each a name of its own")
        if isinstance(item, Model):
            self.device = str(item.device)
        return name
