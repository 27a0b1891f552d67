"""Layers are read as they are, derivatives are right, and the network is left as found."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerActivation, LayerGradCam, Saliency
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from ambench import features
from ambench.core import InputError, Layer, Model

MODELS = networks.every()
NAMES = sorted(MODELS)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules())


def state(network: nn.Module) -> list[object]:
    """All that a call must leave as found."""
    return [
        hooks(network),
        [parameter.grad is None for parameter in network.parameters()],
        [parameter.requires_grad for parameter in network.parameters()],
        [module.training for module in network.modules()],
        torch.get_rng_state().tolist(),
        [float(tensor.double().sum()) for tensor in network.state_dict().values()],
    ]


def tensors() -> int:
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def calls(model: Model) -> dict[str, Callable[[Tensor], object]]:
    asked = networks.targets()
    return {
        "read": lambda x: features.read(model, x),
        "logits": lambda x: features.logits(model, x),
        "gradients": lambda x: features.gradients(model, x, asked),
        "input_gradients": lambda x: features.input_gradients(model, x, asked),
        "differentiable": lambda x: features.differentiable(model, x, model.layer),
    }


# ------------------------------------------------------------------------------------------------ values


def by_hand(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two convolutions' outputs and the logits of the tiny network, computed without it."""
    weights = dict(networks.cnn().network.named_parameters())
    first = F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], stride=2, padding=1)
    second = F.conv2d(first.relu(), weights["conv2.weight"], weights["conv2.bias"], stride=2, padding=1)
    return first, second, F.linear(second.relu().mean((2, 3)), weights["fc.weight"], weights["fc.bias"])


@pytest.mark.parametrize("relu", ["module", "functional", "in-place"])
def test_grids_are_the_layers_outputs_whatever_follows_in_place(relu):
    model = networks.cnn(relu)
    x = networks.images(model)
    grids = features.read(model, x, ["conv1", "conv2"])
    first, second, answer = by_hand(x)
    torch.testing.assert_close(grids["conv1"], first, rtol=0, atol=1e-6)
    torch.testing.assert_close(grids["conv2"], second, rtol=0, atol=1e-6)
    torch.testing.assert_close(features.logits(model, x), answer, rtol=0, atol=1e-6)


@pytest.mark.parametrize("relu", ["module", "functional", "in-place"])
def test_gradients_of_every_layer_are_those_of_the_formula(relu):
    model = networks.cnn(relu)
    x, asked = networks.images(model), networks.targets()
    taps = features.gradients(model, x, asked, ["conv1", "conv2"])
    first, second, answer = by_hand(x)
    for column in range(asked.shape[1]):
        total = answer.gather(1, asked[:, column : column + 1]).sum()
        expected = torch.autograd.grad(total, [first, second], retain_graph=True)
        for name, slope in zip(["conv1", "conv2"], expected, strict=True):
            torch.testing.assert_close(taps.gradients[name][:, column], slope, rtol=0, atol=1e-6)


def test_in_place_and_module_relu_give_equal_gradients():
    x, asked = networks.images(MODELS["module"]), networks.targets()
    plain = features.gradients(MODELS["module"], x, asked, ["conv1", "conv2"])
    written = features.gradients(MODELS["in-place"], x, asked, ["conv1", "conv2"])
    for name in ("conv1", "conv2"):
        assert torch.equal(plain.grids[name], written.grids[name])
        assert torch.equal(plain.gradients[name], written.gradients[name])


