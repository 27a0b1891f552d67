"""Concept probes on a network and pictures that nobody here made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import ambench
from ambench import models, registry, workbench
from ambench.core import Directions, Randomness
from real import layouts

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]  # one network at a time
CLASSES = ("Road", "Sky", "Tree", "Building")


@pytest.mark.parametrize(("layer", "other"), [("features.12", 0.955), ("features.9", 0.94)])
def test_striped_is_told_from_four_other_textures(real: Path, tmp_path: Path, layer: str, other: float) -> None:
    """Out of fold; the other figure is of standardised features and another solver, one picture of 24 being .02."""
    model = models.resolve(layouts.squeezenet(real))
    root = layouts.taught_textures(real, tmp_path)
    dataset = workbench.sized(registry.load("datasets", f"folder:{root},calibrate=0"), model)
    concepts = dataset.concepts("fit")
    assert [int(concepts.present.sum()), len(concepts)] == [24, 124]
    found = registry.load("methods", f"cav:layer={layer}").fit(model, concepts, Randomness((0,)))
    assert isinstance(found, Directions)
    accuracy = float(found.details["accuracy"])
    assert accuracy >= 0.9
    assert accuracy == pytest.approx(other, abs=0.05)


def test_masks_teach_where_road_sky_trees_and_buildings_are(real: Path, tmp_path: Path) -> None:
    root = layouts.street_and_textures(real, tmp_path, *CLASSES)
    results = ambench.evaluate(
        layouts.squeezenet(real),
        ["segmentation_cav", "cav:pooling=none", "random_direction"],
        f"folder:{root},fit=0.5,calibrate=0.2",
        ["iou", "dataset_iou"],
        jobs=0,
    )
    frame: pd.DataFrame = results.to_frame()
    assert set(frame.status) == {"ok"}
    values = frame.set_index(["metric", "concept", "method"]).value.sort_index()
    for metric in ("iou", "dataset_iou"):
        for concept in CLASSES:
            found = values[metric, concept]
            assert found["segmentation_cav"] > max(found["cav:pooling=none"], found["random_direction"])
