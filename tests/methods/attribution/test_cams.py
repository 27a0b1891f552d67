"""The class activation maps against pytorch-grad-cam, captum, their formulas written out, and one another."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from captum.attr import LayerGradientXActivation
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from ambench import explanations, features, registry
from ambench.core import Concepts, Directions, Heatmaps, InputError, Layer, Model, Randomness
from ambench.grafting import Grafted
from ambench.models import wrap

together = importlib.import_module("ambench.methods.attribution._cams").together
VARIANTS = {
    "gradcam": pytorch_grad_cam.GradCAM,
    "gradcam_pp": pytorch_grad_cam.GradCAMPlusPlus,
    "hirescam": pytorch_grad_cam.HiResCAM,
    "layercam": pytorch_grad_cam.LayerCAM,
    "xgradcam": pytorch_grad_cam.XGradCAM,
}
NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
LAYERS = {"module": "relu1", "48 x 80": "relu2", "one channel": "relu1", "transformer": None, "registered": None}

over_variants = pytest.mark.parametrize("name", VARIANTS)


def method(spec: str):
    return registry.load("methods", spec)


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return method(spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


def cells(spec: str, model: Model, images: Tensor, targets: Tensor) -> Tensor:
    """The map before it is enlarged [B, T, *cells], in the network's own precision."""
    asked = method(spec)
    layer = model.at(asked.layer).name
    taps = features.gradients(model, images, targets, [layer])
    return asked.maps(taps.grids[layer], taps.gradients[layer], layer)


# ------------------------------------------------------------------------------------------------ other packages


@pytest.mark.parametrize("network", LAYERS)
@over_variants
def test_a_map_scaled_to_one_is_that_of_pytorch_grad_cam(name: str, network: str) -> None:
    """Theirs is scaled from 0 to 1, enlarged by another library, and scaled again."""
    model = networks.every()[network]
    layer = model.at(LAYERS[network])
    images, targets = networks.images(model), networks.targets()
    ours = explain(f"{name}:layer={layer.name}", model, images, targets).values
    with VARIANTS[name](model.network, [layer.module], reshape_transform=layer.as_grid) as theirs:
        for column in range(targets.shape[1]):
            asked = [ClassifierOutputTarget(unit) for unit in targets[:, column].tolist()]
            expected = torch.from_numpy(theirs(images.clone(), asked))
            torch.testing.assert_close(scaled(ours[:, column]), scaled(expected), atol=1e-3, rtol=0)
    for parameter in model.network.parameters():
        parameter.grad = None


def scaled(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-7)


@pytest.mark.parametrize("network", ["module", "in-place", "48 x 80"])
def test_hirescam_is_captums_gradient_times_activation(network: str) -> None:
    model = networks.every()[network]
    twin = networks.seeded(lambda: networks.Convolutional("module"))
    images, targets = networks.images(model), networks.targets()
    ours = cells("hirescam:layer=conv2,relu=false", model, images, targets)
    theirs = LayerGradientXActivation(twin, twin.conv2)
    for column in range(3):
        expected = theirs.attribute(images, targets[:, column]).sum(1)
        torch.testing.assert_close(ours[:, column], expected.detach(), atol=1e-6, rtol=0)


# ------------------------------------------------------------------------------------------------ formulas


