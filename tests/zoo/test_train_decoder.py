"""The decoder's recipe repeats itself bit by bit, and writes what it measured."""

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

files = importlib.import_module("ambench.zoo.files")
measuring = importlib.import_module("ambench.zoo.measure_decoder")
painter = importlib.import_module("ambench.zoo.painter")
recipe = importlib.import_module("ambench.zoo.decoder_recipe")
script = importlib.import_module("ambench.zoo.train_decoder")


def silent(numbers: Sequence[int], description: str) -> Iterable[int]:
    return numbers


def few_steps(seed: int = 0) -> tuple[dict[str, Tensor], float, float]:
    """The state after a few steps, and the error before and after them."""
    short = recipe.DecoderRecipe(images=128, stored=32, batch=16, rate=0.1, seed=seed)
    pairs = recipe.taught(seed, "test-training", short.stored)
    taught = recipe.teach(short, pairs, silent)
    errors = [
        (measuring.decoded(net, pairs.codes) - pairs.pixels / 255.0).square().mean()
        for net in (painter.Painter(), taught)
    ]
    return taught.state_dict(), errors[0].item(), errors[1].item()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, before, after = few_steps()
    torch.rand(3)  # the global random state must not matter
    again, other = few_steps()[0], few_steps(seed=1)[0]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)
    assert after < 0.95 * before


def test_the_command_writes_weights_and_a_card_that_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "RECIPE", recipe.DecoderRecipe(images=999, stored=32, batch=16, rate=0.1))
    monkeypatch.setattr(script, "measure", partial(measuring.measure, count=64))
    threads = torch.get_num_threads()
    script.main(["--seed", "2", "--images", "32", "--out", str(tmp_path)])
    torch.set_num_threads(threads)
    card = json.loads((tmp_path / f"{painter.NAME}.json").read_text())
    state = files.read(tmp_path / f"{painter.NAME}.safetensors")
    assert card["digest"] == files.digest_of(state)
    assert (card["recipe"]["seed"], card["recipe"]["images"]) == (2, 32)
    network = painter.network(tmp_path / f"{painter.NAME}.safetensors")
    assert torch.equal(network.textures, state["textures"].float())


def test_another_decoder_is_not_written_over_the_packages() -> None:
    path = files.WEIGHTS / f"{painter.NAME}.safetensors"
    before = path.read_bytes()
    for other in (["--seed", "1"], ["--images", "64"]):
        with pytest.raises(InputError, match="--out"):
            script.main(other)
    assert path.read_bytes() == before


def test_a_training_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match="at least one batch"):
        recipe.DecoderRecipe(images=16, rate=0.1)
