"""ambench scores interpretability methods against exact truth, in one table, with intervals, floors and costs."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

# In a checkout, `methods/` and `metrics/` lie beside this folder; in a wheel they lie inside it.
if not (Path(__file__).parent / "methods").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
