"""Relevance propagation against captum, the gradient times the input, and a layer worked out by hand."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import GammaRule
from torch import Tensor, nn
from torchvision.models import googlenet, resnet18, vgg11

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness, Skipped
from ambench.models import resolve, wrap

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already")


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


class Stack(nn.Module):
    """Modules that captum knows, one after another; the last leaves one cell, whose channels are the logits."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.row = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.row(x).flatten(1)


def plain() -> Stack:
    head = nn.Conv2d(8, 5, 1)
    head.weight.data.abs_()
    head.bias.data.abs_()
    first = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()
    return Stack(*first, nn.MaxPool2d(2), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), head)


def normalised() -> Stack:
    norm = nn.BatchNorm2d(6)
    nn.init.normal_(norm.running_mean)
    nn.init.normal_(norm.bias)
    first = nn.Conv2d(3, 6, 5, stride=2), norm, nn.ReLU()
    return Stack(*first, nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 5, 1))


def by_captum(network: Stack, images: Tensor, targets: Tensor, gamma: float = 0.0) -> Tensor:
    """captum's maps [B, T, H, W], one target at a time, from copies: it leaves rules and activations behind."""
    columns = []
    for target in targets.unbind(1):
        twin = copy.deepcopy(network)
        for module in twin.row if gamma else ():
            if isinstance(module, nn.Conv2d):
                module.rule = GammaRule(gamma)
        columns.append(captum.attr.LRP(twin).attribute(images, target).sum(1).detach())
    return torch.stack(columns, 1)


@pytest.mark.parametrize("build", [plain, normalised])
def test_the_epsilon_rule_equals_captum(build: Callable[[], Stack]) -> None:
    network = networks.seeded(build)
    model = Model("stack", "none", network, {}, {}, "", (3, 20, 20))
    images, targets = networks.images(model), networks.targets()
    ours = explain("lrp:rule=epsilon", model, images, targets).values
    torch.testing.assert_close(ours, by_captum(network, images, targets), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.1, 0.25, 2.0])
def test_the_gamma_rule_equals_captums_where_inputs_and_sums_are_positive(gamma: float) -> None:
    """captum raises positive weights whatever the signs around them; here relevance meets positive sums alone."""
    network = networks.seeded(plain)
    model = Model("stack", "none", network, {}, {}, "", (3, 20, 20))
    images, targets = networks.images(model), networks.targets()
    ours = explain(f"lrp:gamma={gamma}", model, images, targets).values
    torch.testing.assert_close(ours, by_captum(network, images, targets, gamma), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("sign", "against", "speaking"), [(1, -2 / 1.75, 3 * 1.25 / 1.75), (-1, -2 / 1.75, 3 * 1.25 / 1.75)]
)
def test_the_gamma_rule_by_hand(sign: int, against: float, speaking: float) -> None:
    """Parts 3 and -2 make 1: with gamma .25 the sum is raised to 1.75, of which 3 * 1.25 speak for it, -2 against."""
    network = nn.Sequential(nn.Conv1d(2, 1, 1, bias=False), nn.Flatten())
    network[0].weight.data = torch.tensor([[[3.0 * sign], [1.0 * sign]]])
    model = Model("by hand", "none", network, {}, {}, "", (2, 1))
    images = torch.tensor([[[1.0], [-2.0]]])
    relevance = importlib.import_module("ambench.methods.attribution._relevance").relevance
    _, shares = relevance(model, images, torch.zeros(1, 1, dtype=torch.long), 1e-9, 0.25)
    torch.testing.assert_close(shares.flatten(), torch.tensor([speaking, against]) * sign)


