"""Imports whatever a cell may need, plugins included, so that processes forked afterwards start at once."""

from __future__ import annotations

from typing import get_args

import ambench.worker as worker  # with it comes all that a cell goes through
from ambench import registry

PLUGINS = {kind: registry.names(kind) for kind in get_args(registry.Kind)}

__all__ = ["PLUGINS", "worker"]
