"""Small changes of photographs: the exact optimum of a linear network, the ball, and an attack written elsewhere."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import networks
from ambench import features, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness


def examples(model: Model, count: int = 24) -> Concepts:
    images = networks.images(model, count, seed=5)
    return Concepts(("a", "b"), images, torch.arange(count)[:, None] % torch.tensor([3, 2]) == 0)


def make(spec: str, model: Model, units: tuple[int, int] = (0, 2)) -> Portraits:
    method = registry.load("methods", f"adversarial:{spec}")
    return method.synthesise(model, torch.tensor(units), examples(model), Randomness((0,)))


def linear(units: int = 3) -> Model:
    network = networks.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, units)))
    return Model("linear", "none", network, {}, {}, "", (3, 8, 8))


def photographs(model: Model, units: tuple[int, int], count: int) -> torch.Tensor:
    picked = []
    for concept, unit in enumerate(units):
        images = examples(model).negatives(concept)
        left = images[features.logits(model, images).argmax(1) != unit]
        picked += [left[place % len(left)] for place in range(count)]
    return torch.stack(picked)


def test_a_linear_network_is_pushed_exactly_to_its_optimum() -> None:
    model = linear()
    portraits = make("radius=8,halvings=0,restarts=3", model)
    signs = model.network[1].weight.detach().view(3, 3, 8, 8)[[0, 0, 0, 2, 2, 2]].sign()
    best = (photographs(model, (0, 2), 3) + 8 / 255 * signs).clamp(0, 1)
    torch.testing.assert_close(portraits.images, best, atol=1e-6, rtol=0)


def test_more_room_never_gives_less() -> None:
    gain = make("radius=8,halvings=4", linear()).details["gain"]
    assert (gain.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("start", ["false", "true"])
@pytest.mark.parametrize("name", ["module", "in-place", "transformer", "one channel"])
def test_pictures_stay_in_the_ball_and_in_range(name: str, start: str) -> None:
    model = networks.every()[name]
    portraits = make(f"radius=4,halvings=0,restarts=2,steps=9,random_start={start}", model)
    off = (portraits.images - photographs(model, (0, 2), 2)).abs().amax()
    assert 0 < float(off) <= 4 / 255 + 1e-7
    assert 0 <= portraits.images.min() <= portraits.images.max() <= 1


def test_no_room_is_the_photograph_itself() -> None:
    model = networks.cnn()
    portraits = make("radius=0,halvings=0,restarts=2", model)
    assert torch.equal(portraits.images, photographs(model, (0, 2), 2))
    assert not portraits.details["gain"].any()
    assert not portraits.details["flips"].any()
    assert (portraits.details["flipping_radius"] == -1).all()


def test_flips_are_counted_and_the_smallest_radius_named() -> None:
    model = linear()
    portraits = make("radius=64,halvings=2,restarts=4", model)
    flips, smallest = portraits.details["flips"], portraits.details["flipping_radius"]
    last = features.logits(model, portraits.images).argmax(1) == portraits.units
    assert torch.equal(flips[:, -1], last)
    for row in range(len(flips)):
        flipped = [radius for radius, flip in zip((16.0, 32.0, 64.0), flips[row].tolist(), strict=True) if flip]
        assert smallest[row].item() == min(flipped, default=-1)
    assert flips[:, -1].any()


def test_rounding_to_eight_bits_is_judged_apart() -> None:
    model = networks.cnn()
    portraits = make("radius=2,halvings=0,restarts=4", model)
    rounded = (portraits.images * 255).round() / 255
    found = features.logits(model, rounded).argmax(1) == portraits.units
    assert torch.equal(portraits.details["flips_rounded"][:, 0], found)


def test_what_the_model_takes_for_the_concept_already_is_left_out_and_counted() -> None:
    model = networks.cnn()
    portraits = make("radius=1,halvings=0,restarts=2,steps=1", model)
    for concept, unit in enumerate((0, 2)):
        images = examples(model).negatives(concept)
        already = int((features.logits(model, images).argmax(1) == unit).sum())
        mine = portraits.details["excluded"][2 * concept : 2 * concept + 2]
        assert mine.tolist() == [already] * 2 or already == len(images)


class AgainstNothing(nn.Module):
    """A unit's logit and a constant beside it: the slope of the cross entropy has the sign of the logit's."""

    def __init__(self, network: nn.Module, unit: int) -> None:
        super().__init__()
        self.network, self.unit = network, unit

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        own = self.network(images)[:, self.unit]
        return torch.stack([own, torch.zeros_like(own)], 1)


def test_it_is_torchattacks_targeted_pgd() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    model = networks.every()["transformer"]
    natural = photographs(model, (0, 2), 1)[:1]
    attack = torchattacks.PGD(
        AgainstNothing(model.network, 0).eval(), eps=4 / 255, alpha=1 / 255, steps=20, random_start=False
    )
    attack.set_mode_targeted_by_function(lambda images, labels: torch.zeros_like(labels))
    reference = attack(natural, torch.ones(1, dtype=torch.long))
    ours = make("radius=4,halvings=0,restarts=1", model).images[:1]
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=0)


def test_it_is_the_basic_iterative_method_written_out() -> None:
    model = networks.every()["transformer"]
    natural = photographs(model, (0, 2), 1)
    pictures = natural.clone()
    for _ in range(20):
        leaf = pictures.clone().requires_grad_()
        loss = F.cross_entropy(AgainstNothing(model.network, 0)(leaf[:1]), torch.tensor([0]))
        (slope,) = torch.autograd.grad(loss, leaf)
        step = pictures - slope.sign() / 255
        pictures = torch.min(torch.max(step, natural - 4 / 255), natural + 4 / 255).clamp(0, 1)
    torch.testing.assert_close(make("radius=4,halvings=0,restarts=1", model).images[0], pictures[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("setting", ["steps=0", "restarts=0"])
def test_settings_below_one_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="at least 1"):
        registry.load("methods", f"adversarial:{setting}")


@pytest.mark.parametrize("setting", ["radius=-1", "radius=300", "halvings=-1"])
def test_radii_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="radius from 0 to 255"):
        registry.load("methods", f"adversarial:{setting}")
