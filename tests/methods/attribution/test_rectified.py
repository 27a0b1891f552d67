"""Guided backprop and the deconvnet against captum, on networks whose ReLUs no hook sees, and by hand."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.googlenet import BasicConv2d, googlenet

import networks
from ambench import registry
from ambench.core import Concepts, Heatmaps, Model, Randomness, Skipped
from ambench.models import wrap

guided = importlib.import_module("ambench.methods.attribution._guided")
NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
RULES = {"guided_backprop": captum.attr.GuidedBackprop, "deconvnet": captum.attr.Deconvolution}
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional": F.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "method in place": lambda x: x.relu_(),
    "torch in place": torch.relu_,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "named argument": lambda x: F.relu(input=x),
    "module of six": nn.ReLU6(),
    "functional six": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, min_val=0, max_val=6),
}
pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already", "ignore:Setting backward hooks")
over_rules = pytest.mark.parametrize("name", sorted(RULES))


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", spec).attribute(model, images, targets, NOBODY, Randomness((0,)))


def by_captum(name: str, network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """captum's maps [B, T, H, W], one target at a time, summed over the channels."""
    method = RULES[name](network)
    columns = [method.attribute(images.clone(), targets[:, k]).sum(1) for k in range(targets.shape[1])]
    return torch.stack(columns, 1).detach()


@over_rules
@pytest.mark.parametrize("kind", ["module", "functional", "in-place", "one channel", "48 x 80", "1 x 1 grid"])
def test_maps_equal_captums_on_the_twin_with_modules(name: str, kind: str) -> None:
    model = networks.every()[kind]
    images, targets = networks.images(model), networks.targets()
    twin = networks.seeded(lambda: networks.Convolutional("module", images.shape[1]))
    ours = explain(name, model, images, targets).values
    torch.testing.assert_close(ours, by_captum(name, twin, images, targets), atol=1e-6, rtol=0)


@over_rules
def test_googlenets_57_functional_relus_are_all_met(name: str) -> None:
    network = networks.seeded(lambda: googlenet(num_classes=5, aux_logits=False, init_weights=False))
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    model = wrap(network, "googlenet", input_shape=(3, 64, 64))
    images, targets = networks.images(model, 2), networks.targets(2, 2)
    rule = "guided" if name == "guided_backprop" else "deconvnet"
    with guided.RectifiedReLU(rule) as mode, torch.no_grad():
        network(images)
    assert mode.met == 57
    ours = explain(name, model, images, targets).values
    expected = by_captum(name, with_modules(network), images, targets)
    torch.testing.assert_close(ours, expected, atol=1e-6 * float(expected.abs().max()), rtol=0)
    plain = explain("saliency:mode=signed", model, images, targets).values
    assert not torch.allclose(ours, plain, rtol=0.1)


def with_modules(network: nn.Module) -> nn.Module:
    """The same network, every functional ReLU a module of its own."""
    for name, child in network.named_children():
        if isinstance(child, BasicConv2d):
            setattr(network, name, nn.Sequential(child.conv, child.bn, nn.ReLU()))
        else:
            with_modules(child)
    return network


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize(("rule", "by_hand"), [("guided", [0.0, 0.0, 0.5, 0.0]), ("deconvnet", [2.0, 0.0, 0.5, 0.0])])
def test_every_way_to_call_a_relu_is_rectified(way: str, rule: str, by_hand: list[float]) -> None:
    values = torch.tensor([-1.0, -2.0, 2.0, 3.0], requires_grad=True)
    with guided.RectifiedReLU(rule) as mode:
        output = WAYS[way](values * 1.0)
    assert torch.equal(output.detach(), torch.tensor([0.0, 0.0, 2.0, 3.0]))
    (slope,) = torch.autograd.grad(output, values, torch.tensor([2.0, -1.0, 0.5, -4.0]))
    assert slope.tolist() == by_hand
    assert mode.met == 1


def test_an_in_place_relu_writes_in_place() -> None:
    for way in (way for way in WAYS if "in place" in way):
        values = torch.tensor([-1.0, 2.0])
        with guided.RectifiedReLU("guided"):
            WAYS[way](values)
        assert values.tolist() == [0.0, 2.0]


