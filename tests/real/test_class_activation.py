"""Class activation maps on a network and a photograph that nobody here made: a dog above a cat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch import Tensor

from ambench import explanations, models, registry
from ambench.core import Concepts, Heatmaps, Model, Randomness

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]  # one network at a time
DOG, CAT = 243, 282
NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


@pytest.fixture(scope="module")
def model(real: Path) -> Model:
    return models.resolve(f"torchvision:squeezenet1_0@{real / 'squeezenet1_0.safetensors'}")


@pytest.fixture(scope="module")
def photograph(real: Path) -> Tensor:
    pixels = np.asarray(Image.open(real / "imagenet" / "extra" / "both.png").convert("RGB")).copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def explain(spec: str, model: Model, image: Tensor) -> Heatmaps:
    asked = torch.tensor([[DOG, CAT]])
    return registry.load("methods", spec).attribute(model, image, asked, NOBODY, Randomness((0,), ("both",)))


def heights(maps: Tensor) -> list[float]:
    """Where the middle of each map [1, T, H, W] is, from 0 at the top to 1 at the bottom."""
    rows = maps[0].relu().sum(2)  # [T, H]
    place = torch.linspace(0, 1, rows.shape[1])
    return (rows @ place / rows.sum(1)).tolist()


def test_the_network_sees_a_bull_mastiff_and_a_tiger_cat(model: Model, photograph: Tensor) -> None:
    shares = model.network(photograph).softmax(1)[0]
    assert shares[[DOG, CAT]].tolist() == pytest.approx([0.887, 0.017], abs=2e-3)
    assert int((shares > shares[CAT]).sum()) == 3


def test_gradcam_finds_the_dog_above_the_cat(model: Model, photograph: Tensor) -> None:
    dog, cat = heights(explain("gradcam:layer=features.12", model, photograph).values)
    assert dog == pytest.approx(0.35, abs=0.01)
    assert cat == pytest.approx(0.59, abs=0.01)


@pytest.mark.parametrize("name", ["gradcam_pp", "xgradcam", "hirescam", "layercam", "guided_gradcam"])
def test_so_do_its_kin(name: str, model: Model, photograph: Tensor) -> None:
    dog, cat = heights(explain(name, model, photograph).values)
    assert dog < cat - 0.1


def test_gradcam_is_captums(model: Model, photograph: Tensor) -> None:
    ours = explain("gradcam", model, photograph).values
    reference = LayerGradCam(model.network, model.at(None).module)
    for column, unit in enumerate((DOG, CAT)):
        theirs = reference.attribute(photograph, unit, relu_attributions=True).detach()
        torch.testing.assert_close(
            ours[:, column : column + 1], explanations.upsample(theirs, (224, 224)), atol=1e-6, rtol=1e-5
        )
