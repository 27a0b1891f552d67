"""The recipe repeats itself bit by bit, and writes what it measured."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ambench.core import InputError

zoo = importlib.import_module("ambench.zoo")
files = importlib.import_module("ambench.zoo.files")
measuring = importlib.import_module("ambench.zoo.measure")
recipe = importlib.import_module("ambench.zoo.recipe")
script = importlib.import_module("ambench.zoo.train")


def silent(numbers: Sequence[int], description: str) -> Iterable[int]:
    return numbers


def few_steps(name: str, seed: int = 0) -> dict[str, Tensor]:
    short = recipe.Recipe(images=96, stored=64, batch=16, rate=1e-3, seed=seed)
    specification = zoo.specification(name)
    if specification.of_series:
        examples = recipe.drawn_series(seed, short.stored, silent)
    else:
        examples = recipe.drawn_examples(seed, short.stored, specification.by_texture, silent)
    state: dict[str, Tensor] = recipe.train(specification, short, examples, silent).state_dict()
    return state


@pytest.mark.parametrize("name", ["cnn", "vit-texture", "series-cnn"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name: str) -> None:
    first = few_steps(name)
    torch.rand(3)  # the global random state must not matter
    again, other = few_steps(name), few_steps(name, seed=1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight"))


def test_twins_see_the_same_images_under_other_labels() -> None:
    by_shape, by_texture = (recipe.drawn_examples(0, 64, cue, silent) for cue in (False, True))
    assert torch.equal(by_shape.images, by_texture.images)
    assert torch.equal(by_shape.present, by_texture.present)
    assert (by_shape.label != by_texture.label).any()


def test_training_images_have_independent_cues_and_are_no_test_images() -> None:
    drawn = recipe.drawn_examples(0, 512, False, silent)
    texture = recipe.drawn_examples(0, 512, True, silent).label
    assert torch.bincount(drawn.label * 8 + texture).tolist() == [8] * 64
    usual = importlib.import_module("ambench.datasets.shapes").contexts(drawn.label)
    assert ((drawn.present == usual).double().mean(0) - 0.5).abs().max() < 4 * 0.5 / 512**0.5
    test = importlib.import_module("ambench.datasets.shapes").Shapes(test=64)
    pixels = {(image * 255).round().byte().numpy().tobytes() for case in test for image in case.images}
    assert not pixels & {image.numpy().tobytes() for image in drawn.images}


def test_training_series_have_independent_cues_and_are_no_test_series() -> None:
    drawn = recipe.drawn_series(0, 512, silent)
    assert torch.bincount(drawn.label).tolist() == [128] * 4
    dataset = importlib.import_module("ambench.datasets.series")
    usual = dataset.contexts(drawn.label)
    assert ((drawn.present == usual).double().mean(0) - 0.5).abs().max() < 4 * 0.5 / 512**0.5
    test = {series.numpy().tobytes() for case in dataset.Series(test=64) for series in case.images}
    assert not test & {(series.float() / drawn.levels).numpy().tobytes() for series in drawn.images}


def test_a_batch_of_series_is_in_the_unit_range_and_rolled_along_time() -> None:
    short = recipe.Recipe(images=64, stored=64, batch=16, rate=1e-3, roll=4)
    examples = recipe.drawn_series(0, 64, silent)
    batch = next(recipe.batches(examples, short))[0]
    assert batch.shape == (16, 1, 128)
    assert 0 <= batch.min() < batch.max() <= 1
    whole = {tuple(sorted(series.flatten().tolist())) for series in examples.images}
    assert all(tuple(sorted((series.flatten() * 1024).round().int().tolist())) in whole for series in batch)


def test_every_image_is_seen_once_an_epoch() -> None:
    short = recipe.Recipe(images=64, stored=64, batch=16, rate=1e-3, roll=0)
    examples = recipe.drawn_examples(0, 64, False, silent)
    numbered = recipe.Examples(examples.images, torch.arange(64), examples.present)
    source = recipe.batches(numbered, short)
    for _ in range(2):
        assert sorted(torch.cat([next(source)[1] for _ in range(4)]).tolist()) == list(range(64))


def test_the_loss_is_the_sum_of_its_two_parts_by_hand() -> None:
    logits = torch.tensor([[2.0, 0, 0, 0, 0, 0, 0, 0, 1.0, -1.0, 0.0, 3.0]])
    present = torch.tensor([[True, False, True, False]])
    log_share = torch.log_softmax(logits[0, :8], 0)
    by_class = -(0.95 * log_share[0] + 0.05 * log_share.mean())
    p = torch.sigmoid(logits[0, 8:])
    by_concept = -torch.log(torch.where(present[0], p, 1 - p)).mean()
    value = recipe.loss_of(logits, torch.tensor([0]), present, 0.05)
    assert value.item() == pytest.approx((by_class + by_concept).item(), abs=1e-6)


def test_the_command_writes_weights_and_a_card_that_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(script.RECIPES, "cnn", recipe.Recipe(images=999, stored=64, batch=32, rate=1e-3))
    monkeypatch.setattr(script, "measure", partial(measuring.measure, count=64))
    threads = torch.get_num_threads()
    script.main(["cnn", "--seed", "2", "--images", "64", "--out", str(tmp_path)])
    torch.set_num_threads(threads)
    card = json.loads((tmp_path / "cnn.json").read_text())
    state = files.read(tmp_path / "cnn.safetensors")
    assert card["digest"] == files.digest_of(state)
    assert (card["recipe"]["seed"], card["recipe"]["images"]) == (2, 64)
    network = zoo.network("cnn", tmp_path / "cnn.safetensors")
    assert torch.equal(network.fc.weight, state["fc.weight"].float())


def test_the_command_makes_the_network_of_series_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "measure_series", partial(measuring.measure_series, count=64))
    short = recipe.Recipe(images=999, stored=64, batch=32, rate=1e-3, precision="float32")
    monkeypatch.setitem(script.RECIPES, "series-cnn", short)
    script.main(["series-cnn", "--images", "64", "--out", str(tmp_path)])
    card = json.loads((tmp_path / "series-cnn.json").read_text())
    assert card["digest"] == files.digest_of(files.read(tmp_path / "series-cnn.safetensors"))
    assert card["cue"] == "waveform"
    assert card["measured"]["concepts"].keys() == {"spike", "burst", "plateau"}


def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    state = files.half(zoo.network("cnn-untrained"))
    about = {"name": "x", "seed": 0}
    files.write(tmp_path / "a", state, about)
    files.write(tmp_path / "b", dict(reversed(state.items())), dict(reversed(about.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_digest_sees_values_names_and_types() -> None:
    states = [{"a": torch.zeros(2)}, {"a": torch.ones(2)}, {"b": torch.zeros(2)}, {"a": torch.zeros(2).half()}]
    assert len({files.digest_of(state) for state in states}) == 4


def test_balanced_accuracy_equals_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score

    truth = torch.rand(200, generator=torch.Generator().manual_seed(1)) < 0.2
    answer = torch.rand(200, generator=torch.Generator().manual_seed(2)) < 0.4
    expected = balanced_accuracy_score(truth, answer)
    assert measuring.balanced_accuracy(answer, truth) == pytest.approx(expected, abs=1e-12)


def test_a_training_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match="at least one batch"):
        recipe.Recipe(images=64, rate=1e-3)


def test_another_seed_is_not_written_over_the_packages_weights() -> None:
    before = (files.WEIGHTS / "cnn.safetensors").read_bytes()
    with pytest.raises(InputError, match="--out"):
        script.main(["cnn", "--seed", "1"])
    assert (files.WEIGHTS / "cnn.safetensors").read_bytes() == before
