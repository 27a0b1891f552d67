"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGES = ("ambench", "ambench.methods", "ambench.metrics")  # the last two lie elsewhere in a checkout


def modules() -> list[str]:
    """Return the names of all modules of the package but the one that runs when imported."""
    found = set()
    for package in PACKAGES:
        folder = Path(str(importlib.import_module(package).__file__)).parent
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found.add(".".join((package, *parts)).removesuffix(".__init__"))
    return sorted(found - {"ambench.__main__"})


def test_a_walk_finds_the_plugins():
    assert {"ambench.core", "ambench.methods.attribution.gradcam", "ambench.datasets.folder"} <= set(modules())


@pytest.mark.parametrize("name", modules())
def test_examples_give_what_they_say(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
