"""Two pictures are mixed to the bit."""

from __future__ import annotations

import importlib

import pytest
import torch

mixed = importlib.import_module("ambench.metrics.faithfulness._inputs").mixed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("one_colour", [True, False])
def test_every_place_is_that_of_one_of_the_pictures(dtype: torch.dtype, one_colour: bool) -> None:
    random = torch.Generator().manual_seed(0)
    shape = (5, 3, 33, 35)  # no multiple of what a processor does at a time

    def drawn() -> torch.Tensor:
        sizes = 10.0 ** torch.randint(-6, 7, shape, generator=random)
        return torch.randn(shape, generator=random, dtype=dtype) * sizes.to(dtype)

    there, elsewhere = drawn(), drawn()
    there = there[:1, :, :1, :1].expand(shape) if one_colour else there
    changed = torch.rand(5, 1, 33, 35, generator=random) < 0.5
    assert torch.equal(mixed(changed, there, elsewhere), torch.where(changed, there, elsewhere))
    assert torch.equal(mixed(changed, elsewhere, there), torch.where(changed, elsewhere, there))