@pytest.mark.parametrize("build", [resnet18, vgg11, googlenet], ids=["residual", "fully connected", "concatenated"])
def test_the_epsilon_rule_is_gradient_times_normalised_input(build: Callable[..., nn.Module]) -> None:
    more = {"aux_logits": False, "init_weights": False} if build is googlenet else {}
    network = networks.seeded(lambda: build(num_classes=5, **more))
    mean, deviation = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    model = wrap(network, "net", input_shape=(3, 64, 64), mean=mean, deviation=deviation)
    images, targets = networks.images(model, 2), networks.targets(2, 1)
    pixels = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.network(pixels).gather(1, targets).sum(), pixels)
    expected = (slope * (images - torch.tensor(mean)[:, None, None])).sum(1)
    ours = explain("lrp:rule=epsilon,epsilon=1e-30", model, images, targets).values[:, 0]
    torch.testing.assert_close(ours, expected, atol=2e-3 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
def test_relevance_of_a_network_without_biases_adds_up_to_the_logit(rule: str) -> None:
    first = nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 8, 3, bias=False), nn.LeakyReLU(), nn.MaxPool2d(2)
    network = networks.seeded(lambda: nn.Sequential(*first, nn.Flatten(), nn.Linear(8 * 36, 4, bias=False)))
    model = Model("bare", "none", network, {}, {}, "", (3, 16, 16))
    images, targets = networks.images(model), networks.targets() % 4
    with torch.no_grad():
        logits = network(images).gather(1, targets)
    answer = explain(f"lrp:rule={rule}", model, images, targets)
    torch.testing.assert_close(answer.scores, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(answer.values.flatten(2).sum(2), logits, atol=1e-5, rtol=1e-4)


def test_the_embedded_network_is_explained_by_finite_relevance_and_the_transformer_is_skipped() -> None:
    for spec in ("lrp", "lrp:rule=epsilon"):
        model = resolve("cnn")
        answer = explain(spec, model, networks.images(model, 2), networks.targets(2))
        assert answer.values.isfinite().all()
        assert answer.values.any()
        with pytest.raises(Skipped, match=r"'vit' computes .* layer_norm, gelu"):
            explain(spec, vit := resolve("vit"), networks.images(vit, 2), networks.targets(2))


class Odd(nn.Module):
    """A convolution, and after it what relevance cannot pass."""

    def __init__(self, after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.after = nn.Conv2d(3, 5, 3), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.first(x)).mean((2, 3))


def aliased(x: Tensor) -> Tensor:
    """Writes into a tensor by one name and reads it by another."""
    again = x
    again.mul_(2)
    return x


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (F.gelu, "gelu"),
        (torch.sigmoid, "sigmoid"),
        (lambda x: x * x.mean((2, 3), keepdim=True), "mul"),
        (lambda x: x.softmax(1), "softmax"),
        (lambda x: F.group_norm(x, 5), "group_norm"),
        (aliased, "writes into tensors"),
    ],
)
def test_what_has_no_rule_is_skipped_by_name(after: Callable[[Tensor], Tensor], reason: str) -> None:
    model = Model("odd", "none", networks.seeded(lambda: Odd(after)), {}, {}, "", (3, 8, 8))
    with pytest.raises(Skipped, match=f"'odd' .*{reason}"):
        explain("lrp", model, networks.images(model), networks.targets())


@pytest.mark.parametrize(
    "after",
    [
        lambda x: x * 3 - 1,
        lambda x: 2 - x / 4,
        lambda x: torch.cat([x[:, :2], F.relu(x[:, 2:])], 1),
        lambda x: F.relu_(x).add_(1),
        lambda x: F.avg_pool2d(F.dropout(x, 0.5, False), 2) + F.interpolate(x, (3, 3)),
        lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1, 5).transpose(1, 2).unsqueeze(3),
    ],
)
def test_functions_outside_modules_have_the_relevance_of_the_gradient(after: Callable[[Tensor], Tensor]) -> None:
    """Where no constant is added behind a sum, relevance is the gradient times the input; constants take no share."""
    model = Model("odd", "none", networks.seeded(lambda: Odd(after)), {}, {}, "", (3, 8, 8))
    model.network.get_parameter("first.bias").data.zero_()
    images, targets = networks.images(model), networks.targets()
    answer = explain("lrp:rule=epsilon", model, images, targets)
    with torch.no_grad():
        logits = model.network(images).gather(1, targets)
    torch.testing.assert_close(answer.scores, logits, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(3, 20), (7,)], ids=["series", "table"])
def test_series_and_tables_have_maps_of_their_extent(shape: tuple[int, ...]) -> None:
    first = nn.Conv1d(3, 4, 3) if len(shape) == 2 else nn.Linear(7, 4)
    size = 4 * 18 if len(shape) == 2 else 4
    network = networks.seeded(lambda: nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(size, 5)))
    model = Model("other", "none", network, {}, {}, "", shape)
    assert explain("lrp", model, networks.images(model), networks.targets()).values.shape == (4, 3, shape[-1])


@pytest.mark.parametrize("setting", ["epsilon=0", "gamma=-1"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="above 0"):
        registry.load("methods", f"lrp:{setting}")
