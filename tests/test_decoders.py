"""A name becomes the right decoder, or a sentence that says what was wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ambench import decoders
from ambench.core import InputError
from ambench.decoders import Decoder, resolve, wrap
from ambench.zoo import painter

OWN = """
import torch
from torch import nn
from ambench.decoders import Decoder, wrap

class Linear(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(4.0 * channels * 6).reshape(4, -1) / 100)
        self.drop, self.channels = nn.Dropout(0.5), channels
    def forward(self, codes):
        return self.drop(codes @ self.weight).unflatten(1, (self.channels, 2, 3))

def colour(): return wrap(Linear(3), (4,), "relu", torch.ones(4), torch.full((4,), 0.5), nn.Flatten())
def grey(): return wrap(Linear(1), (4,))
def bare(): return Decoder("mine", "v7", Linear(3), (4,), (9, 9, 9), torch.zeros(4), torch.ones(4))
def network(): return Linear(3)
def broken(): raise RuntimeError("no\\nspace")
def shy(): return wrap(Linear(3), (5,))
number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    file = tmp_path / "own_decoder.py"
    file.write_text(OWN)
    return f"python:{file}"


def flat(*image: int, code: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(code, torch.Size(image).numel()), nn.Unflatten(1, image))


# ------------------------------------------------------------------------------------------------ by name


def test_the_embedded_decoder_makes_pictures_of_the_embedded_networks_size():
    decoder = resolve("shapes", "cpu", channels=3)
    images = decoder.network(torch.zeros(2, *decoder.code_shape))
    assert images.shape == (2, *decoder.image_shape) == (2, 3, 64, 64)
    assert (decoder.name, decoder.kind) == ("shapes", "gaussian")
    assert decoder.mean.shape == decoder.std.shape == decoder.code_shape


def test_other_weights_of_the_same_architecture_are_another_decoder(tmp_path):
    state = painter.network().state_dict()
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "same.safetensors")
    save_file({name: value * 0.5 for name, value in state.items()}, tmp_path / "other.safetensors")
    own, same, other = (
        resolve(name) for name in ("shapes", *(f"shapes@{tmp_path / n}.safetensors" for n in ("same", "other")))
    )
    code = torch.full((1, *own.code_shape), 0.3)
    assert torch.equal(own.network(code), same.network(code))
    assert not torch.allclose(own.network(code), other.network(code))
    assert own.weights == painter.digest()[:12]
    assert (
        same.weights == hashlib.sha256((tmp_path / "same.safetensors").read_bytes()).hexdigest()[:12] != other.weights
    )
    assert torch.equal(other.std, own.std * 0.5)


def test_a_file_of_yours_gives_its_decoder_frozen_and_in_eval_mode(own):
    decoder = resolve(f"{own}:colour", channels=3)
    assert (decoder.name, decoder.kind, decoder.image_shape) == (f"{own}:colour", "relu", (3, 2, 3))
    assert not any(module.training for module in decoder.network.modules())
    assert not any(parameter.requires_grad for parameter in decoder.network.parameters())
    assert decoder.encoder(torch.zeros(2, 3, 2, 3)).shape == (2, 18)
    codes = torch.randn(3, 4, requires_grad=True)
    decoder.network(codes).sum().backward()
    torch.testing.assert_close(codes.grad, decoder.network.weight.sum(1).expand(3, -1))


