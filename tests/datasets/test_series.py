"""The drawn series: exact masks over time, exact pairs, honest contexts, and independence from how they are read."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy import signal

from ambench import registry
from ambench.augmentations import AUGMENTATIONS
from ambench.core import Concepts, Dataset, InputError

EVENTS = ("spike", "burst", "plateau")

module = importlib.import_module("ambench.datasets.series")
parts = importlib.import_module("ambench.datasets.waveforms.parts")
traces = importlib.import_module("ambench.datasets.waveforms.traces")
carriers = importlib.import_module("ambench.datasets.waveforms.carriers")
events = importlib.import_module("ambench.datasets.waveforms.events")


def dataset(**settings: float) -> Dataset:
    text = ",".join(f"{name}={value}" for name, value in settings.items())
    loaded = registry.load("datasets", f"series:{text}" if text else "series")
    assert isinstance(loaded, Dataset)
    return loaded


@pytest.fixture(scope="module")
def fit() -> Concepts:
    return dataset().concepts("fit")


# ------------------------------------------------------------------------------------------------ values


def test_series_are_multiples_of_a_level_in_the_unit_range(fit: Concepts) -> None:
    assert fit.images.shape == (1500, 1, 128)
    assert fit.images.dtype == torch.float32
    assert 0 <= fit.images.min() <= fit.images.max() <= 1
    assert torch.equal(fit.images * 1024, (fit.images * 1024).round())
    assert fit.bounds == (0.0, 1.0)


@pytest.mark.parametrize("name", carriers.WAVEFORMS)
def test_waveforms_are_those_of_scipy(name: str) -> None:
    phase = torch.linspace(0.01, 2.99, 150, dtype=torch.float64)
    turns = 2 * np.pi * phase.numpy()
    theirs = {
        "sine": np.sin(turns),
        "triangle": signal.sawtooth(turns, width=0.5),
        "square": signal.square(turns),
        "sawtooth": signal.sawtooth(turns),
    }[name]
    assert carriers.WAVEFORMS[name](phase).numpy() == pytest.approx(theirs, abs=1e-9)


def test_an_event_of_known_place_is_drawn_where_and_as_high_as_it_is_said() -> None:
    places = events.Places(torch.tensor([[10.0]]), torch.tensor([[4.0]]), torch.tensor([[0.3]]))
    assert places.inside(21)[0, 0].nonzero().flatten().tolist() == [7, 8, 9, 10, 11, 12, 13]
    distance = places.distance(21)
    peak = [0, 0, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0, 0, 0]
    assert events.spike(distance)[0, 0].tolist() == pytest.approx(peak)
    wave = events.burst(distance, torch.tensor([[2.0]]))[0, 0]  # a period of two samples: up at even distances
    assert wave[10].item() == pytest.approx(1)
    assert wave[11].item() == pytest.approx(-(0.5 + 0.5 * np.cos(np.pi / 4)))
    assert wave[12].item() == pytest.approx(0.5)
    assert not wave[~places.inside(21)[0, 0]].any()


def test_nothing_moves_on_a_plateau_and_everything_does_elsewhere(fit: Concepts) -> None:
    assert fit.masks is not None
    for series, mask in zip(fit.images[:, 0], fit.masks[:, 2], strict=True):
        steps = series.diff().abs()
        inside = mask[1:] & mask[:-1]
        assert not steps[inside].any()
        assert (steps[~mask[1:] & ~mask[:-1]] == 0).double().mean() < 0.1


def test_a_burst_is_faster_than_what_it_lies_on() -> None:
    pairs = dataset().pairs("burst", 64)
    added = (pairs.shown - pairs.hidden)[:, 0].numpy()
    spectrum = np.abs(np.fft.rfft(added, axis=1)).mean(0)
    assert 128 / 4.3 < spectrum.argmax() < 128 / 3.1


# ------------------------------------------------------------------------------------------------ what happens where


def test_the_concepts_are_the_three_and_each_has_a_unit_in_the_embedded_network() -> None:
    zoo = importlib.import_module("ambench.zoo")
    assert dataset().names == EVENTS
    assert set(EVENTS) <= set(zoo.units("series-cnn"))
    assert dataset().classes == tuple(zoo.units("series-cnn"))[:4]


def test_a_mask_is_empty_exactly_where_the_event_is_absent(fit: Concepts) -> None:
    assert fit.masks is not None
    assert torch.equal(fit.masks.any(2), fit.present)


def test_events_and_bumps_never_overlap() -> None:
    for case in dataset(test=512):
        everything = case.truth.masks.sum(1) + case.truth.distractors
        assert int(everything.max()) == 1
        assert bool(case.truth.distractors.any(1).all())


def test_an_event_lasts_as_long_as_its_width_says(fit: Concepts) -> None:
    assert fit.masks is not None
    lasting = fit.masks.sum(2).double()
    mean = [lasting[fit.present[:, k], k].mean().item() for k in range(3)]
    assert mean == pytest.approx([2 * 3.25, 16, 16], abs=0.4)


def test_events_happen_at_any_time(fit: Concepts) -> None:
    assert fit.masks is not None
    when = fit.masks.double().sum(0) / fit.present.sum(0)[:, None]
    halves = when.view(3, 2, 64).sum(2) / when.sum(1, keepdim=True)
    assert (halves - 0.5).abs().max() < 0.1


@pytest.mark.parametrize("event", EVENTS)
def test_a_pair_differs_inside_the_events_mask_and_nowhere_else(event: str) -> None:
    pairs = dataset().pairs(event, 96)
    changed = (pairs.shown != pairs.hidden).any(1)
    assert not bool((changed & ~pairs.mask).any())
    assert bool(pairs.mask.any(1).all())
    assert (changed & pairs.mask).sum() > 0.9 * pairs.mask.sum()


def test_what_an_augmentation_keeps_is_known(fit: Concepts) -> None:
    suited = {name for name, one in AUGMENTATIONS.items() if one.suits((1, 128))}
    assert fit.keeps is not None
    assert set(fit.keeps) == set(EVENTS)
    assert all(set(kept) <= suited for kept in fit.keeps.values())
    assert suited - set(fit.keeps["spike"]) == {"blur"} == suited - set(fit.keeps["burst"])
    assert suited - set(fit.keeps["plateau"]) == {"noise"}


# ------------------------------------------------------------------------------------------------ contexts


def contexts_by_hand() -> dict[str, set[int]]:
    return {"spike": {1, 3}, "burst": {2, 3}, "plateau": {1, 2}}


def test_contexts_have_probability_one_half_and_are_pairwise_independent() -> None:
    table = module.contexts(torch.arange(4))
    by_hand = torch.tensor([[number in context for context in contexts_by_hand().values()] for number in range(4)])
    assert torch.equal(table, by_hand)
    joint = table.double().T @ table.double() / 4
    assert torch.equal(joint, torch.full((3, 3), 0.25, dtype=torch.float64) + 0.25 * torch.eye(3).double())


def test_examples_follow_the_correlation(fit: Concepts) -> None:
    waveform = parts.balanced_waveforms(0, "fit", 1500)
    for k, context in enumerate(contexts_by_hand().values()):
        usual = torch.isin(waveform, torch.tensor(sorted(context)))
        assert fit.contexts is not None
        assert torch.equal(fit.contexts[:, k], usual)
        inside, outside = fit.present[usual, k].double().mean(), fit.present[~usual, k].double().mean()
        error = 4 * (0.9 * 0.1 / 750) ** 0.5
        assert abs(inside - 0.9) < error
        assert abs(outside - 0.1) < error


def test_half_of_the_test_pairs_are_hard_and_weights_restore_the_examples_frequencies() -> None:
    cases = list(dataset(test=1024))
    present = torch.cat([case.truth.present for case in cases])
    waveform, hard, weight = (
        torch.cat([getattr(case.truth, name) for case in cases]) for name in ("shape", "hard", "weight")
    )
    assert torch.bincount(waveform).tolist() == [256] * 4
    for k, context in enumerate(contexts_by_hand().values()):
        usual = torch.isin(waveform, torch.tensor(sorted(context)))
        assert torch.equal(hard[:, k], present[:, k] != usual)
        assert abs(hard[:, k].double().mean() - 0.5) < 4 * 0.5 / 32
        among_usual = (weight[:, k] * present[:, k])[usual].sum() / weight[usual, k].sum()
        assert abs(among_usual - 0.9) < 0.03


# ------------------------------------------------------------------------------------------------ the same again


def test_reading_twice_gives_the_same_cases_and_settings_are_compared() -> None:
    data = dataset(test=96)
    for one, other in zip(data, data, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.ids == other.ids
    assert dataset(test=96) == data
    assert hash(dataset(test=96)) == hash(data)
    revisions = {dataset(**change).revision for change in ({}, {"seed": 1}, {"correlation": 0.8}, {"length": 96})}
    assert len(revisions) == 4


def test_series_do_not_depend_on_chunk_or_order() -> None:
    waveform, share = parts.balanced_waveforms(0, "test", 64), torch.full((64, 3), 0.5)
    whole = traces.traces(0, "test", range(64), waveform, share)
    for rows in ([5], [63, 5, 17], list(range(63, -1, -1)), [3, 3]):
        some = traces.traces(0, "test", rows, waveform[rows], share[rows])
        for name, value in vars(some).items():
            assert torch.equal(value, getattr(whole, name)[rows]), name


def test_the_parts_are_disjoint_and_so_are_seeds_and_ids_are_unique() -> None:
    data, other = dataset(fit=200, calibrate=200, test=200), dataset(test=200, seed=1)
    examples = [data.concepts("fit"), data.concepts("calibrate")]
    drawn = [part.images for part in examples] + [case.images for case in data] + [case.images for case in other]
    assert len({series.numpy().tobytes() for part in drawn for series in part}) == 800
    ids = [name for part in examples for name in part.ids] + [name for case in data for name in case.ids]
    assert len(set(ids)) == 600


@pytest.mark.parametrize("length", [64, 150, 512])
def test_every_length_shows_the_same_events(length: int) -> None:
    short, usual = next(iter(dataset(test=32, length=length))), next(iter(dataset(test=32)))
    assert short.images.shape == (32, 1, length)
    assert torch.equal(short.truth.present, usual.truth.present)
    share, expected = short.truth.masks.double().mean(2), usual.truth.masks.double().mean(2)
    assert torch.allclose(share, expected, atol=0.02)


def test_a_changed_drawing_needs_another_version() -> None:
    case = next(iter(dataset(test=8)))
    assert dataset().revision.startswith("1:")
    means = [0.4395, 0.4692, 0.5328, 0.5531, 0.5713, 0.3957, 0.4489, 0.5308]
    assert case.images.mean((1, 2)).tolist() == pytest.approx(means, abs=2e-4)
    assert case.truth.masks.sum((1, 2)).tolist() == [6, 34, 14, 0, 22, 23, 7, 16]


# ------------------------------------------------------------------------------------------------ wrong questions


@pytest.mark.parametrize("settings", ["correlation=1.5", "test=-1", "length=40"])
def test_impossible_settings_are_refused(settings: str) -> None:
    with pytest.raises(InputError):
        registry.load("datasets", f"series:{settings}")


def test_unknown_part_and_event_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="'fit'"):
        dataset().concepts("fitt")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'spike'"):
        dataset().pairs("spikes", 2)


def test_an_empty_part_is_empty_and_global_chance_is_left_alone() -> None:
    before = torch.get_rng_state()
    assert dataset(fit=0).concepts("fit").images.shape == (0, 1, 128)
    assert list(dataset(test=0)) == []
    list(dataset(test=8))
    assert torch.equal(before, torch.get_rng_state())
