"""The same cells on a processor and on a GPU: every method, with every metric, through the whole harness."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

import ambench
import quick
from ambench import registry

pytestmark = pytest.mark.gpu
SMALL = "fit=96,calibrate=48,test=48"
CHAOTIC = ("synthesis",)  # an ascent in single precision ends elsewhere on another device
INDIFFERENT = ("deconvnet",)  # without max pooling its map does not depend on the picture: what differs is rounding
ABOUT_COST = ("fit_seconds", "model_passes", "peak_gpu_mib", "peak_rss_mib", "seconds_per_image")
IDENTITY = ["model", "method", "dataset", "metric", "concept", "seed"]
DRAWN = {  # where a dataset is not of shapes
    "sequence_dreaming": ("series-cnn", "series:fit=96,calibrate=48,test=48"),
}


def rows(model: str, method: str, dataset: str, device: str) -> pd.DataFrame:
    results = ambench.evaluate(model, method, dataset, "all", device=device, jobs=0)
    return results.to_frame().set_index(IDENTITY).sort_index()


@pytest.mark.parametrize("model", ["cnn", "vit"])
@pytest.mark.parametrize("spec", quick.METHODS)
def test_every_metric_says_of_every_method_what_it_says_on_a_processor(spec: str, model: str) -> None:
    name, dataset = DRAWN.get(spec.partition(":")[0], (model, f"shapes:{SMALL}"))
    here, there = (rows(name, spec, dataset, device) for device in ("cpu", "cuda"))
    assert here.index.equals(there.index)
    timeless = here.index.get_level_values("metric").isin(ABOUT_COST)
    one, other = here[~timeless], there[~timeless]
    said = one.status.eq(other.status) & one.error.fillna("").eq(other.error.fillna(""))
    assert said.all(), pd.concat([one, other])[["status", "error"]].to_dict("split")
    if registry.load("methods", spec).family not in CHAOTIC and spec not in INDIFFERENT:
        pairs = pd.DataFrame({"cpu": one.value.astype(float), "cuda": other.value.astype(float)})
        apart = (pairs.cpu - pairs.cuda).abs() > 0.1 + 0.1 * pairs.cpu.abs()  # two of 24 pictures on a threshold
        lost = pairs.cpu.isna() != pairs.cuda.isna()
        assert not (apart | lost).any(), pairs[apart | lost].droplevel(["model", "dataset", "seed"]).to_string()
    assert not set(there.status) & {"failed", "oom"}


def test_the_gpu_is_named_and_its_memory_is_a_row() -> None:
    results = ambench.evaluate("cnn", "gradcam", f"shapes:{SMALL}", "peak_gpu_mib", device="cuda", jobs=0)
    frame = results.to_frame()
    assert frame.value.dropna().gt(0).all()
    assert len(frame.value.dropna())
    assert torch.cuda.get_device_name(0) in str(frame.to_dict())
