"""Attention rollout against the same in numpy from a transformer's own queries and keys, and its closed forms."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer

import ambench
import networks
from ambench import explanations, features, registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness, Skipped
from ambench.layers import Tokens
from ambench.models import wrap

NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))
Attention = importlib.import_module("ambench.methods.attribution._attention").Attention
rolled = importlib.import_module("ambench.methods.attribution.attention_rollout").rolled
JOINS = {"mean": np.mean, "max": np.max, "min": np.min}


def explain(spec: str, model: Model, images: Tensor, targets: Tensor) -> Heatmaps:
    return registry.load("methods", f"attention_rollout:{spec}").attribute(
        model, images, targets, NOBODY, Randomness((0,))
    )


def vit() -> Model:
    """A transformer whose attention is far from uniform."""
    network = networks.transformer()
    for block in network.encoder.layers:
        block.self_attention.in_proj_weight.data *= 4
    return wrap(network, "transformer", input_shape=(3, 16, 16))


# ------------------------------------------------------------------------------------------------ by hand


def attention_in_numpy(block: nn.Module, tokens: np.ndarray) -> np.ndarray:
    """The weights [B, heads, N, N] of a block from what its attention is given [B, N, C]."""
    attention = block.self_attention
    weight, bias = attention.in_proj_weight.detach().numpy(), attention.in_proj_bias.detach().numpy()
    width, heads = attention.embed_dim, attention.num_heads
    mixed = tokens @ weight.T + bias
    query, key = (mixed[..., k * width : (k + 1) * width] for k in (0, 1))
    query, key = (part.reshape(*part.shape[:2], heads, width // heads).transpose(0, 2, 1, 3) for part in (query, key))
    scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def rollout_in_numpy(model: Model, images: Tensor, heads: str) -> np.ndarray:
    """The whole product [B, N, N], each block from the tokens that enter it."""
    product = None
    for block in model.network.encoder.layers:
        name = next(name for name, module in model.network.named_modules() if module is block.ln_1)
        given = features.output(model, images, name).numpy()
        joined = JOINS[heads](attention_in_numpy(block, given), axis=1)
        halved = (joined + np.eye(joined.shape[1])) / 2
        halved /= halved.sum(-1, keepdims=True)
        product = halved if product is None else halved @ product
    return product


@pytest.mark.parametrize("heads", JOINS)
def test_rollout_is_that_of_numpy(heads: str) -> None:
    model = vit()
    images, targets = networks.images(model, 3), networks.targets(3)
    product = rollout_in_numpy(model, images, heads)
    np.testing.assert_allclose(product.sum(-1), 1, atol=1e-6)
    cells = torch.from_numpy(product[:, 0, 1:].reshape(3, 1, *model.at(None).as_grid.cells)).float()
    expected = explanations.upsample(cells, images.shape[2:]).expand(-1, 3, -1, -1)
    answer = explain(f"heads={heads}", model, images, targets)
    torch.testing.assert_close(answer.values, expected, atol=1e-5, rtol=1e-5)
    assert cells.std() > 1e-3  # nothing uniform


def with_explicit_attention(network: VisionTransformer, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A VisionTransformer's logits, written out, and the attention of its blocks with the graph to the logits."""
    tokens = network.conv_proj(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([network.class_token.expand(len(images), -1, -1), tokens], 1) + network.encoder.pos_embedding
    seen = []
    for block in network.encoder.layers:
        given, own = block.ln_1(tokens), block.self_attention
        query, key, value = (
            part.unflatten(2, (own.num_heads, -1)).transpose(1, 2)
            for part in (given @ own.in_proj_weight.T + own.in_proj_bias).chunk(3, 2)
        )
        seen.append((query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(3))
        tokens = tokens + own.out_proj((seen[-1] @ value).transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(block.ln_2(tokens))
    return network.heads(network.encoder.ln(tokens)[:, 0]), seen


def test_with_gradients_it_is_that_of_a_network_written_out() -> None:
    model = vit()
    images, targets = networks.images(model, 3), networks.targets(3)
    logits, seen = with_explicit_attention(model.network, images)
    torch.testing.assert_close(logits, features.logits(model, images), atol=1e-5, rtol=1e-5)
    values = explain("gradient=true", model, images, targets).values
    for b in range(3):
        for t in range(3):
            slopes = torch.autograd.grad(logits[b, targets[b, t]], seen, retain_graph=True)
            row = torch.eye(seen[0].shape[-1])[:1]  # [1, N], of the class token
            for slope, weights in zip(slopes[::-1], seen[::-1], strict=True):
                mixed = ((slope[b] * weights[b]).relu().mean(0) + torch.eye(row.shape[1])) / 2
                row = row @ (mixed / mixed.sum(1, keepdim=True))
            cells = row.detach()[:, 1:].view(1, 1, *model.at(None).as_grid.cells)
            expected = explanations.upsample(cells, images.shape[2:])[0, 0]
            torch.testing.assert_close(values[b, t], expected, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(values[:, 0], values[:, 1], rtol=1e-2)


# ------------------------------------------------------------------------------------------------ closed forms


def test_identity_gives_no_patch_anything_and_uniform_attention_all_the_same() -> None:
    start = torch.tensor([1.0, 0, 0, 0, 0])
    assert rolled([torch.eye(5)[None]] * 4, start)[0, 1:].tolist() == [0, 0, 0, 0]
    uniform = torch.full((1, 5, 5), 0.2)
    row = rolled([uniform] * 3, start)  # 1/2 + 1/2 of what is left, three times
    torch.testing.assert_close(row, torch.tensor([[1 / 8 + 7 / 40] + [7 / 40] * 4]))


def test_blocks_are_multiplied_from_the_left() -> None:
    first, last = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).softmax(3)
    product = ((last[0] + torch.eye(4)) / 2) @ ((first[0] + torch.eye(4)) / 2)
    torch.testing.assert_close(rolled([first, last], torch.eye(4)[2]), product[2:3])


def test_every_target_has_the_same_map_unless_gradients_count() -> None:
    model = vit()
    images, targets = networks.images(model), networks.targets()
    plain = explain("heads=mean", model, images, targets).values
    assert torch.equal(plain, plain[:, :1].expand_as(plain))


# ------------------------------------------------------------------------------------------------ all ways to attend


class Attending(nn.Module):
    """A block without a class token that gets its attention in one of several ways; 2 x 3 patches."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        x = self.norm(3 * tokens)
        if self.way == "function":
            own = self.attention
            split = (x @ own.in_proj_weight.T + own.in_proj_bias).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            mixed = own.out_proj(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
        elif self.way == "hidden weights":
            mixed = self.attention(x, x, x, need_weights=False)[0]
        elif self.way == "weights":
            mixed, seen = self.attention(x, x, x)
            assert seen.shape == (len(x), 6, 6)
        else:
            mixed, seen = self.attention(x, x, x, average_attn_weights=False)
            assert seen.shape == (len(x), 2, 6, 6)
        return self.head((tokens + mixed).mean(1))


WAYS = ("function", "hidden weights", "weights", "weights of heads")


def attending(way: str) -> Model:
    network = networks.seeded(lambda: Attending(way))
    return wrap(network, "attending", input_shape=(3, 8, 12), tokens=Tokens(0, (2, 3)), layer="norm")


@pytest.mark.parametrize("spec", ["heads=mean", "gradient=true"])
@pytest.mark.parametrize("way", WAYS[1:])
def test_however_a_network_attends_its_map_is_the_same(spec: str, way: str) -> None:
    model = attending(way)
    images, targets = networks.images(model), networks.targets()
    expected = explain(spec, attending(WAYS[0]), images, targets)
    answer = explain(spec, model, images, targets)
    torch.testing.assert_close(answer.values, expected.values, atol=1e-6, rtol=1e-5)
    assert answer.values.flatten(2).std(2).mean() > 1e-4


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_is_watched_answers_as_ever(way: str) -> None:
    model = attending(way)
    images = networks.images(model)
    with torch.no_grad():
        plain = model.network(images)
        with Attention(lambda weights: None):
            torch.testing.assert_close(model.network(images), plain, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
def test_attention_worked_out_is_torchs_own(mask: str) -> None:
    stream = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 6, generator=stream, dtype=torch.float64)
    seen: list[Tensor] = []
    given = {
        "none": {},
        "bool": {"attn_mask": torch.rand(5, 5, generator=stream) < 0.8},
        "float": {"attn_mask": torch.randn(5, 5, generator=stream, dtype=torch.float64), "scale": 0.3},
        "causal": {"is_causal": True},
    }[mask]
    with Attention(seen.append):
        ours = F.scaled_dot_product_attention(query, key, value, **given)
    torch.testing.assert_close(ours, F.scaled_dot_product_attention(query, key, value, **given))
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(2, 4, 5, dtype=torch.float64))


def test_queries_that_share_a_key_attend_as_torch_lets_them() -> None:
    stream = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 5, 6, generator=stream)
    key, value = torch.randn(2, 2, 2, 5, 6, generator=stream)
    with Attention(lambda weights: None):
        ours = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    torch.testing.assert_close(ours, F.scaled_dot_product_attention(query, key, value, enable_gqa=True))


# ------------------------------------------------------------------------------------------------ what does not fit


class Pooled(nn.Module):
    """A convolution whose cells are read by one query, as in attention pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens.mean(1, keepdim=True), tokens, tokens)[0][:, 0])


class Among(nn.Module):
    """A convolutional network with one attention among its cells, which no layer lays out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (networks.cnn(), "needs a transformer"),
        (networks.every()["swin"], "needs a transformer"),
        (wrap(networks.seeded(Pooled), "pooled", input_shape=(3, 8, 8)), "not from all tokens to all tokens"),
        (wrap(networks.seeded(Among), "among", input_shape=(3, 8, 8)), "not laid out as cells"),
    ],
    ids=["convolutional", "windows", "one query", "no layout"],
)
@pytest.mark.parametrize("spec", ["heads=mean", "gradient=true"])
def test_a_network_without_rows_to_roll_is_skipped_with_the_reason(spec: str, model: Model, reason: str) -> None:
    with pytest.raises(Skipped, match=reason):
        explain(spec, model, networks.images(model), networks.targets())


def test_a_convolutional_network_is_a_skipped_row() -> None:
    names = ("python:ambench.toy:network", "attention_rollout", "python:ambench.toy:Squares", "iou")
    results = ambench.evaluate(*names, jobs=0)
    assert {(row.status, "needs a transformer" in (row.error or "")) for row in results.records} == {("skipped", True)}


@pytest.mark.parametrize("spec", ["heads=mean", "gradient=true"])
def test_more_targets_than_units_are_refused(spec: str) -> None:
    model = vit()
    with pytest.raises(InputError, match="5 is not an output unit"):
        explain(spec, model, networks.images(model), torch.full((4, 1), 5))
