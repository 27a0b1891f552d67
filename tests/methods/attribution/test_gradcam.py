"""Grad-CAM against captum, captum's own fixture, and what a ReLU does to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from ambench import explanations, registry
from ambench.core import Concepts, Heatmaps, InputError, Layer, Model, Randomness

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
CONVOLUTIONAL = ("module", "functional", "in-place", "one channel", "48 x 80", "1 x 1 grid")


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_gradcam_equals_captum(name: str, relu: bool) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets()
    ours = explain(f"gradcam:layer=conv2,relu={relu}", model, images, targets)
    reference = LayerGradCam(network := twin(name), network.conv2)
    for column in range(targets.shape[1]):
        theirs = reference.attribute(images, targets[:, column], relu_attributions=relu)
        theirs = F.interpolate(theirs, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        torch.testing.assert_close(ours.values[:, column], theirs.detach(), atol=1e-6, rtol=0)


def twin(name: str) -> nn.Module:
    """The same weights with ReLU modules, which captum reads rightly."""
    channels = 1 if name == "one channel" else 3
    return networks.seeded(lambda: networks.Convolutional("module", channels))


class OneConvolution(nn.Module):
    """captum's test network: two equal filters that differ in bias, and a head of signs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.fc1 = nn.Linear(8, 4)
        self.conv1.weight.data = torch.ones(2, 1, 3, 3)
        self.conv1.bias.data = torch.tensor([-50.0, -75.0])
        self.fc1.weight.data = torch.cat([torch.ones(4, 5), -torch.ones(4, 3)], 1)
        self.fc1.bias.data = torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc1(F.relu(self.conv1(x)).flatten(1)))


def test_gradcam_gives_the_map_of_captums_fixture() -> None:
    network = OneConvolution()
    layer = Layer("conv1", network.conv1, lambda grid: grid)
    model = Model("fixture", "captum", network, {}, {"conv1": layer}, "conv1", (1, 4, 4))
    image = torch.arange(16.0).view(1, 1, 4, 4)
    values = explain("gradcam", model, image, torch.zeros(1, 1, dtype=torch.long)).values
    by_hand = torch.tensor([[[[11.25, 13.5], [20.25, 22.5]]]])
    torch.testing.assert_close(values, explanations.upsample(by_hand, (4, 4)), atol=1e-5, rtol=0)


def test_score_is_the_mean_of_the_largest_twentieth_of_cells() -> None:
    model = networks.cnn(shape=(48, 80))
    images, targets = networks.images(model), networks.targets()
    network = networks.seeded(lambda: networks.Convolutional())
    cells = LayerGradCam(network, network.conv2).attribute(images, targets[:, 0], relu_attributions=True)
    expected = cells.flatten(1).sort(dim=1, descending=True).values[:, :12].mean(1)  # 5 % of 12 x 20 cells
    scores = explain("gradcam:layer=conv2", model, images, targets).scores
    torch.testing.assert_close(scores[:, 0], expected.detach(), atol=1e-6, rtol=0)


def test_a_layer_without_cells_is_refused() -> None:
    model = networks.cnn()
    headless = Layer("fc", model.network.get_submodule("fc"), lambda output: output)
    flat = Model("flat", "none", model.network, {}, {"fc": headless}, "fc", model.input_shape)
    with pytest.raises(InputError, match="no cells"):
        explain("gradcam", flat, networks.images(model), networks.targets())


def test_an_unknown_layer_is_answered_with_the_nearest() -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match="did you mean 'conv2'"):
        explain("gradcam:layer=conv22", model, networks.images(model), networks.targets())


def test_the_last_layer_costs_one_forward() -> None:
    model = networks.cnn(shape=(32, 32))
    images, targets = networks.images(model), networks.targets(columns=1)
    counts = []
    for run in (lambda: model.network(images), lambda: explain("gradcam:layer=relu2", model, images, targets)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
        counts.append(counter.get_total_flops())
    assert counts[0] <= counts[1] <= 1.05 * counts[0]
