"""Steps against torch's own optimisers and the published rules written out."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor

updates = importlib.import_module("ambench.methods.synthesis._updates")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def after(update: object, start: Tensor, slopes: list[Tensor]) -> Tensor:
    parameters = start.clone().requires_grad_()
    advance = update.begin(parameters)
    with torch.no_grad():
        for step, slope in enumerate(slopes):
            advance(slope, step)
    return parameters.detach()


@pytest.mark.parametrize(("nesterov", "kind"), [(False, torch.optim.Adam), (True, torch.optim.NAdam)])
def test_adam_is_torchs(nesterov: bool, kind: type[torch.optim.Optimizer]) -> None:
    slopes = [random(2, 3, seed=seed) for seed in range(5)]
    start = random(2, 3, seed=9)
    reference = start.clone().requires_grad_()
    optimiser = kind([reference], lr=0.3, betas=(0.5, 0.99))
    for slope in slopes:
        reference.grad = slope
        optimiser.step()
    assert torch.equal(after(updates.Adam(0.3, (0.5, 0.99), nesterov=nesterov), start, slopes), reference.detach())


def test_the_cosine_schedule_is_torchs() -> None:
    update = updates.Adam(0.1, steps=7, schedule="cosine")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 7)
    for step in range(7):
        assert update.rate_at(step) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
        optimiser.step()
        schedule.step()


def test_normalised_steps_have_one_mean_size_and_shrink_what_is_there() -> None:
    start, slope = random(3, 4, seed=1), random(3, 4, seed=2) * torch.tensor([[1.0], [1e6], [1e-6]]).double()
    ended = after(updates.Normalised(8.0, 2.0, steps=2, decay=0.9), start, [slope])
    for row in range(3):
        by_hand = [
            0.9 * (q - 8.0 * g / (sum(map(abs, slope[row].tolist())) / 4))
            for q, g in zip(start[row].tolist(), slope[row].tolist(), strict=True)
        ]
        assert ended[row].tolist() == pytest.approx(by_hand)


def test_without_a_slope_a_code_stays() -> None:
    start = random(2, 4)
    slope = torch.stack([torch.zeros(4), torch.ones(4)]).double()
    ended = after(updates.Normalised(1.0, 1.0, steps=1, decay=0.5), start, [slope])
    assert torch.equal(ended[0], start[0])
    assert not torch.equal(ended[1], start[1])


def test_codes_stay_between_their_bounds() -> None:
    high = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    slopes = [random(5, 4, seed=seed) for seed in range(9)]
    ended = after(updates.Normalised(3.0, 3.0, steps=9, low=0.0, high=high), torch.zeros(5, 4).double(), slopes)
    assert (ended >= 0).all()
    assert (ended <= high).all()


def test_signed_steps_stay_in_the_box_and_the_range() -> None:
    centre = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes = [random(4, 3, 5, seed=seed) for seed in range(9)]
    ended = after(updates.SignedStep(centre, 0.1, 0.025), centre, slopes)
    assert float((ended - centre).abs().max()) <= 0.1 + 1e-12
    assert ended.min() >= 0
    assert ended.max() <= 1
    first = after(updates.SignedStep(centre, 0.1, 0.025), centre, slopes[:1])
    by_hand = [
        min(max(x - 0.025 * math.copysign(1, g), 0), 1)
        for x, g in zip(centre.flatten().tolist(), slopes[0].flatten().tolist(), strict=True)
    ]
    assert first.flatten().tolist() == pytest.approx(by_hand)


def test_a_pixel_without_a_slope_stays() -> None:
    centre = torch.full((1, 3), 0.5)
    assert torch.equal(after(updates.SignedStep(centre, 0.1, 0.02), centre, [torch.zeros(1, 3)]), centre)
