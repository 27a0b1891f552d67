"""Portraits painted by a decoder: against pixels where the decoder paints what it is told, and bounds, sizes, refusals."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from torch import nn

import networks
from ambench import decoders, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped

Codes = importlib.import_module("ambench.methods.synthesis._codes").Codes
Normalised = importlib.import_module("ambench.methods.synthesis._updates").Normalised

PLAIN = """
import torch
from torch import nn
from ambench import decoders

class Reshaped(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, codes):
        return self.gain * codes.reshape(-1, *self.shape)

def identity():
    return decoders.wrap(Reshaped((3, 8, 8)), (192,), "relu", torch.full((192,), 0.5), torch.full((192,), 1.0))

def linear():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return decoders.wrap(nn.Sequential(nn.Linear(5, 192), Reshaped((3, 8, 8))), (5,))

def grey():
    return decoders.wrap(Reshaped((1, 8, 8)), (64,))
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("own") / "plain.py"
    file.write_text(PLAIN)
    return file


def linear() -> tuple[Model, torch.Tensor]:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3))).double()
    return Model("linear", "none", network, {}, {}, "", (3, 8, 8)), network[1].weight.detach()


def make(spec: str, model: Model, units: list[int]) -> Portraits:
    nothing = Concepts(("a",), torch.empty(0, *model.input_shape), torch.empty(0, 1, dtype=torch.bool))
    method = registry.load("methods", f"actmax_latent:{spec}")
    return method.synthesise(model, torch.tensor(units), nothing, Randomness((0,)))


def test_a_decoder_that_paints_what_it_is_told_is_ascent_on_pixels(own: Path) -> None:
    """Normalised steps written out: the slope of a linear unit is its weight, where the picture is not clamped."""
    model, weights = linear()
    steps, rate, decay = 25, 0.02, 0.99
    portraits = make(f"decoder=python:{own}:identity,steps={steps},rate={rate},decay={decay}", model, [2])
    random = Randomness((0,)).generator("portrait", 2, 0)
    code = (0.5 + torch.randn(192, generator=random)).clamp(0, 3.5).double()
    for step in range(steps):
        size = rate + (1e-10 - rate) * step / (steps - 1)
        leaf = code.clone().requires_grad_()
        (slope,) = torch.autograd.grad(leaf.clamp(0, 1) @ weights[2], leaf)
        code = (decay * (code + size * slope / slope.abs().mean())).clamp(0, 3.5)
    torch.testing.assert_close(portraits.details["code"][0], code.float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(portraits.images[0].flatten(), code.clamp(0, 1).float(), atol=1e-6, rtol=0)
    assert portraits.details["clamped_share"][0] == ((code > 1) | (code < 0)).float().mean()


def test_the_step_of_a_linear_decoder_is_parallel_to_its_transpose_times_the_weight(own: Path) -> None:
    model, weights = linear()
    decoder = decoders.resolve(f"python:{own}:linear")
    decoder.network.double()
    decoder.network[0].bias.data.fill_(0.5)
    codes = Codes((3, 8, 8), decoder)
    start = torch.zeros(1, 5).double().requires_grad_()
    (slope,) = torch.autograd.grad(-model.network(codes.render(start))[0, 1], start)
    advance = Normalised(0.01, 0.01, 1).begin(start)
    with torch.no_grad():
        advance(slope, 0)
    expected = decoder.network[0].weight.T @ weights[1]
    assert torch.cosine_similarity(start[0], expected, dim=0).item() == pytest.approx(1, abs=1e-12)


def test_codes_stay_within_the_bounds_and_portraits_excite_their_units() -> None:
    from ambench.models import resolve

    model = resolve("cnn")
    portraits = make("steps=60,restarts=2", model, [8, 11])
    assert portraits.images.shape == (4, 3, 64, 64)
    assert portraits.details["code"].abs().max() <= 1
    assert (portraits.history[:, -1] > portraits.history[:, 0]).all()
    assert portraits.alive.all()


def test_pictures_of_another_size_are_averaged(own: Path) -> None:
    decoder = decoders.resolve(f"python:{own}:identity")
    codes = torch.rand(2, 192, generator=torch.Generator().manual_seed(0))
    small = Codes((3, 4, 4), decoder).render(codes)
    torch.testing.assert_close(small, codes.view(2, 3, 4, 2, 4, 2).mean((3, 5)))
    assert Codes((3, 20, 24), decoder).render(codes).shape == (2, 3, 20, 24)


def test_a_unit_that_depends_on_nothing_keeps_its_first_code_and_is_dead(own: Path) -> None:
    model, _ = linear()
    model.network[1].weight.data[1] = 0
    portraits = make(f"decoder=python:{own}:linear,steps=5,rate=1", model, [0, 1])
    assert portraits.alive.tolist() == [True, False]
    assert portraits.details["died_at_step"].tolist() == [-1, 0]
    first = torch.randn(5, generator=Randomness((0,)).generator("portrait", 1, 0))
    torch.testing.assert_close(portraits.details["code"][1], first)


def test_a_decoder_that_is_not_there_or_paints_other_channels_is_refused(own: Path) -> None:
    model, _ = linear()
    with pytest.raises(InputError, match="did you mean 'shapes'"):
        make("decoder=shape", model, [0])
    with pytest.raises(Skipped, match=r"paints pictures of 1 channels, and model 'linear' takes 3"):
        make(f"decoder=python:{own}:grey", model, [0])
