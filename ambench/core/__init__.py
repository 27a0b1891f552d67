"""The nouns of ambench: model, layer, concepts, case, truth, explanation, method, metric, and the chance they share.

Shapes in brackets, everywhere: B images of a case, T concepts asked of each image, K concepts of the dataset, U output
units, P portraits, C channels. `*extent` is the input's own extent (H, W for pictures, its length for series; a
table [B, D] has no channels, its extent is its columns), `*cells` that of a layer's grid.
"""

from __future__ import annotations

from ambench.core.data import Case, Concepts, Dataset, Pairs, Part, Truth
from ambench.core.errors import InputError, Skipped, nearest
from ambench.core.explanations import (
    Cost,
    Directions,
    Explanation,
    Heatmaps,
    Pooling,
    Portraits,
    Predictions,
    Reading,
    Scores,
)
from ambench.core.methods import AttributionMethod, Method, ProbeMethod, SynthesisMethod
from ambench.core.metrics import Better, E, Ledger, Metric, Rival, Trial, Twin, Values
from ambench.core.model import Layer, Model
from ambench.core.randomness import Randomness, generator

__all__ = [
    "AttributionMethod",
    "Better",
    "Case",
    "Concepts",
    "Cost",
    "Dataset",
    "Directions",
    "E",
    "Explanation",
    "Heatmaps",
    "InputError",
    "Layer",
    "Ledger",
    "Method",
    "Metric",
    "Model",
    "Pairs",
    "Part",
    "Pooling",
    "Portraits",
    "Predictions",
    "ProbeMethod",
    "Randomness",
    "Reading",
    "Rival",
    "Scores",
    "Skipped",
    "SynthesisMethod",
    "Trial",
    "Truth",
    "Twin",
    "Values",
    "generator",
    "nearest",
]
