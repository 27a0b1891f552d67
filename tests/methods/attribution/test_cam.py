"""Class activation mapping against the logits that its mean must be, the head's own row, and the gradient methods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import densenet121, resnet18, squeezenet1_0

import ambench
import networks
from ambench import explanations, features, models, registry
from ambench.core import Concepts, Heatmaps, InputError, Layer, Model, Randomness, Skipped
from ambench.grafting import Grafted

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


def cells_of(answer: Heatmaps, cells: tuple[int, int]) -> Tensor:
    """The cells of a map that was enlarged by a whole number, each from the middle of its own pixels."""
    step = [extent // count for extent, count in zip(answer.values.shape[2:], cells, strict=True)]
    return nn.functional.avg_pool2d(answer.values, step)


@pytest.mark.parametrize("name", ["module", "functional", "in-place", "one channel", "48 x 80", "1 x 1 grid", "swin"])
def test_the_sum_of_a_map_is_the_logit_times_the_number_of_cells(name: str) -> None:
    model = networks.every()[name]
    images, targets = networks.images(model), networks.targets()
    answer = explain("cam", model, images, targets)
    count = features.read(model, images)[model.layer][0, 0].numel()
    expected = count * features.logits(model, images).gather(1, targets)
    torch.testing.assert_close(answer.scores, expected, atol=1e-5, rtol=1e-5)


def test_a_map_is_the_heads_row_at_every_cell() -> None:
    model = networks.cnn("functional")
    images, targets = networks.images(model), networks.targets()
    grid = features.read(model, images, ["conv2"])["conv2"].relu()  # the ReLU is no module
    head = model.network.fc
    cells = torch.einsum("btc,bchw->bthw", head.weight[targets], grid) + head.bias[targets][..., None, None]
    torch.testing.assert_close(
        explain("cam", model, images, targets).values, explanations.upsample(cells, (16, 16)), atol=1e-6, rtol=0
    )


def test_without_its_bias_cam_is_gradcam_and_hirescam_times_the_number_of_cells() -> None:
    model = networks.cnn()
    images, targets = networks.images(model), networks.targets()
    found = explain("cam", model, images, targets).values - model.network.fc.bias[targets][..., None, None]
    for name in ("gradcam", "hirescam"):
        expected = 16 * explain(f"{name}:relu=false", model, images, targets).values
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_cam_is_the_localization_map_of_its_row_times_the_rows_length() -> None:
    model = networks.cnn()
    images, targets = networks.images(model), networks.targets()
    head = model.network.fc
    vectors, bias = explanations.normalised(head.weight.detach(), head.bias.detach())
    directions = ambench.core.Directions(vectors, bias, model.layer)
    lifted = explanations.localise(model, directions, images, targets).values
    expected = head.weight.detach().norm(dim=1)[targets][..., None, None] * lifted
    torch.testing.assert_close(explain("cam", model, images, targets).values, expected, atol=1e-6, rtol=0)


def test_units_that_were_grafted_on_have_maps_beside_the_networks_own() -> None:
    """The probe reads the layer as it is, the network's own head behind a ReLU that is no module."""
    bare = networks.cnn("functional")
    weight, bias = torch.randn(2, 7, generator=torch.Generator().manual_seed(3)), torch.tensor([0.5, -0.5])
    network = Grafted(bare.network, bare.at(None), weight, bias).eval()
    model = Model("grafted", "none", network, bare.units, bare.layers, bare.layer, bare.input_shape)
    images, targets = networks.images(model), torch.tensor([[1, 6], [5, 0], [6, 6], [4, 5]])
    scores = explain("cam", model, images, targets).scores
    torch.testing.assert_close(scores, 16 * features.logits(model, images).gather(1, targets), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("build", [resnet18, densenet121])
def test_networks_of_torchvision_have_maps_at_their_default_layer(build) -> None:
    """The last ReLU of a DenseNet is a function, between the layer and the mean."""
    model = models.wrap(networks.seeded(build), "theirs", input_shape=(3, 64, 64))
    images, targets = networks.images(model, 2), torch.tensor([[3, 500]] * 2)
    scores = explain("cam", model, images, targets).scores
    torch.testing.assert_close(scores, 4 * features.logits(model, images).gather(1, targets), atol=1e-4, rtol=1e-4)


class TwoLayers(nn.Module):
    """A mean over cells and two layers with a ReLU between them: the first is linear, the logits are not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=4)
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(self.conv(x).mean((2, 3))).relu())


@pytest.mark.parametrize("build", [TwoLayers, squeezenet1_0], ids=["two layers", "ReLU before the mean"])
def test_a_head_that_is_not_linear_is_skipped_with_the_reason(build) -> None:
    model = models.wrap(networks.seeded(build), "deep", input_shape=(3, 64, 64))
    with pytest.raises(Skipped, match="mean over cells goes into one linear layer"):
        explain("cam", model, networks.images(model, 2), torch.zeros(2, 1, dtype=torch.long))


def test_an_earlier_layer_is_skipped_although_its_maps_would_look_right() -> None:
    with pytest.raises(Skipped, match="'conv1'"):
        explain("cam:layer=conv1", networks.cnn(), networks.images(networks.cnn()), networks.targets())


def test_a_layer_without_cells_is_refused() -> None:
    bare = networks.cnn()
    layer = Layer("fc", bare.network.fc, lambda output: output)
    model = Model("flat", "none", bare.network, {}, {"fc": layer}, "fc", bare.input_shape)
    with pytest.raises(InputError, match="no cells"):
        explain("cam", model, networks.images(model), networks.targets())


def test_a_transformer_is_a_skipped_row_with_the_reason() -> None:
    results = ambench.evaluate("vit", "cam", "shapes:fit=64,test=8", "iou", jobs=0)
    assert {row.status for row in results.records} == {"skipped"}
    assert all("mean over cells" in (row.error or "") for row in results.records)
