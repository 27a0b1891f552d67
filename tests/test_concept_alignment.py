"""What the study of concept alignment rests on: where contexts mislead, a flat probe follows them, and masks do not."""

from __future__ import annotations

import pandas as pd
import pytest

import ambench

LAYERS = {"cnn": "layer3", "vit": "encoder.layers.encoder_layer_3.ln_1"}
SHORT = {"cav": "flat", "segmentation_cav": "masks"}


def values_of(model: str) -> pd.DataFrame:
    """One line a metric, one column a probe."""
    layer = LAYERS[model]
    results = ambench.evaluate(
        model,
        [f"cav:layer={layer},pooling=none", f"segmentation_cav:layer={layer}"],
        "shapes:correlation=0.95,fit=150",
        ["normal_accuracy", "hard_accuracy", "iou", "dataset_iou"],
        jobs=0,
    )
    frame = results.to_frame()
    frame = frame[frame.concept == "all"]
    frame["probe"] = [SHORT[method.partition(":")[0]] for method in frame.method]
    return frame.pivot_table(index="metric", columns="probe", values="value")


@pytest.mark.parametrize(("model", "times"), [("cnn", 2.0), ("vit", 3.0)])
def test_a_flat_probe_finds_the_company_and_a_mask_taught_one_the_concept(model: str, times: float) -> None:
    found = values_of(model)
    drop = found.loc["normal_accuracy"] - found.loc["hard_accuracy"]
    assert drop["flat"] > 0.2
    assert abs(drop["masks"]) < 0.05
    assert found.loc["hard_accuracy", "masks"] > 0.9
    assert found.loc["dataset_iou", "masks"] > times * found.loc["dataset_iou", "flat"]


def test_enough_examples_without_a_concept_fool_its_probe() -> None:
    """At an early layer at least 200 of some 2,000, for every concept that a mean of pixels does not give away."""
    results = ambench.evaluate("cnn", "fp_cav:layer=layer1,fewest=200", "shapes:fit=4000", "normal_accuracy", jobs=0)
    said = {record.concept: record for record in results.records}
    assert sum(said[name].status == "ok" for name in ("marker", "patch", "glyph", "ring")) >= 2
