"""Each architecture family's layers are found, seen the right way round, and one that works is the default."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import MaxVit, get_model

import networks
from ambench import features
from ambench.core import InputError
from ambench.layers import Tokens, calls_of, find
from ambench.models import wrap

# The last convolutional stage as torchvision's own source names it, and its channels.
STAGES = {
    "alexnet": ("features", 256),
    "convnext_tiny": ("features", 768),
    "densenet121": ("features", 1024),
    "efficientnet_b0": ("features", 1280),
    "googlenet": ("inception5b", 1024),
    "inception_v3": ("Mixed_7c", 2048),
    "mnasnet0_5": ("layers", 1280),
    "mobilenet_v2": ("features", 1280),
    "mobilenet_v3_small": ("features", 576),
    "regnet_x_400mf": ("trunk_output", 400),
    "resnet18": ("layer4", 512),
    "shufflenet_v2_x0_5": ("conv5", 1024),
    "squeezenet1_0": ("features", 512),
    "vgg11": ("features", 512),
}
SIZES = {"inception_v3": (107, 203), "alexnet": (96, 160)}


@pytest.mark.filterwarnings("ignore:The default weight init")
@pytest.mark.parametrize("name", sorted(STAGES))
def test_default_layer_is_the_last_convolutional_stage(name, monkeypatch):
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, *_, **__: tensor)  # slow, and of no use here
    monkeypatch.setattr(nn.init, "kaiming_normal_", lambda tensor, *_, **__: tensor)
    network = get_model(name).eval()
    layers, default = find(network, calls_of(network, (3, *SIZES.get(name, (64, 128)))))
    assert default == STAGES[name][0]
    assert next(m for m in network.modules() if m is layers[default].module) is network.get_submodule(default)
    assert layers[default].as_grid(torch.zeros(2, STAGES[name][1], 3, 4)).shape == (2, STAGES[name][1], 3, 4)


def local(model, layer: str) -> bool:
    """Whether changing the image's bottom right corner changes no cell of the top left quarter of a layer's grid."""
    x = networks.images(model, 1)
    changed = x.clone()
    changed[..., -4:, -4:] = 0
    before, after = (features.read(model, images, [layer])[layer] for images in (x, changed))
    moved = (before - after).abs().sum(1)[0]  # [h, w]
    height, width = moved.shape
    return bool(moved.any()) and not moved[: height // 2, : width // 2].any()


@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t", "swin_v2_t"])
def test_channels_last_layers_are_permuted(name):
    network = get_model(name).eval()
    model = wrap(network, input_shape=(3, 64, 128))
    early = [layer for layer in model.layers if layer.startswith(("features.0", "features.1.0"))]
    assert len(early) > 5
    for layer, grid in features.read(model, networks.images(model, 1), early).items():
        if grid.shape[2:] != (1, 1):
            assert grid.shape[3] == 2 * grid.shape[2], layer  # the image is twice as wide as high
    for layer in ("features.0.0", "features.0"):
        assert local(model, layer)


def test_swin_default_is_the_final_normalisation():
    model = networks.every()["swin"]
    x = networks.images(model)
    grid = features.read(model, x)[model.layer]
    assert model.layer == "norm"
    assert grid.shape == (4, 16, 4, 8)
    logits = nn.functional.linear(grid.mean((2, 3)), model.network.head.weight, model.network.head.bias)
    torch.testing.assert_close(logits, features.logits(model, x), rtol=0, atol=1e-6)  # its head reads the mean cell


def test_windows_of_maxvit_are_no_grids():
    network = MaxVit((64, 64), 8, 2, [8, 8], [1, 1], head_dim=4, stochastic_depth_prob=0.0, num_classes=5).eval()
    layers, default = find(network, calls_of(network, (3, 64, 64)))
    assert default == "blocks.1"
    attention = [name for name in layers if "attention" in name]
    assert attention
    assert all(name.endswith("attention") for name in attention)  # the layers, none of what they are made of
    assert layers["blocks.1"].as_grid(torch.zeros(1, 8, 4, 4)).shape == (1, 8, 4, 4)


def test_transformer_default_is_ln_1_of_the_last_block_without_the_class_token():
    model = networks.every()["transformer"]
    network, x = model.network, networks.images(model)
    assert model.layer == "encoder.layers.encoder_layer_1.ln_1"
    tokens = torch.cat([network.class_token.expand(4, -1, -1), network.conv_proj(x).flatten(2).transpose(1, 2)], 1)
    first, last = network.encoder.layers
    normed = last.ln_1(first(tokens + network.encoder.pos_embedding))
    grid = features.read(model, x)[model.layer]
    assert grid.shape == (4, 12, 4, 4)
    for row, column in ((0, 0), (1, 3), (3, 2)):
        torch.testing.assert_close(grid[:, :, row, column], normed[:, 1 + 4 * row + column], rtol=0, atol=1e-6)


def test_every_kind_of_transformer_layer_can_be_named():
    layers = networks.every()["transformer"].layers
    block = "encoder.layers.encoder_layer_0"
    assert {"conv_proj", block, f"{block}.ln_1", f"{block}.ln_2", f"{block}.mlp", "encoder.ln"} <= set(layers)
    assert f"{block}.self_attention" not in layers  # returns a pair
    assert not any(name.startswith("heads") for name in layers)


def test_declared_tokens_drop_every_prefix_and_may_lie_in_a_grid_that_is_no_square():
    model = networks.every()["registered"]
    network, x = model.network, networks.images(model)
    assert model.layer == "blocks.2.norm1"  # what comes after it reaches the output from the class token only
    grid = features.read(model, x, ["blocks.0.norm1"])["blocks.0.norm1"]
    tokens = network.patches(x).flatten(2).transpose(1, 2) + network.places
    torch.testing.assert_close(grid[:, :, 2, 4], network.blocks[0].norm1(tokens)[:, 14], rtol=0, atol=1e-6)
    torch.testing.assert_close(grid[:, :, 1, 0], network.blocks[0].norm1(tokens)[:, 5], rtol=0, atol=1e-6)


def test_default_layers_have_a_gradient_in_every_family():
    for name, model in networks.every().items():
        slopes = features.gradients(model, networks.images(model), networks.targets()).gradients[model.layer]
        assert slopes.flatten(1).any(1).all(), name


def test_transformer_encoder_layers_of_torch_are_read_alike_with_and_without_gradients():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))

    model = wrap(networks.seeded(Encoder), input_shape=(3, 8, 12), tokens=Tokens(0, (2, 3)))
    assert model.layer == "encoder.norm2"  # torch's fast path would never run it
    x = networks.images(model)
    with_gradients = features.gradients(model, x, networks.targets(), ["encoder.norm1", "encoder.norm2"])
    for layer, grid in features.read(model, x, ["encoder.norm1", "encoder.norm2"]).items():
        assert torch.equal(grid, with_gradients.grids[layer])
    assert torch.equal(features.logits(model, x), with_gradients.logits)
    assert torch.backends.mha.get_fastpath_enabled()


def test_wrong_token_counts_are_refused():
    with pytest.raises(InputError, match=r"1 \+ \[2, 2\] tokens were declared, the layer has 6"):
        Tokens(1, (2, 2))(torch.zeros(1, 6, 3))


def test_layers_that_run_twice_or_return_no_grid_are_not_listed():
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.Flatten(), nn.Linear(16, 2)).eval()
    layers, default = find(network, calls_of(network, (3, 6, 6)))
    assert list(layers) == ["0", "2"]
    assert default == "2"


@pytest.mark.parametrize(
    ("stack", "default"),
    [
        ([nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 5)], "2"),
        ([nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()], "1"),
        ([nn.Conv2d(3, 5, 8), nn.Flatten()], "0"),
        ([nn.Flatten(), nn.Linear(192, 5)], ""),
    ],
)
def test_default_layer_is_what_the_head_reads(stack, default):
    model = wrap(nn.Sequential(*stack), input_shape=(3, 8, 8))
    assert model.layer == default


def test_series_and_tables_have_layers_too():
    series = wrap(
        nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)),
        input_shape=(1, 20),
    )
    assert features.read(series, torch.zeros(3, 1, 20))["1"].shape == (3, 4, 18)
    table = wrap(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)), input_shape=(8,))
    assert features.read(table, torch.zeros(3, 8))["1"].shape == (3, 6)