@pytest.mark.parametrize("name", NAMES)
def test_layers_read_together_equal_layers_read_alone(name):
    model = MODELS[name]
    x, asked = networks.images(model), networks.targets()
    alive = [layer for layer in model.layers if features.reaches(model, x, asked, layer)]
    together = features.gradients(model, x, asked, alive)
    for layer in alive:
        alone = features.gradients(model, x, asked, [layer])
        torch.testing.assert_close(together.gradients[layer], alone.gradients[layer], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(features.read(model, x, [layer])[layer], together.grids[layer], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_many_targets_at_once_equal_one_at_a_time(name):
    model = MODELS[name]
    x, asked = networks.images(model), networks.targets()
    batched = features.gradients(model, x, asked).gradients[model.layer]
    pixels = features.input_gradients(model, x, asked)[1]
    for column in range(asked.shape[1]):
        one = asked[:, column : column + 1]
        alone = features.gradients(model, x, one).gradients[model.layer][:, 0]
        torch.testing.assert_close(batched[:, column], alone, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            pixels[:, column], features.input_gradients(model, x, one)[1][:, 0], rtol=1e-5, atol=1e-6
        )


class Scaled(torch.autograd.Function):
    """Doubles; its backward looks at a number, which no batching rule can."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, slope):
        return slope * (2 if slope.abs().sum().item() >= 0 else 1)


def test_an_operation_that_cannot_be_batched_is_done_one_by_one():
    class Doubling(nn.Module):
        def forward(self, x):
            return Scaled.apply(x)

    stack = nn.Sequential(nn.Conv2d(3, 4, 3), Doubling(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model = networks.wrap(networks.seeded(lambda: stack), input_shape=(3, 8, 8))
    found = features.gradients(model, networks.images(model), networks.targets(), ["0"]).gradients["0"]
    weight = stack[4].weight[networks.targets()]  # [B, T, C]
    torch.testing.assert_close(found, (2 * weight / 36)[..., None, None].expand(-1, -1, -1, 6, 6), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["module", "in-place", "48 x 80", "one channel"])
def test_layers_and_gradients_equal_captum(name):
    model = MODELS[name]
    x, asked = networks.images(model), networks.targets()
    network = model.network
    taps = features.gradients(model, x, asked, ["conv1"])
    for column in range(asked.shape[1]):
        saliency = Saliency(network).attribute(x.clone().requires_grad_(), asked[:, column], abs=False)
        torch.testing.assert_close(features.input_gradients(model, x, asked)[1][:, column], saliency, rtol=0, atol=1e-6)
        if name != "in-place":  # captum's maps are wrong before an in-place activation
            theirs = LayerGradCam(network, network.conv1).attribute(x, asked[:, column])
            weights = taps.gradients["conv1"][:, column].mean((2, 3), keepdim=True)
            ours = (weights * taps.grids["conv1"]).sum(1, keepdim=True)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    if name != "in-place":
        torch.testing.assert_close(
            features.read(model, x, ["conv2"])["conv2"], LayerActivation(network, network.conv2).attribute(x)
        )


@pytest.mark.parametrize("name", NAMES)
def test_chunks_change_nothing(name):
    model = MODELS[name]
    x = networks.images(model, 7)
    whole, answer = features.read(model, x)[model.layer], features.logits(model, x)
    for chunk in (1, 3, 7):
        torch.testing.assert_close(features.read(model, x, chunk=chunk)[model.layer], whole, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(features.logits(model, x, chunk), answer, rtol=1e-5, atol=1e-6)


def test_no_images_give_empty_grids():
    model = MODELS["module"]
    assert features.read(model, networks.images(model, 0), ["conv2"])["conv2"].shape == (0, 7, 4, 4)


def test_pooling_is_over_cells():
    grid = torch.arange(12.0).view(1, 2, 2, 3)
    assert features.pool(grid, "mean").tolist() == [[2.5, 8.5]]
    assert features.pool(grid, "max").tolist() == [[5.0, 11.0]]
    assert features.pool(grid, "none") is grid
    assert features.pool(torch.ones(2, 3), "mean").tolist() == [[1.0] * 3] * 2  # a table's features have no cells


# ------------------------------------------------------------------------------------------------ loops


@pytest.mark.parametrize("name", NAMES)
def test_reader_keeps_the_graph_to_the_images(name):
    model = MODELS[name]
    x = networks.images(model).requires_grad_()
    grid = features.differentiable(model, x, model.layer)
    (ours,) = torch.autograd.grad(grid.square().sum(), x)
    shifted = x.detach().double()  # a finite difference in float64 knows nothing of graphs
    double = replace(model, network=model.network.double())
    try:
        step = torch.zeros_like(shifted)
        step[:, 0, 1, 2] = 1e-5
        up, down = (
            features.read(double, shifted + sign * step)[model.layer].square().flatten(1).sum(1) for sign in (1, -1)
        )
    finally:
        model.network.float()
    torch.testing.assert_close(ours[:, 0, 1, 2], ((up - down) / 2e-5).float(), rtol=1e-3, atol=1e-4)


def test_reader_without_a_layer_gives_differentiable_logits():
    model = MODELS["module"]
    x = networks.images(model).requires_grad_()
    with features.Reader(model, None) as reader:
        answer = reader(x)
    (slope,) = torch.autograd.grad(answer[:, 2].sum(), x)
    expected = Saliency(model.network).attribute(x, 2, abs=False)
    torch.testing.assert_close(slope, expected, rtol=0, atol=1e-6)


def test_a_loop_hooks_once_and_leaves_nothing():
    model = MODELS["functional"]
    before = state(model.network)
    x = networks.images(model).requires_grad_()
    with features.Reader(model, "conv2") as reader:
        for _ in range(50):
            grid = reader(x)
            torch.autograd.grad(grid.sum(), x)
            assert hooks(model.network) == 1
    assert state(model.network) == before


def test_a_layer_can_be_read_while_a_loop_holds_it():
    model = networks.cnn()
    x = networks.images(model)
    expected = features.read(model, x, ["conv1", "conv2"])
    with features.Reader(model, "conv1") as reader:
        reader(x)
        reader(x)
        inside = features.read(model, x, ["conv1", "conv2"])
        assert features.logits(model, x).shape == (4, 5)
        assert torch.equal(reader(x), expected["conv1"])
    assert all(torch.equal(inside[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", ["module", "transformer"])
def test_operations_are_one_forward_for_a_last_layer_and_two_for_pixels(name):
    model = networks.every()[name]
    x, asked = networks.images(model), networks.targets(columns=1)
    last = "relu2" if name == "module" else "encoder.layers.encoder_layer_1.mlp.3"

    def operations(call: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops()

    forward = operations(lambda: features.logits(model, x))
    if name == "module":  # after the last convolution only the head is differentiated
        assert operations(lambda: features.gradients(model, x, asked, [last])) <= 1.05 * forward
    twice = 2.0 if name == "module" else 2.4  # attention's backward computes its weights again
    assert operations(lambda: features.input_gradients(model, x, asked)) <= twice * forward
    features.read(model, x, [model.layer])
    assert operations(lambda: features.read(model, x, [model.layer])) <= forward
    early = next(iter(model.layers))
    features.read(model, x, [early])
    assert operations(lambda: features.read(model, x, [early])) < 0.8 * forward


def test_a_stopped_forward_does_not_run_what_comes_after():
    model = networks.cnn()
    ran: list[str] = []
    handle = model.network.fc.register_forward_hook(lambda *_: ran.append("fc"))
    x = networks.images(model)
    features.read(model, x, ["conv1", "conv2"])  # runs to the end, to see that the layers run once
    assert ran == ["fc"]
    features.read(model, x, ["conv2", "conv1"])
    features.differentiable(model, x, "conv2")
    assert ran == ["fc"]
    handle.remove()


# ------------------------------------------------------------------------------------------------ hygiene


@pytest.mark.parametrize("name", NAMES)
def test_fifty_calls_leave_nothing(name):
    model = MODELS[name]
    x = networks.images(model)
    kept = x.clone()
    for call in calls(model).values():
        call(x)
    gc.collect()
    before, living = state(model.network), tensors()
    for _ in range(10):
        for call in calls(model).values():
            call(x)
    gc.collect()
    assert state(model.network) == before
    assert tensors() == living
    assert torch.equal(x, kept)


class Failing(networks.Convolutional):
    """Raises after the first layer, having drawn from the global stream; or only draws."""

    fails = True

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x.sub_(0.0)) + 0 * torch.rand(())
        if self.fails:
            raise ZeroDivisionError("the network is broken")
        return self.fc(self.conv2(x).mean((2, 3)))


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("call", ["read", "logits", "gradients", "input_gradients", "differentiable"])
def test_network_is_left_as_found_also_after_an_exception(call, fails):
    network = networks.seeded(Failing)
    network.fails = fails
    network.conv1.weight.requires_grad_(False)
    network.train()
    network.fc.eval()
    layers = {name: Layer(name, getattr(network, name), lambda output: output) for name in ("conv1", "conv2")}
    model = Model("failing", "none", network, {}, layers, "conv2", (3, 16, 16))
    x = networks.images(model)
    before, kept = state(network), x.clone()
    if fails:
        with pytest.raises(ZeroDivisionError):
            calls(model)[call](x)
    else:
        calls(model)[call](x)
    assert state(network) == before
    assert torch.equal(x, kept)  # the network writes into its input


def test_dropout_is_off_though_the_network_is_training():
    model = networks.cnn()
    x = networks.images(model)
    answer = features.logits(model, x)
    model.network.train()
    assert torch.equal(features.logits(model, x), answer)
    assert model.network.training


@pytest.mark.parametrize("name", NAMES)
def test_frozen_networks_and_no_grad_change_nothing(name):
    model = MODELS[name]
    x, asked = networks.images(model), networks.targets()
    expected = features.gradients(model, x, asked)
    pixels = features.input_gradients(model, x, asked)[1]
    wants = [parameter.requires_grad for parameter in model.network.parameters()]
    try:
        model.network.requires_grad_(False)
        with torch.no_grad():
            found = features.gradients(model, x, asked)
            assert torch.equal(found.gradients[model.layer], expected.gradients[model.layer])
            assert torch.equal(features.input_gradients(model, x, asked)[1], pixels)
        assert not any(parameter.requires_grad for parameter in model.network.parameters())
    finally:
        for parameter, want in zip(model.network.parameters(), wants, strict=True):
            parameter.requires_grad_(want)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("call", ["read", "logits", "gradients", "input_gradients", "differentiable"])
def test_inference_mode_is_refused(call):
    model = MODELS["module"]
    x = networks.images(model)
    with torch.inference_mode(), pytest.raises(InputError, match="inference_mode"):
        calls(model)[call](x)


def test_wrapped_parallel_networks_are_refused():
    model = MODELS["module"]
    wrapped = replace(model, network=nn.Sequential(nn.DataParallel(model.network)))
    with pytest.raises(InputError, match=r"several devices.*\.module"):
        features.read(wrapped, networks.images(model))


def odd_layers() -> Model:
    class Odd(networks.Convolutional):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.twice = nn.ReLU(), nn.ReLU()
            self.pair = nn.AdaptiveMaxPool2d(2, return_indices=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.twice(self.conv2(self.twice(self.conv1(x))))
            self.pair(x)
            return self.fc(x.mean((2, 3)))

    network = networks.seeded(Odd)
    layers = {name: Layer(name, module, lambda output: output) for name, module in network.named_children()}
    return Model("odd", "none", network, {}, layers, "conv2", (3, 16, 16))


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("unused", "layer 'unused' never runs"),
        ("twice", "layer 'twice' runs twice"),
        ("pair", "layer 'pair' returns a tuple"),
        ("conv3", "no layer 'conv3'; did you mean"),
    ],
)
def test_layers_that_cannot_be_read_are_refused(layer, sentence):
    model = odd_layers()
    x = networks.images(model)
    for _ in range(2):
        with pytest.raises(InputError, match=sentence):
            features.read(model, x, [layer])
        with pytest.raises(InputError, match=sentence):
            features.gradients(model, x, networks.targets(), [layer])
        with pytest.raises(InputError, match=sentence):
            features.differentiable(model, x, layer)
    assert hooks(model.network) == 0


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (torch.tensor([[0], [1], [2], [5]]), "5 is not an output unit of model 'tiny'; valid: 0 to 4"),
        (torch.tensor([[0], [1], [-1], [2]]), "-1 is not an output unit"),
        (torch.zeros(3, 1).long(), "B = 4"),
        (torch.zeros(4).long(), r"\[B, T\]"),
        (torch.zeros(4, 1), "int64"),
    ],
)
def test_wrong_targets_are_refused(asked, sentence):
    model = MODELS["module"]
    for call in (features.gradients, features.input_gradients):
        with pytest.raises(InputError, match=sentence):
            call(model, networks.images(model), asked)


def test_wrong_images_are_refused():
    model = MODELS["module"]
    with pytest.raises(InputError, match=r"takes floating-point inputs \[B, 3, 16, 16\], not float32 \[3, 16, 16\]"):
        features.read(model, networks.images(model)[0])
    with pytest.raises(InputError, match="not uint8"):
        features.read(model, networks.images(model).byte())


@pytest.mark.parametrize(
    "layer", ["encoder.layers.encoder_layer_1", "encoder.layers.encoder_layer_1.ln_2", "encoder.ln"]
)
def test_a_layer_whose_cells_do_not_reach_the_output_is_refused_and_another_is_named(layer):
    model = MODELS["transformer"]
    x, asked = networks.images(model), networks.targets()
    with pytest.raises(InputError, match=f"layer '{layer}'.* 'encoder.layers.encoder_layer_1.ln_1' works"):
        features.gradients(model, x, asked, [layer])
    assert features.gradients(model, x, asked, ["encoder.layers.encoder_layer_1.ln_1"])


def test_single_zero_images_have_zero_gradients():
    model = networks.cnn()
    with torch.no_grad():
        model.network.conv2.bias.fill_(-1e-3)
        model.network.conv1.bias.zero_()
    x = networks.images(model)
    x[1] = 0  # no ReLU of the second layer opens
    slopes = features.gradients(model, x, networks.targets(), ["conv2"]).gradients["conv2"]
    alone = features.gradients(model, x[1:2], networks.targets(1), ["conv2"]).gradients["conv2"]
    assert not slopes[1].any()
    assert slopes[[0, 2, 3]].flatten(1).any(1).all()
    assert not alone.any()  # as in the batch: one image is no proof of a dead layer


def test_a_dead_unit_has_zero_gradients():
    model = networks.cnn()
    with torch.no_grad():
        model.network.fc.weight[3] = 0
    x = networks.images(model)
    asked = torch.tensor([[3], [3], [3], [3]])
    assert not features.gradients(model, x, asked).gradients[model.layer].any()
    assert not features.input_gradients(model, x, asked)[1].any()


def test_a_network_that_returns_no_logits_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    model = Model("maps", "none", network, {}, {}, "", (3, 4, 4))
    with pytest.raises(InputError, match=r"returns \[2, 2, 4, 4\], but a tensor of logits"):
        features.logits(model, torch.zeros(2, 3, 4, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_gpu_equals_cpu(name):
    model = networks.every()[name]
    x, asked = networks.images(model), networks.targets()
    expected = features.gradients(model, x, asked)
    model.network.cuda()
    random = torch.cuda.get_rng_state()
    found = features.gradients(model, x.cuda(), asked.cuda())
    assert torch.equal(torch.cuda.get_rng_state(), random)
    for ours, theirs in ((found.grids, expected.grids), (found.gradients, expected.gradients)):
        torch.testing.assert_close(ours[model.layer].cpu(), theirs[model.layer], rtol=1e-3, atol=1e-5)
