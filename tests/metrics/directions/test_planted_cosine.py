"""Planted cosine is 1 for the true shift, and that of numpy otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ambench import models, registry
from ambench.core import Case, Concepts, Directions, Layer, Model, Pairs, Randomness, Trial, Truth
from ambench.datasets.shapes import Shapes

WIDTH, COUNT = 6, 64
MIX = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1))


class Mixed(nn.Module):
    """Features W x of inputs [6, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.layer.weight.data = MIX[:, :, None, None].clone()

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


def trial(vectors: Tensor, shift: Tensor, noise: float = 0.0, pooling: str = "mean") -> Trial[Directions]:
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(COUNT, WIDTH, 1, 1, generator=random)
    shown = hidden + shift[:, None, None] + noise * torch.randn(COUNT, WIDTH, 1, 1, generator=random)
    pairs = Pairs(shown, hidden, torch.zeros(COUNT, 1, 1, dtype=torch.bool))
    network = Mixed()
    model = Model(
        "mixed", "none", network, {}, {"layer": Layer("layer", network.layer, lambda z: z)}, "layer", (6, 1, 1)
    )
    concepts = Concepts(("dot",), hidden[:2], torch.tensor([[True], [False]]))
    case = Case(hidden[:2], torch.zeros(2, 1).long(), Truth(concepts.present), ("a", "b"))
    directions = Directions(vectors, torch.zeros(1), "layer", pooling)
    return Trial(model, case, directions, concepts, Randomness((0,)), torch.arange(1), pairs=lambda name, count: pairs)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_linear_layer_shifts_by_its_image_of_the_concept() -> None:
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0, 0.3, 1.0])
    for seed in range(5):
        vector = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(seed))
        values = registry.load("metrics", "planted_cosine").score(trial(vector, shift))
        assert values.values.mean().item() == pytest.approx(cosine(vector[0].numpy(), (MIX @ shift).numpy()), abs=1e-6)


def test_the_true_shift_has_cosine_one_and_its_opposite_minus_one() -> None:
    shift = torch.ones(WIDTH)
    truth = (MIX @ shift)[None]
    for sign in (1.0, -1.0):
        values = registry.load("metrics", "planted_cosine").score(trial(sign * truth, shift)).values
        assert values.mean().item() == pytest.approx(sign, abs=1e-6)


def test_the_cosine_with_the_mean_and_the_mean_of_cosines_differ_and_both_are_numpys() -> None:
    along = MIX @ torch.ones(WIDTH)
    given = trial(along[None], torch.ones(WIDTH), noise=1.5)
    pairs = given.pairs("dot", COUNT)
    shifts = ((pairs.shown - pairs.hidden)[:, :, 0, 0] @ MIX.T).double().numpy()
    vector = along.double().numpy()
    by_shift, each = (
        registry.load("metrics", f"planted_cosine:of={of}").score(given).values.mean().item()
        for of in ("shift", "each")
    )
    assert by_shift == pytest.approx(cosine(vector, shifts.mean(0)), abs=1e-6)
    assert each == pytest.approx(np.mean([cosine(vector, shift) for shift in shifts]), abs=1e-6)
    assert abs(by_shift - each) > 0.02


def test_the_spread_is_that_of_the_cosine_over_samples_of_pairs() -> None:
    given = trial(torch.ones(1, WIDTH), torch.ones(WIDTH), noise=1.5)
    pairs = given.pairs("dot", COUNT)
    shifts = ((pairs.shown - pairs.hidden)[:, :, 0, 0] @ MIX.T).double().numpy()
    values = registry.load("metrics", "planted_cosine").score(given).values.numpy()
    random = np.random.default_rng(0)
    drawn = [cosine(np.ones(WIDTH), shifts[random.integers(0, COUNT, COUNT)].mean(0)) for _ in range(4000)]
    assert values.std(ddof=1) / COUNT**0.5 == pytest.approx(np.std(drawn), rel=0.1)


def test_order_is_the_area_under_the_curve() -> None:
    given = trial(torch.ones(1, WIDTH), torch.full((WIDTH,), 0.3), noise=1.0)
    pairs = given.pairs("dot", COUNT)
    scores = torch.cat([pairs.shown, pairs.hidden])[:, :, 0, 0] @ MIX.T @ torch.ones(WIDTH)
    expected = roc_auc_score([1] * COUNT + [0] * COUNT, scores.numpy())
    found = registry.load("metrics", "planted_cosine:of=order").score(given).values.mean().item()
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_layer_that_ignores_the_concept_leaves_it_undefined() -> None:
    values = registry.load("metrics", "planted_cosine").score(trial(torch.ones(1, WIDTH), torch.zeros(WIDTH)))
    assert not values.defined.any()


def test_a_dead_direction_is_flat() -> None:
    values = registry.load("metrics", "planted_cosine").score(trial(torch.zeros(1, WIDTH), torch.ones(WIDTH)))
    assert values.flat.all()
    assert not values.values.any()


def test_without_pairs_there_is_no_value() -> None:
    given = trial(torch.ones(1, WIDTH), torch.ones(WIDTH))
    assert registry.load("metrics", "planted_cosine").score(Trial(**{**vars(given), "pairs": None})) is None


def test_the_pattern_of_the_pairs_themselves_is_the_shift() -> None:
    """On the drawn pictures: a pattern probe that is shown the pairs points exactly where the shift does."""
    dataset, model = Shapes(fit=8, test=1), models.resolve("cnn")
    pairs = dataset.pairs("ring", 24)
    present = torch.arange(48)[:, None] < 24
    concepts = Concepts(("ring",), torch.cat([pairs.shown, pairs.hidden]), present)
    found = registry.load("methods", "pattern_cav").fit(model, concepts, Randomness((0,)))
    case = Case(concepts.images, torch.zeros(48, 1).long(), Truth(present), tuple(map(str, range(48))))
    given = Trial(model, case, found, concepts, Randomness((0,)), torch.arange(1), pairs=dataset.pairs)
    values = registry.load("metrics", "planted_cosine:count=24").score(given).values
    assert values.mean().item() == pytest.approx(1, abs=1e-6)
