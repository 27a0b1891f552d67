"""Segmentation networks: class maps become units, and portraits climb their classes and channels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ambench import features, registry
from ambench.core import Concepts, InputError, Randomness
from ambench.models import resolve, wrap
from ambench.segmentation import ClassMaps

NAME = "torchvision:lraspp_mobilenet_v3_large"


@pytest.fixture(scope="module")
def painted() -> nn.Module:
    """A network of two convolutions that returns maps of four classes, as torchvision's do."""

    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.classifier = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 4, 1)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": nn.functional.interpolate(self.classifier(self.stem(images).relu()), images.shape[2:])}

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Maps().eval()


def test_a_unit_is_the_mean_of_its_map(painted: nn.Module) -> None:
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(ClassMaps(painted)(images), painted(images)["out"].mean((2, 3)))
    with pytest.raises(InputError, match="returns maps"):
        ClassMaps(nn.Flatten())(images)


@pytest.mark.parametrize("objective", ["logit", "neuron", "channel"])
def test_portraits_climb_class_maps_pixels_and_channels(painted: nn.Module, objective: str) -> None:
    model = wrap(ClassMaps(painted), input_shape=(3, 16, 16), layer="network.classifier")
    images = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    concepts = Concepts(("a", "b"), images, torch.arange(12)[:, None] % torch.tensor([2, 3]) == 0)
    method = registry.load("methods", f"actmax:steps=20,objective={objective}")
    made = method.synthesise(model, torch.tensor([1, 3]), concepts, Randomness((0,)))
    assert made.alive.all()
    maps = features.read(model, made.images)["network.classifier"]
    if objective == "logit":
        assert (
            maps[[0, 1], [1, 3]].mean((1, 2))
            > features.read(model, images)["network.classifier"][:, [1, 3]].mean((0, 2, 3))
        ).all()
    elif objective == "neuron":
        assert made.seeks is not None
        assert made.seeks.vectors[:, :, 4, 4].sum(1).tolist() == [1, 1]


def test_torchvisions_are_named_like_its_classifiers() -> None:
    model = resolve(NAME)
    assert model.input_shape == (3, 520, 520)
    assert model.units["bicycle"] == 2
    assert len(model.classes) == 21
    assert "network.backbone.0" in model.layers or any(name.startswith("network.backbone") for name in model.layers)
    with pytest.raises(InputError, match="did you mean 'fcn_resnet50'"):
        resolve("torchvision:fcn_resnet5")