@pytest.mark.parametrize(("rule", "slope"), [("guided", 0.0), ("deconvnet", 0.0)])
def test_above_its_ceiling_a_relu6_hands_nothing_back(rule: str, slope: float) -> None:
    values = torch.tensor([7.0, 5.0], requires_grad=True)
    with guided.RectifiedReLU(rule):
        output = F.relu6(values)
    assert output.tolist() == [6.0, 5.0]
    assert torch.autograd.grad(output.sum(), values)[0].tolist() == [slope, 1.0]


def test_a_deconvnet_without_relus_in_the_way_is_the_gradient_and_by_hand() -> None:
    """y = w2 . relu(W1 x), W1 = [[1, -1], [2, 1]], w2 = [-3, 4], at x = (1, 3): the first unit is closed."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    network[1].weight.data, network[3].weight.data = torch.tensor([[1.0, -1], [2, 1]]), torch.tensor([[-3.0, 4]])
    model = Model("by hand", "none", network, {}, {}, "", (1, 1, 2))
    asked = torch.zeros(1, 1, dtype=torch.long)
    for image, guided_map, deconvnet_map in (
        ([1.0, 3.0], [8.0, 4.0], [8.0, 4.0]),  # -3 is negative, so the first unit hands nothing back either way
        ([1.0, -3.0], [0.0, 0.0], [8.0, 4.0]),  # the second unit is closed: only the deconvnet passes it
    ):
        images = torch.tensor(image).view(1, 1, 1, 2)
        assert explain("guided_backprop", model, images, asked).values.flatten().tolist() == guided_map
        assert explain("deconvnet", model, images, asked).values.flatten().tolist() == deconvnet_map


class Mixed(nn.Module):
    """One ReLU and one other activation."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), other

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.second(F.relu(self.first(x)))).mean((2, 3))


@over_rules
@pytest.mark.parametrize(
    "other", [nn.GELU(), nn.SiLU(), nn.Mish(), nn.ELU(), nn.LeakyReLU(inplace=True), nn.PReLU(), nn.Hardswish()]
)
def test_other_activations_are_refused_by_name_unless_allowed(name: str, other: nn.Module) -> None:
    model = Model("mixed", "none", networks.seeded(lambda: Mixed(other)), {}, {}, "", (3, 8, 8))
    images, targets = networks.images(model), networks.targets()
    with pytest.raises(Skipped, match=f"'mixed' uses {type(other).__name__},"):
        explain(name, model, images, targets)
    assert explain(f"{name}:allow_smooth=true", model, images, targets).values.any()


@over_rules
def test_a_network_without_a_relu_is_skipped(name: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    model = Model("linear", "none", network, {}, {}, "", (3, 2, 2))
    asked = torch.zeros(2, 1, dtype=torch.long)
    with pytest.raises(Skipped, match="'linear' has no ReLU"):
        explain(name, model, torch.rand(2, 3, 2, 2), asked)
    gelus = networks.every()["transformer"]
    with pytest.raises(Skipped, match="'transformer' has no ReLU"):
        explain(f"{name}:allow_smooth=true", gelus, networks.images(gelus), networks.targets())


@over_rules
@pytest.mark.parametrize("shape", [(3, 20), (3,)], ids=["series", "table"])
def test_series_and_tables_have_maps_of_their_extent(name: str, shape: tuple[int, ...]) -> None:
    first = nn.Conv1d(3, 4, 3) if len(shape) == 2 else nn.Linear(3, 4)
    network = networks.seeded(lambda: nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)))
    model = Model("other", "none", network, {}, {}, "", shape)
    network(torch.rand(1, *shape))
    answer = explain(name, model, networks.images(model), networks.targets())
    assert answer.values.shape == (4, 3, shape[-1])
    assert answer.scores.shape == (4, 3)


def test_relu_is_itself_again_afterwards_also_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), guided.RectifiedReLU("guided"):
        raise ZeroDivisionError
    values = torch.tensor([-1.0, 1.0], requires_grad=True)
    assert torch.autograd.grad(-F.relu(values).sum(), values)[0].tolist() == [0.0, -1.0]
