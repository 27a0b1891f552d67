"""The command line: every command parses, calls one function and prints; torch is imported only where it is needed."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pandas import DataFrame

    from ambench.results import Results
    from ambench.suite import Suite

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_LISTED = 8  # failed cells named before it says how many more
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


class Choice(StrEnum):
    """What can be listed."""

    models = "models"
    methods = "methods"
    metrics = "metrics"
    datasets = "datasets"


class Format(StrEnum):
    """How a table can be written."""

    text = "text"
    md = "md"
    csv = "csv"
    latex = "latex"
    json = "json"


class By(StrEnum):
    """What a table's sections can be."""

    model = "model"
    metric = "metric"
    method = "method"


class Aggregate(StrEnum):
    """How the probabilities of several classes become one category's."""

    mean = "mean"
    sum = "sum"
    max = "max"


class Observed(StrEnum):
    """What a row of decisions may be."""

    observer = "observer"
    category = "category"
    pair = "pair"


class Plain(StrEnum):
    """How a table of decisions can be written."""

    text = "text"
    csv = "csv"


@app.command()
def run(
    suite: Annotated[Path | None, typer.Argument(metavar="SUITE.yaml", help="A suite; without one, ours.")] = None,
    models: Annotated[str | None, typer.Option(metavar="NAME,…", help="What is explained.")] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="What explains, with settings: NAME:setting=value,…")
    ] = None,
    datasets: Annotated[str | None, typer.Option(metavar="NAME,…", help="What is shown.")] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="What judges, or all; without it, the standard ones that fit.")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="A number, or several with commas.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many images.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images at once; no number depends on it.")] = None,
    jobs: Annotated[int | None, typer.Option(min=0, help="Worker processes; 0: in this process.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; without it, one below results/runs.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one cell may take.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run a suite and print its table. The same command again goes on where the last one stopped.

    \b
    Examples:
      ambench run
      ambench run --models cnn --methods gradcam,actmax:steps=128 --limit 64
      ambench run suite.yaml --device cuda --out results/runs/mine
      ambench run --models torchvision:resnet50@DEFAULT --dry-run
    """
    if not dry_run and jobs != 0:
        from ambench import forks

        forks.context()  # it imports torch while we do
    from ambench.suite import Suite

    axes = {"models": models, "methods": methods, "datasets": datasets, "metrics": metrics}
    conditions = {"limit": limit, "device": device, "batch_size": batch_size, "timeout_seconds": timeout}
    asked = Suite.from_flags(suite, **axes, seed=seed, **conditions)
    _outline(asked) if dry_run else _run(asked, out, jobs, quiet)


@app.command("list")
def list_names(choice: Annotated[Choice, typer.Argument()]) -> None:
    """List what there is to choose from, a line each.

    \b
    Examples:
      ambench list methods
      ambench list metrics
    """
    from ambench.catalogue import catalogue

    typer.echo(catalogue(choice.value))


@app.command()
def table(
    path: RunFolder,
    format: Annotated[
        Format, typer.Option(help="How it is written; json holds every row with all its keys.")
    ] = Format.text,
    by: Annotated[By, typer.Option(help="What its sections are.")] = By.model,
) -> None:
    """Print the table of a run.

    \b
    Examples:
      ambench table results/baseline
      ambench table results/runs/mine --format json
      ambench table results/runs/mine --by metric --format md
    """
    from ambench.results import Results

    typer.echo(Results.open(path).table(format.value, by.value))


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The run to hold against.")],
    path: RunFolder,
    smallest_effect: Annotated[float | None, typer.Option(help="Falls smaller than this are none.")] = None,
    fail_on_regression: Annotated[bool, typer.Option(help="Exit with 1 after a regression.")] = True,
) -> None:
    """Say what became better or worse in a run: exit code 0 for nothing worse, 1 for a regression or failed cells.

    \b
    Examples:
      ambench compare results/baseline results/runs/mine
      ambench compare results/baseline mine --smallest-effect 0.02
    """
    from ambench.results import Results

    verdict = Results.open(base).compare(Results.open(path), smallest_effect)
    typer.echo(verdict.render())
    raise typer.Exit(verdict.exit_code if fail_on_regression else 0)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME …]", help="Without any: all.")] = None,
) -> None:
    """Hold every method, metric and dataset against its known answers on this machine; exit code 1 if one fails.

    \b
    Examples:
      ambench check
      ambench check gradcam iou
    """
    from ambench.check import check as findings_of
    from ambench.check import told

    findings = list(findings_of(names or ()))
    typer.echo(told(findings))
    raise typer.Exit(int(any(finding.fault for finding in findings)))


@app.command()
def shape_bias(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE.csv …]", help="One row for each trial; or folders of files.")
    ] = None,
    models: Annotated[str | None, typer.Option(metavar="NAME,…", help="Networks that answer as well.")] = None,
    stimuli: Annotated[
        Path | None, typer.Option(help="The folder of pictures like cat3-dog2.png that they see.")
    ] = None,
    aggregate: Annotated[
        Aggregate, typer.Option(help="How ImageNet's classes become the sixteen categories.")
    ] = Aggregate.mean,
    by: Annotated[Observed | None, typer.Option(help="One table alone, with all its columns.")] = None,
    format: Annotated[Plain, typer.Option(help="How that table is written.")] = Plain.text,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Print the shape bias of every observer in decision files of the published psychophysics schema, and pooled.

    Then that of each category, and how consistent any two observers' errors are. Networks may take part as observers.

    \b
    Examples:
      ambench shape-bias decisions/*.csv
      ambench shape-bias decisions --by pair --format csv
      ambench shape-bias --models torchvision:squeezenet1_0@weights.safetensors --stimuli cue_conflict
    """
    from ambench.observers import report, table_of
    from ambench.psychophysics import trials_of

    trials = trials_of(files or [], _networks(models, stimuli, aggregate, device))
    typer.echo(report(trials) if by is None else table_of(trials, by.value, format.value))


@app.command()
def verify(path: RunFolder) -> None:
    """Compute a run's numbers again from its per-image values and check all digests; exit code 1 if one differs.

    \b
    Examples:
      ambench verify results/baseline
    """
    from ambench.verify import faults

    found = faults(path)
    for fault in found:
        typer.echo(fault, err=True)
    typer.echo(f"{path}: {len(found)} faults" if found else f"{path}: every number follows from its values")
    raise typer.Exit(int(bool(found)))


def main() -> None:
    """Run the command line: what a person got wrong is one sentence and exit code 2, never a traceback."""
    try:
        app()
    except Exception as error:
        core = sys.modules.get("ambench.core")  # not imported yet: then it cannot be an InputError
        if core is None or not isinstance(error, core.InputError):
            raise
        typer.echo(f"ambench: {error}", err=True)
        sys.exit(2)


def _outline(suite: Suite) -> None:
    from ambench.catalogue import outline
    from ambench.evaluation import planned

    typer.echo(outline(planned(suite)))


def _networks(models: str | None, stimuli: Path | None, aggregate: Aggregate, device: str) -> list[DataFrame]:
    """Return the answers of some networks to the stimuli of a folder."""
    if models is None and stimuli is None:
        return []
    from ambench.core import InputError
    from ambench.observer import network_trials
    from ambench.suite import split_names

    if models is None or stimuli is None:
        raise InputError("networks answer to stimuli: name both, with --models and --stimuli")
    return [network_trials(name, stimuli, aggregate.value, device) for name in split_names(models)]


def _run(suite: Suite, out: Path | None, jobs: int | None, quiet: bool) -> None:
    """Run with a progress bar, then print the table, where the run lies, and which cells failed."""
    from ambench import progress
    from ambench.evaluation import default_folder, run_suite
    from ambench.results import Results

    folder = default_folder(suite) if out is None else out
    try:
        store = run_suite(suite, folder, jobs, watch=progress.nothing if quiet else progress.shown)
    except KeyboardInterrupt:
        typer.echo(f"Stopped; what is finished lies in {folder}, and the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    results = Results.from_store(store)
    typer.echo(results.table())
    typer.echo(f"The run lies in {folder}.")
    if results.failed:
        typer.echo(_failures(results), err=True)
        raise typer.Exit(1)


def _failures(results: Results) -> str:
    """Name the cells that failed, the first few of many."""
    cells = {row.cell: f"{row.method} on {row.model}, {row.dataset} ({row.status})" for row in results.failed}
    names = list(dict.fromkeys(cells.values()))
    more = f"; and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(cells)} cells failed: {'; '.join(names[:_LISTED])}{more}. The same command tries them again."
