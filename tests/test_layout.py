"""Filters lie in memory as the device likes them, and nobody can tell by their values."""

from __future__ import annotations

import copy
import importlib
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import get_model

import networks
from ambench import models
from ambench.layout import as_defined, lay_out
from ambench.zoo.files import digest_of

_randomised = importlib.import_module("ambench.metrics.faithfulness._randomised")


def seen(network: nn.Module) -> list[bool]:
    return [
        module.weight.is_contiguous(memory_format=torch.channels_last)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]


def as_torch_has_it(name: str = "squeezenet1_1") -> nn.Module:
    return networks.seeded(lambda: get_model(name), seed=5).eval()


def test_a_wrapped_network_has_its_channels_last_and_the_values_it_had() -> None:
    network = as_torch_has_it()
    before = copy.deepcopy(network.state_dict())
    assert not all(seen(network))
    model = models.wrap(network, "squeeze")
    assert all(seen(model.network))
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert digest_of(before) == digest_of(after)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "resnet18"])
def test_logits_and_gradients_differ_by_rounding_only(name: str) -> None:
    network = as_torch_has_it(name)
    images = torch.rand(3, 3, 64, 80, generator=torch.Generator().manual_seed(0))

    def asked() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = images.clone().requires_grad_()
        answer = network(leaf)
        return answer.detach(), torch.autograd.grad(answer[:, 7].sum(), leaf)[0]

    plain = asked()
    lay_out(network)
    assert all(seen(network))
    for one, other in zip(plain, asked(), strict=True):
        assert torch.linalg.vector_norm(one - other) < 1e-4 * torch.linalg.vector_norm(one)


def test_what_draws_random_numbers_does_so_in_the_order_that_torch_defines() -> None:
    one = models.resolve("cnn")
    other = replace(one, network=copy.deepcopy(one.network))
    as_defined(other.network)
    assert not all(seen(other.network))
    names = _randomised.stages(one, torch.rand(1, *one.input_shape), 2)[0]
    drawn = [_randomised.randomised(model, names, 0).network for model in (one, other)]
    assert digest_of(drawn[0].state_dict()) == digest_of(drawn[1].state_dict())
    assert all(seen(drawn[0]))


def test_doubles_stay_as_they_are_and_parameters_stay_the_same_objects() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.LazyLinear(2)).double()
    strides = [module.weight.stride() for module in network[:2]]
    lay_out(network)
    assert [module.weight.stride() for module in network[:2]] == strides
    single = nn.Conv2d(3, 4, 5)
    filters = single.weight
    lay_out(single)
    assert single.weight is filters


def test_filters_that_are_computed_from_others_are_left_alone() -> None:
    network = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 5))
    before = network.weight.detach().clone()
    lay_out(network)
    assert torch.equal(network.weight, before)
