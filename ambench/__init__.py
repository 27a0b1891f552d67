"""ambench scores interpretability methods against exact truth, in one table, with intervals, floors and costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ambench.evaluation import evaluate

__all__ = ["evaluate"]
__version__ = "0.1.0"

# In a checkout, `methods/` and `metrics/` lie beside this folder; in a wheel they lie inside it.
if not (Path(__file__).parent / "methods").is_dir():
    __path__.append(str(Path(__file__).parent.parent))


def __getattr__(name: str) -> Any:
    """Import the Python entry point when it is first asked for, because torch comes with it."""
    if name != "evaluate":
        raise AttributeError(f"module 'ambench' has no attribute '{name}'")
    from ambench.evaluation import evaluate

    return evaluate
