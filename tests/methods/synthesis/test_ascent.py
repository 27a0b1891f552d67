"""The climb against finite differences, and what happens to images that cannot go on."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import networks
from ambench.core import InputError

module = importlib.import_module("ambench.methods.synthesis._ascent")
Ascent, Seen = module.Ascent, module.Seen
Fourier = importlib.import_module("ambench.methods.synthesis._fourier").Fourier


def ascent(
    respond: Callable[[Tensor], Tensor], steps: int, render: Callable[[Tensor], Tensor] = torch.sigmoid
) -> Ascent:
    return Ascent(
        render=render, move=lambda images, step: images, respond=lambda images: Seen(respond(images)), steps=steps
    )


@pytest.mark.parametrize("name", ["module", "transformer"])
def test_the_first_step_follows_finite_differences(name: str) -> None:
    """Adam's first step is rate * g / (|g| + 1e-8): with a large scale it tells g itself."""
    model = networks.every()[name]
    network = model.network.double()
    images = Fourier(model.input_shape)
    start = torch.stack([images.start(torch.Generator().manual_seed(seed)) for seed in range(2)]).double() * 30
    respond = lambda pictures: network(pictures)[[0, 1], [2, 4]]  # noqa: E731 - the two units of the two images
    scale = torch.full((2,), 1e8, dtype=torch.float64)
    share = (ascent(respond, 1, images.render).climb(start, scale).parameters - start) / 0.05
    slope = 1e-8 * share / (1 - share.abs()) * 1e8
    for place in [(0, 0, 0, 1, 0), (0, 2, 3, 2, 1), (1, 1, 5, 0, 0), (1, 0, 1, 4, 1)]:
        step = torch.zeros_like(start)
        step[place] = 1e-5
        with torch.no_grad():
            rise = respond(images.render(start + step)) - respond(images.render(start - step))
        assert abs(float(rise[place[0]]) / 2e-5 - float(slope[place])) < 1e-6


def test_an_image_that_meets_nan_stays_where_it_was_finite_and_the_others_climb_on() -> None:
    edge = torch.tensor([0.55, 2.0])  # beyond it the objective is not a number

    def respond(images: Tensor) -> Tensor:
        level = images.flatten(1).mean(1)
        return level + 0 * (edge - level).sqrt()

    start = torch.zeros(2, 1, 4, 4)
    ended = ascent(respond, 40).climb(start, torch.ones(2))
    levels = torch.sigmoid(ended.parameters).flatten(1).mean(1)
    assert ended.history.isfinite().all()
    assert 0.53 < float(levels[0]) < 0.55  # one step of .05 is worth .012
    alone = ascent(lambda images: images.flatten(1).mean(1), 40).climb(start[1:], torch.ones(1))
    assert torch.equal(ended.parameters[1:], alone.parameters)
    assert ended.alive.tolist() == [True, True]
    stop = int((ended.history[0].diff() == 0).nonzero()[0])
    assert (ended.history[0, stop:] == ended.history[0, stop]).all()


def test_an_image_that_is_nan_from_the_start_is_dead_and_stays() -> None:
    start = torch.zeros(1, 1, 2, 2)
    ended = ascent(lambda images: images.flatten(1).mean(1) * torch.nan, 3).climb(start, torch.ones(1))
    assert torch.equal(ended.parameters, start)
    assert not ended.alive.any()
    assert ended.history.isfinite().all()


def test_nan_at_the_very_end_returns_the_state_before() -> None:
    calls = []

    def respond(images: Tensor) -> Tensor:
        calls.append(images.detach().clone())
        level = images.flatten(1).mean(1)
        return level + 0 * (0.52 - level).sqrt()

    ended = ascent(respond, 2).climb(torch.zeros(1, 1, 2, 2), torch.ones(1))
    assert torch.equal(torch.sigmoid(ended.parameters), calls[1])
    assert ended.parameters.isfinite().all()


def test_history_is_the_objective_of_each_step() -> None:
    seen: list[Tensor] = []

    def respond(images: Tensor) -> Tensor:
        values = images.flatten(1).sum(1)
        seen.append(values.detach())
        return values

    ended = ascent(respond, 5).climb(torch.zeros(3, 1, 2, 2), torch.ones(3))
    assert torch.equal(ended.history, torch.stack(seen[:5], 1))


def test_an_objective_without_gradient_is_refused() -> None:
    with pytest.raises(InputError, match=r"no gradient .* actmax_free"):
        ascent(lambda images: images.detach().flatten(1).sum(1), 3).climb(torch.zeros(1, 1, 2, 2), torch.ones(1))