def written_out(name: str, z: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The signed map [h, w] of one grid [C, h, w] and its gradient, channel by channel."""
    total = np.zeros(z.shape[1:])
    for channel, slope in zip(z, g, strict=True):
        if name == "gradcam":
            total += slope.mean() * channel
        elif name == "gradcam_pp":
            below = 2 * slope**2 + channel.sum() * slope**3 + 1e-6
            alpha = np.where(slope == 0, 0.0, slope**2 / below)
            total += (alpha * np.maximum(slope, 0)).sum() * channel
        elif name == "xgradcam":
            total += (slope * channel).sum() / (channel.sum() + 1e-7) * channel
        elif name == "hirescam":
            total += slope * channel
        elif name == "layercam":
            total += np.maximum(slope, 0) * channel
    return total


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("network", ["functional", "one channel", "48 x 80", "transformer", "swin"])
@over_variants
def test_the_raw_map_is_the_formula(name: str, network: str, relu: bool) -> None:
    model = networks.every()[network]
    model.network.double()
    images, targets = networks.images(model), networks.targets()
    ours = cells(f"{name}:relu={relu}", model, images, targets).numpy()
    taps = features.gradients(model, images, targets)
    grids, slopes = taps.grids[model.layer].numpy(), taps.gradients[model.layer].numpy()
    for b in range(len(images)):
        for t in range(targets.shape[1]):
            expected = written_out(name, grids[b], slopes[b, t])
            np.testing.assert_allclose(ours[b, t], np.maximum(expected, 0) if relu else expected, atol=1e-9, rtol=1e-9)


def test_gradcam_pp_has_a_closed_form_under_an_averaging_linear_head() -> None:
    """With one gradient gamma for all cells of a channel, its weight is h w relu(gamma) / (2 + gamma sum z)."""
    model = networks.cnn(shape=(48, 80))
    model.network.fc.weight.data *= 2400  # gammas of order one, so that the epsilon does not show
    images, targets = networks.images(model), networks.targets()
    z = features.read(model, images, ["relu2"])["relu2"]  # [B, 7, 12, 20]
    gamma = model.network.fc.weight.detach()[targets] / 240  # [B, T, 7]
    weights = 240 * gamma.relu() / (2 + gamma * z.sum((2, 3))[:, None])
    expected = torch.einsum("btc,bchw->bthw", weights, z).relu()
    torch.testing.assert_close(cells("gradcam_pp:layer=relu2", model, images, targets), expected, atol=1e-5, rtol=1e-5)


def test_where_gradients_are_positive_layercam_is_hirescam() -> None:
    stream = torch.Generator().manual_seed(0)
    grid, slopes = torch.randn(2, 5, 3, 4, generator=stream), torch.rand(2, 3, 5, 3, 4, generator=stream)
    for relu in (True, False):
        ours = method(f"layercam:relu={relu}").maps(grid, slopes, "any")
        assert torch.equal(ours, method(f"hirescam:relu={relu}").maps(grid, slopes, "any"))
        assert not torch.equal(ours, method(f"layercam:relu={relu}").maps(grid, -slopes, "any"))


def test_xgradcam_leaves_out_a_channel_that_cancels_and_keeps_the_others() -> None:
    grid = torch.tensor([[[[1.0, -1.0]], [[2.0, 1.0]]]])  # [1, 2, 1, 2]
    slopes = torch.tensor([[[[[5.0, 1.0]], [[3.0, 0.0]]]]])
    values = method("xgradcam:relu=false").maps(grid, slopes, "any")
    torch.testing.assert_close(values, 2 * grid[:, 1:])  # 3 x 2 / (2 + 1)


# ------------------------------------------------------------------------------------------------ identities in double


def linear_head(row: int | None = None) -> Model:
    """Convolutions, average over cells, one linear layer; `row`: a unit more, that row of the head at unit length."""
    network = networks.seeded(lambda: networks.Convolutional("module")).double()
    model = wrap(network, "tiny", input_shape=(3, 16, 16), layer="relu2")
    if row is None:
        return model
    weight, bias = network.fc.weight.detach()[row : row + 1], network.fc.bias.detach()[row : row + 1]
    unit, shift = explanations.normalised(weight, bias)
    grafted = Grafted(network, model.at(None), unit, shift).eval()
    return Model("grafted", "none", grafted, {**model.units, "probe": 5}, model.layers, "relu2", model.input_shape)


def localised(model: Model, images: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
    """The concept localization map of a direction [B, K, *cells]."""
    return explanations.cell_logits(features.read(model, images, ["relu2"])["relu2"], vectors, bias)


def same(one: Tensor, other: Tensor, tolerance: float = 1e-12) -> None:
    assert one.dtype == other.dtype == torch.float64
    assert one.abs().max() > 1e-4
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("name", "tolerance"), [("gradcam", 1e-12), ("hirescam", 1e-12), ("xgradcam", 1e-6)])
def test_at_a_mean_probes_own_layer_a_cell_times_their_number_is_its_logit_less_the_bias(
    name: str, tolerance: float
) -> None:
    model = linear_head(row=2)
    images, probe = networks.images(model), torch.full((4, 1), 5)
    found = localised(model, images, model.network.weight, model.network.bias)  # [B, 1, 4, 4]
    same(16 * cells(f"{name}:relu=false", model, images, probe), found - model.network.bias, tolerance)


def test_at_a_spatial_probes_own_layer_hirescam_is_the_localization_map_less_its_bias() -> None:
    network = networks.seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 7, 3, stride=4, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 16, 2))
    ).double()
    model = wrap(network, "spatial", input_shape=(3, 16, 16), layer="1")
    images, targets = networks.images(model), torch.tensor([[0, 1]] * 4)
    head = network[3]
    vectors, bias = head.weight.detach().view(2, 7, 4, 4), head.bias.detach()
    found = explanations.cell_logits(features.read(model, images)["1"], vectors, bias)
    expected = found - bias.view(1, 2, 1, 1) / 16
    same(cells("hirescam:relu=false", model, images, targets), expected)


@pytest.mark.parametrize("name", ["gradcam", "hirescam", "layercam", "saliency", "xgradcam"])
def test_a_unit_and_the_direction_of_its_row_are_one_target_but_for_the_rows_length(name: str) -> None:
    """Not so of Grad-CAM++, whose weights are no linear function of the gradient."""
    model = linear_head(row=2)
    images, pair = networks.images(model), torch.tensor([[2, 5]] * 4)
    length = model.network.network.fc.weight[2].norm().detach().float()
    values = explain(name, model, images, pair).values
    assert values[:, 0].any()
    torch.testing.assert_close(values[:, 0], length * values[:, 1], atol=1e-6, rtol=1e-6)


# ------------------------------------------------------------------------------------------------ one pass


SIX = [*VARIANTS, "hirescam:relu=false"]


def specs(layers: list[str]) -> list[str]:
    return [f"{spec}{',' if ':' in spec else ':'}layer={layer}" for spec in SIX for layer in layers]


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("in-place", ["conv1", "conv2"]),
        ("transformer", ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1.ln_1"]),
    ],
)
def test_together_or_one_by_one_the_maps_are_the_same(network: str, layers: list[str]) -> None:
    model = networks.every()[network]
    images, targets = networks.images(model), networks.targets()
    found = together(model, images, targets, [method(spec) for spec in specs(layers)])
    for spec, answer in zip(specs(layers), found, strict=True):
        alone = explain(spec, model, images, targets)
        torch.testing.assert_close(answer.values, alone.values, atol=1e-6, rtol=1e-5, msg=spec)
        torch.testing.assert_close(answer.scores, alone.scores, atol=1e-6, rtol=1e-5, msg=spec)


def test_six_variants_at_three_layers_cost_one_forward_and_one_backward_to_the_first() -> None:
    model = networks.cnn(shape=(48, 80))
    images, target = networks.images(model), networks.targets(columns=1)
    asked = [method(spec) for spec in specs(["conv1", "conv2", "relu2"])]

    def operations(run: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            run()
        return int(counter.get_total_flops())

    with torch.no_grad():
        forward = operations(lambda: model.network(images))
        backward = operations(lambda: model.network.conv2(torch.zeros(4, 6, 24, 40)))  # to conv1, as dear as forwards
        backward += operations(lambda: model.network.fc(torch.zeros(4, 7)))
    products = 3 * 2 * 4 * (6 * 24 * 40 + 2 * 7 * 12 * 20)  # weights with grids, in three of the variants
    assert operations(lambda: together(model, images, target, asked)) == forward + backward + products


# ------------------------------------------------------------------------------------------------ edges


@over_variants
def test_the_last_block_of_a_transformer_is_refused_with_a_layer_that_works(name: str) -> None:
    model = networks.every()["transformer"]
    with pytest.raises(
        InputError, match=r"exactly zero in every cell of layer 'encoder\.layers\.encoder_layer_1'.*works"
    ):
        explain(f"{name}:layer=encoder.layers.encoder_layer_1", model, networks.images(model), networks.targets())


@over_variants
def test_a_target_that_everything_speaks_against_has_a_zero_map_and_score(name: str) -> None:
    model = networks.cnn()
    model.network.fc.weight.data[1], model.network.fc.weight.data[3] = -1.0, 1.0
    answer = explain(f"{name}:layer=relu2", model, networks.images(model), torch.tensor([[1, 3]] * 4))
    assert not answer.values[:, 0].any()
    assert not answer.scores[:, 0].any()
    assert answer.values[:, 1].any()


@over_variants
def test_one_target_for_a_batch_is_refused(name: str) -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match="B = 4"):
        explain(name, model, networks.images(model), torch.zeros(1, 1, dtype=torch.long))


@over_variants
def test_a_layer_without_cells_is_refused(name: str) -> None:
    model = networks.cnn()
    flat = Layer("fc", model.network.fc, lambda output: output)
    headless = Model("flat", "none", model.network, {}, {"fc": flat}, "fc", model.input_shape)
    with pytest.raises(InputError, match="no cells"):
        explain(name, headless, networks.images(model), networks.targets())


def test_scores_are_the_sum_of_cells_only_where_they_claim_to_be_the_logit() -> None:
    model = linear_head()
    images, targets = networks.images(model), networks.targets()
    logits = features.logits(model, images).gather(1, targets)
    bias = model.network.fc.bias.detach()[targets]
    signed = explain("hirescam:relu=false", model, images, targets).scores
    torch.testing.assert_close(signed.double(), logits - bias, atol=1e-6, rtol=0)
    for spec in ("hirescam", "gradcam:relu=false", "layercam:relu=false"):
        grid = cells(spec, model, images, targets)
        torch.testing.assert_close(explain(spec, model, images, targets).scores.double(), grid.flatten(2).amax(2))


# ------------------------------------------------------------------------------------------------ directions


def test_the_localization_map_of_a_direction_is_the_same_through_the_lift() -> None:
    model = linear_head(row=2)
    images = networks.images(model)
    probe = Directions(model.network.weight, model.network.bias, "relu2")
    lifted = explanations.localise(model, probe, images, torch.zeros(4, 1, dtype=torch.long)).values
    ours = explain("gradcam:relu=false", model, images, torch.full((4, 1), 5)).values
    torch.testing.assert_close(16 * ours, (lifted - model.network.bias).float(), atol=1e-5, rtol=0)