def test_a_decoder_made_by_hand_keeps_its_tag_and_gets_the_shape_that_its_images_have(own):
    decoder = resolve(f"{own}:bare")
    assert (decoder.weights, decoder.image_shape) == ("v7", (3, 2, 3))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shape", "there is no decoder 'shape'; did you mean 'shapes'?"),
        ("biggan", "there is no decoder 'biggan'; valid: python:…, shapes"),
        ("python:my_decoder.py", "there is no decoder 'python:my_decoder.py'; valid: python:…, shapes"),
        ("python:nowhere_at_all:make", "'nowhere_at_all' cannot be imported"),
        ("shapes@weights.pth", "'weights.pth' is no weights file of a decoder; a .safetensors file is wanted"),
        ("shapes@nowhere.safetensors", "there is no weights file 'nowhere.safetensors'"),
    ],
)
def test_a_wrong_name_is_refused_with_what_is_wanted(name, sentence):
    with pytest.raises(InputError) as refused:
        resolve(name)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("color", "has no function 'color'; did you mean 'colour'?"),
        ("number", "has no function 'number'"),
        ("network", "returns a Linear; an ambench.decoders.Decoder is wanted"),
        ("broken", "failed: RuntimeError: no space"),
        ("shy", "the decoder does not take codes [2, 5]"),
    ],
)
def test_a_wrong_factory_is_refused_in_one_sentence(own, factory, sentence):
    with pytest.raises(InputError) as refused:
        resolve(f"{own}:{factory}")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_decoder_of_other_channels_than_the_model_reads_is_refused(own):
    with pytest.raises(InputError, match=r"makes images of 1 channel\(s\), and 3 are wanted"):
        resolve(f"{own}:grey", channels=3)
    with pytest.raises(InputError, match=r"makes images of 3 channel\(s\), and 1 are wanted"):
        resolve("shapes", channels=1)
    assert resolve(f"{own}:grey", channels=1).image_shape == (1, 2, 3)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_file({"outlines": torch.zeros(2)}, tmp_path / "small.safetensors")
    with pytest.raises(InputError, match="another architecture"):
        resolve(f"shapes@{tmp_path / 'small.safetensors'}")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(InputError, match="no safetensors file"):
        resolve(f"shapes@{tmp_path / 'text.safetensors'}")


# ------------------------------------------------------------------------------------------------ the clipping rule


def test_gaussian_codes_are_bounded_by_one_and_rectified_ones_by_their_spread():
    mean, std = torch.tensor([0.5, 1.0]), torch.tensor([0.1, 2.0])
    low, high = wrap(flat(1, 2, 2, code=2), (2,), "gaussian", mean, std).bounds
    assert (low.tolist(), high.tolist()) == ([-1, -1], [1, 1])
    low, high = wrap(flat(1, 2, 2, code=2), (2,), "relu", mean, std).bounds
    assert low.tolist() == [0, 0]
    assert high.tolist() == pytest.approx([0.8, 7.0])


def test_statistics_take_the_type_of_the_network():
    decoder = wrap(flat(1, 2, 2).double(), (4,), mean=torch.zeros(4), std=torch.ones(4))
    assert decoder.mean.dtype == decoder.std.dtype == torch.float64


# ------------------------------------------------------------------------------------------------ the wrong shape


class Twice(nn.Module):
    def forward(self, codes):
        return codes, codes


class Whole(nn.Module):
    def forward(self, codes):
        return codes.sum(0).expand(1, 1, 2, 4)


class Endless(nn.Module):
    def forward(self, codes):
        return codes[:, None, None] / 0


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (flat(12), r"makes \[2, 12\] of codes \[2, 4\]; images \[2, C, H, W\] are wanted"),
        (flat(3, 4), r"makes \[2, 3, 4\] of codes"),
        (Twice(), "makes tuple of codes"),
        (Whole(), r"makes \[1, 1, 2, 4\] of codes"),
        (Endless(), "not finite"),
        (flat(3, 2, 2, code=5), r"does not take codes \[2, 4\]"),
    ],
)
def test_what_does_not_make_one_image_of_a_code_is_refused(network, sentence):
    with pytest.raises(InputError, match=sentence):
        wrap(network, (4,))


def test_statistics_of_another_shape_or_none_of_rectified_codes_are_refused():
    with pytest.raises(InputError, match=r"codes are \[4\], and their std is \[3\]"):
        wrap(flat(1, 2, 2), (4,), mean=torch.zeros(4), std=torch.ones(3))
    with pytest.raises(InputError, match="mean and std"):
        wrap(flat(1, 2, 2), (4,), "relu")
    with pytest.raises(InputError, match="did you mean 'relu'"):
        wrap(flat(1, 2, 2), (4,), "rely")  # type: ignore[arg-type]


def test_codes_may_have_any_shape():
    network = nn.ConvTranspose2d(5, 3, 4)
    decoder = wrap(network, (5, 1, 1))
    assert (decoder.code_shape, decoder.image_shape) == ((5, 1, 1), (3, 4, 4))
    assert decoder.bounds[0].shape == (5, 1, 1)


def test_every_embedded_name_resolves():
    assert all(isinstance(resolve(name), Decoder) for name in decoders.NAMES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_decoder_lies_where_it_is_asked_to():
    here, there = resolve("shapes"), resolve("shapes", "cuda")
    codes = torch.randn(3, *here.code_shape)
    assert there.mean.is_cuda
    torch.testing.assert_close(there.network(codes.cuda()).cpu(), here.network(codes), rtol=0, atol=1e-4)
