"""Redirected ReLUs: where nothing passes everything uphill does, elsewhere nothing changes."""

from __future__ import annotations

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import networks

RedirectedReLU = importlib.import_module("ambench.methods.synthesis._redirect").RedirectedReLU
WAYS = {
    "functional": F.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "module": torch.nn.ReLU(),
    "module in place": torch.nn.ReLU(inplace=True),
    "method in place": lambda x: x.relu_(),
    "functional in place": lambda x: F.relu(x, inplace=True),
}


def slope(way: str, values: Tensor, downhill: Tensor) -> tuple[Tensor, Tensor]:
    leaf = values.clone().requires_grad_()
    with RedirectedReLU():
        output = WAYS[way](leaf * 1.0)
    return output.detach(), torch.autograd.grad(output, leaf, downhill)[0]


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_closed_image_gets_the_gradient_and_an_open_one_keeps_its_own(way: str) -> None:
    values = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 2.0, 3.0]])
    downhill = torch.tensor([[-0.5, 0.25, -1.0], [-0.5, 0.25, -1.0]])  # of the loss
    output, found = slope(way, values, downhill)
    assert torch.equal(output, values.clamp_min(0))
    by_hand = torch.tensor([[-0.5, 0.0, -1.0], [0.0, 0.25, -1.0]])
    assert torch.equal(found, by_hand)


def test_an_in_place_relu_writes_in_place() -> None:
    values = torch.tensor([[-1.0, 2.0]])
    with RedirectedReLU():
        F.relu(values, inplace=True)
    assert torch.equal(values, torch.tensor([[0.0, 2.0]]))


@pytest.mark.parametrize("name", ["module", "functional", "in-place"])
def test_open_networks_have_the_gradient_of_autograd(name: str) -> None:
    model = networks.every()[name]
    images = networks.images(model).requires_grad_()
    plain = torch.autograd.grad(model.network(images.clone()).sum(), images)[0]
    with RedirectedReLU():
        total = model.network(images.clone()).sum()
    assert torch.equal(torch.autograd.grad(total, images)[0], plain)


def test_relu_is_itself_again_afterwards_also_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), RedirectedReLU():
        raise ZeroDivisionError
    closed = torch.tensor([[-1.0]], requires_grad=True)
    assert not torch.autograd.grad(-F.relu(closed).sum(), closed)[0].any()
