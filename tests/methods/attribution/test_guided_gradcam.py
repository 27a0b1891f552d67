"""Guided Grad-CAM against captum, on networks whose ReLUs are modules and on their functional twins."""

from __future__ import annotations

import pytest
import torch
from captum.attr import GuidedGradCam
from torch import Tensor

import ambench
import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness, Skipped

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
@pytest.mark.parametrize("name", ["module", "functional", "in-place", "48 x 80", "one channel"])
def test_guided_gradcam_equals_captum(name: str) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets()
    ours = explain("guided_gradcam:layer=conv2", model, images, targets)
    channels = 1 if name == "one channel" else 3
    twin = networks.seeded(lambda: networks.Convolutional("module", channels))  # captum misses functional ReLUs
    theirs = GuidedGradCam(twin, twin.conv2)
    for column in range(targets.shape[1]):
        expected = theirs.attribute(images, targets[:, column], interpolate_mode="bilinear").sum(1)
        torch.testing.assert_close(ours.values[:, column], expected.detach(), atol=1e-6, rtol=0)


def test_it_is_zero_where_gradcam_is_and_guided_backprop_elsewhere() -> None:
    model = networks.cnn()
    images, targets = networks.images(model), networks.targets()
    maps = {name: explain(name, model, images, targets).values for name in ("guided_gradcam", "gradcam")}
    lines = explain("guided_backprop", model, images, targets).values
    nowhere = maps["gradcam"] == 0
    assert nowhere.any()
    assert not maps["guided_gradcam"][nowhere].any()
    torch.testing.assert_close(
        (maps["guided_gradcam"] / maps["gradcam"])[~nowhere], lines[~nowhere], atol=1e-5, rtol=1e-4
    )


def test_a_network_of_gelus_is_a_skipped_row_with_the_reason() -> None:
    model = networks.every()["transformer"]
    with pytest.raises(Skipped, match="GELU"):
        explain("guided_gradcam", model, networks.images(model), networks.targets())
    results = ambench.evaluate("vit", "guided_gradcam", "shapes:fit=64,test=8", "iou", jobs=0)
    assert {row.status for row in results.records} == {"skipped"}
