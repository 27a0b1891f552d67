"""Where a run comes from: the manifest that is written before anything is computed."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import ambench
from ambench.record import SCHEMA_VERSION

_PACKAGES = (
    "ambench",
    "torch",
    "torchvision",
    "captum",
    "scikit-learn",
    "scipy",
    "cmaes",
    "numpy",
    "pandas",
    "pyarrow",
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was asked, and on what machine and code it was answered.

    `suite` says what was asked, as JSON would hold it; `cells` maps the id of each planned cell to its description;
    `devices` maps torch's device names to those of the hardware. `resumed` lists the later starts of the same run.
    """

    run: str
    suite: Mapping[str, Any]
    cells: Mapping[str, Mapping[str, Any]]
    schema: int = SCHEMA_VERSION
    command: Sequence[str] = ()
    commit: str | None = None
    dirty: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    platform: str = ""
    processor: str = ""
    devices: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    resumed: Sequence[Mapping[str, Any]] = ()


def manifest(run: str, suite: Mapping[str, Any], cells: Mapping[str, Mapping[str, Any]]) -> Manifest:
    """Return the manifest of a run that starts now, on this machine and code.

    >>> manifest("mine", {"seed": 0}, {}).schema
    1
    """
    commit, dirty = _checkout(Path(ambench.__file__).parent.parent)
    return Manifest(
        run=run,
        suite=suite,
        cells=cells,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        commit=commit,
        dirty=dirty,
        versions=_versions(),
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        devices=device_names(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def device_names() -> dict[str, str]:
    """Return the hardware behind each of torch's device names: `cpu`, `cuda:0`, …"""
    cuda = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return {"cpu": _processor(), **cuda}


def _checkout(root: Path) -> tuple[str | None, bool | None]:
    """The commit, and whether tracked files differ from it; (None, None) outside a checkout."""
    if not (root / ".git").exists():
        return None, None
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine: the run is still a run
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ambench.__version__ if package == "ambench" else "absent"
    return found


def _processor() -> str:
    """The processor's own name where Linux tells it; `platform.processor()` is often empty there."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
