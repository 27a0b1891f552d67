"""The sixteen categories of the published experiments, and the ImageNet classes behind each (arXiv 1811.12231)."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

IMAGENET_CLASSES = 1000


@cache
def sixteen() -> dict[str, tuple[int, ...]]:
    """Return the ImageNet indices behind each category, in alphabetical order.

    >>> list(sixteen())[:3], sum(map(len, sixteen().values()))
    (['airplane', 'bear', 'bicycle'], 207)
    """
    text = (files("ambench") / "datasets" / "sixteen_classes.json").read_text(encoding="utf-8")
    return {name: tuple(indices) for name, indices in json.loads(text)["classes"].items()}
