"""Dataset IoU is scikit-learn's Jaccard score of all pixels together, images without the concept included."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor

import trials
from ambench import registry
from ambench.core import Case, Heatmaps, Ledger, Truth, Values

module = importlib.import_module("ambench.metrics.alignment.dataset_iou")


def asked(masks: Tensor, present: Tensor | None = None) -> Case:
    """One concept asked of each image, with masks [N, 1, H, W]."""
    shown = masks.flatten(2).any(2) if present is None else present
    ids = tuple(f"image-{i}" for i in range(len(masks)))
    return Case(
        torch.zeros(len(masks), 3, *masks.shape[2:]), torch.zeros(len(masks), 1).long(), Truth(shown, masks), ids
    )


def judged(maps: Tensor, case: Case, level: float, part: float = 0.0) -> Values:
    metric = registry.load("metrics", "dataset_iou")
    learned = module.Levels(torch.tensor([[level, part]], dtype=torch.float64), torch.tensor([True]))
    values = trials.measure(
        metric, [trials.trial(case, lambda images, case: Heatmaps(maps[:, :, 0, 0], maps))], learned
    )
    assert values is not None
    return values


def drawn(count: int = 30) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    masks = torch.rand(count, 1, 6, 5, generator=random) < 0.3
    masks[::2] = False
    return torch.randn(count, 1, 6, 5, generator=random) + masks, masks


def test_the_mean_is_the_jaccard_score_of_all_pixels() -> None:
    maps, masks = drawn()
    for level in (-1.0, 0.3, 1.0, 2.0):
        expected = jaccard_score(masks.flatten().numpy(), (maps > level).flatten().numpy())
        assert trials.means(judged(maps, asked(masks), level)) == pytest.approx(expected, abs=1e-12)


def test_light_in_images_without_the_concept_counts_against_a_map() -> None:
    maps, masks = drawn()
    quiet = torch.where(masks.flatten(1).any(1)[:, None, None, None], maps, torch.full_like(maps, -9))
    assert trials.means(judged(quiet, asked(masks), 0.5)) > trials.means(judged(maps, asked(masks), 0.5)) + 0.05


def test_the_spread_is_that_of_the_ratio_over_samples_of_images() -> None:
    maps, masks = drawn(60)
    values = judged(maps, asked(masks), 0.5).values[:, 0].numpy()
    hot = (maps > 0.5).flatten(1).numpy()
    truth = masks.flatten(1).numpy()
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(4000):
        rows = random.integers(0, 60, 60)
        ratios.append((hot[rows] & truth[rows]).sum() / (hot[rows] | truth[rows]).sum())
    assert values.std(ddof=1) / 60**0.5 == pytest.approx(np.std(ratios), rel=0.1)


def test_the_level_is_the_best_of_nine_on_the_calibration_part_by_a_plain_loop() -> None:
    maps, masks = drawn()
    ledger = Ledger(asked(masks).ids, asked(masks).targets, maps[:, :, 0, 0], asked(masks).truth)
    seen = torch.stack([maps.flatten(2), masks.flatten(2).float()], -1)
    learned = registry.load("metrics", "dataset_iou").calibrate(replace(ledger, observations=seen))
    flat, inside = maps.flatten().double().numpy(), masks.flatten().numpy()
    best = 0.0
    for share in (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
        level = np.sort(flat)[::-1][max(1, round(share * len(flat))) - 1]
        best = max(best, jaccard_score(inside, flat >= level), jaccard_score(inside, flat > level))
    level, part = learned.values[0].tolist()
    hot = (flat > level) + part * (flat == level)
    assert (hot * inside).sum() / ((hot * ~inside).sum() + inside.sum()) == pytest.approx(best)


def test_a_share_is_the_quantile_of_network_dissection() -> None:
    maps, masks = drawn(200)
    case = asked(masks)
    metric = registry.load("metrics", "dataset_iou:share=0.05")
    learned = trials.learn(metric, [trials.trial(case, lambda images, case: Heatmaps(maps[:, :, 0, 0], maps))])
    above = (maps.double() > learned.values[0, 0]).double().mean().item()
    assert above == pytest.approx(0.05, abs=1 / maps.numel() + 1e-9)


def test_a_perfect_map_scores_one_a_flat_one_what_chance_does() -> None:
    _, masks = drawn()
    for maps, expected in ((masks.float(), 1.0), (1 - masks.float(), 0.0)):
        case = asked(masks)
        learned = trials.learn(
            registry.load("metrics", "dataset_iou"),
            [trials.trial(case, lambda images, case, maps=maps: Heatmaps(maps[:, :, 0, 0], maps))],
        )
        score = trials.means(judged(maps, case, *learned.values[0].tolist()))
        assert score == pytest.approx(expected, abs=1e-12) if expected else score < 0.2
    flat = torch.zeros_like(masks, dtype=torch.float32)
    share, inside = 0.3, masks.sum().item()
    chance = share * inside / (share * (masks.numel() - inside) + inside)
    values = judged(flat, asked(masks), 0.0, share)
    assert trials.means(values) == pytest.approx(chance)
    assert values.flat.all()


def test_random_ties_are_taken_in_part_as_a_fair_choice_would_on_average() -> None:
    _, masks = drawn()
    random = np.random.default_rng(0)
    truth, found = masks.flatten().numpy(), []
    for _ in range(400):
        hot = random.random(len(truth)) < 0.3
        found.append(((hot & truth).sum(), (hot | truth).sum()))
    expected = np.mean([both for both, _ in found]) / np.mean([either for _, either in found])
    flat = torch.zeros_like(masks, dtype=torch.float32)
    assert trials.means(judged(flat, asked(masks), 0.0, 0.3)) == pytest.approx(expected, rel=0.02)


def test_an_image_that_shows_the_concept_without_a_mask_is_undefined() -> None:
    maps, masks = drawn()
    present = torch.ones(len(masks), 1, dtype=torch.bool)
    values = judged(maps, asked(masks, present), 0.5)
    assert torch.equal(values.defined, masks.flatten(2).any(2))


def test_large_calibration_maps_are_thinned_out_evenly() -> None:
    maps = torch.rand(2, 1, 200, 100)
    case = asked(maps > 0.5)
    seen = registry.load("metrics", "dataset_iou").observe(
        trials.trial(case, lambda images, case: Heatmaps(maps[:, :, 0, 0], maps))
    )
    assert seen.shape[2] <= 4096
    assert torch.equal(seen[..., 0], maps.flatten(2)[:, :, ::5])
