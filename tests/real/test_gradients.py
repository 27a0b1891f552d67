"""One photograph with a dog above a cat: each method's evidence for the dog lies higher than that for the cat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ambench import models, registry
from ambench.core import Concepts, Model, Randomness

pytestmark = pytest.mark.real
DOG, CAT = 243, 282  # bull mastiff, tiger cat
NOBODY = Concepts((), torch.zeros(0, 3, 224, 224), torch.zeros(0, 0, dtype=torch.bool))


@pytest.fixture(scope="module")
def model(real: Path) -> Model:
    return models.resolve(f"torchvision:squeezenet1_0@{real / 'squeezenet1_0.safetensors'}")


@pytest.fixture(scope="module")
def photograph(real: Path) -> Tensor:
    pixels = np.array(Image.open(real / "imagenet" / "extra" / "both.png").convert("RGB"))
    return torch.as_tensor(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(
    "spec",
    [
        "saliency",
        "input_x_gradient",
        "integrated_gradients:steps=8",
        "smoothgrad:samples=8",
        "guided_backprop",
        "lrp",
        "lrp:rule=epsilon",
        "occlusion:stride=1",
        "local_sensitivity:grid=8",
    ],
)
def test_the_dog_is_above_the_cat(spec: str, model: Model, photograph: Tensor) -> None:
    method, asked = registry.load("methods", spec), torch.tensor([[DOG, CAT]])
    values = method.attribute(model, photograph, asked, NOBODY, Randomness((0,), ("both",))).values[0]
    evidence = values.clamp_min(0).sum(2)  # [2, H]
    dog, cat = (evidence @ torch.linspace(0, 1, 224) / evidence.sum(1)).tolist()
    assert dog < cat - 0.03
