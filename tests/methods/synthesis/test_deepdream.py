"""Dreams: what is made louder, where they start, and how coarse their details are."""

from __future__ import annotations

import importlib

import pytest
import torch

import networks
from ambench import features, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness

Detail = importlib.import_module("ambench.methods.synthesis.deepdream").Detail


def examples(model: Model, count: int = 12) -> Concepts:
    images = networks.images(model, count, seed=5)
    return Concepts(("a", "b"), images, torch.arange(count)[:, None] % torch.tensor([3, 2]) == 0)


def make(spec: str, model: Model) -> Portraits:
    method = registry.load("methods", f"deepdream:{spec}")
    return method.synthesise(model, torch.tensor([1, 3]), examples(model), Randomness((0,)))


def loudest(model: Model, concept: int, unit: int, place: int = 0) -> torch.Tensor:
    concepts = examples(model)
    images = concepts.images[~concepts.present[:, concept]]
    order = features.logits(model, images)[:, unit].argsort(descending=True)
    return images[order[place]]


@pytest.mark.parametrize("name", ["module", "in-place", "48 x 80", "one channel", "transformer"])
def test_the_layer_gets_louder(name: str) -> None:
    model = networks.every()[name]
    portraits = make("steps=10", model)
    assert portraits.history.shape == (2, 30)
    assert portraits.alive.all()
    starts = torch.stack([loudest(model, 0, 1), loudest(model, 1, 3)])
    layer = registry.load("methods", "deepdream").layer_of(model).name

    def energy(images: torch.Tensor) -> torch.Tensor:
        return features.read(model, images, [layer])[layer].square().flatten(1).mean(1)

    assert (energy(portraits.images) > energy(starts)).all()


def test_a_dream_starts_at_the_images_without_the_concept_that_excite_the_unit_most() -> None:
    model = networks.cnn()
    portraits = make("steps=1,rate=0,restarts=2", model)
    for row, (concept, unit, place) in enumerate([(0, 1, 0), (0, 1, 1), (1, 3, 0), (1, 3, 1)]):
        wanted = loudest(model, concept, unit, place).clamp(1e-3, 1 - 1e-3)
        torch.testing.assert_close(portraits.images[row], wanted, atol=1e-3, rtol=0)


def test_a_layer_norm_is_always_equally_loud_and_is_not_dreamt_of_by_itself() -> None:
    model = networks.every()["transformer"]
    assert isinstance(model.at(None).module, torch.nn.LayerNorm)
    assert registry.load("methods", "deepdream").layer_of(model).name == "encoder.layers.encoder_layer_0"
    assert not make(f"steps=3,layer={model.layer}", model).alive.any()


def test_details_are_as_coarse_as_their_octave() -> None:
    grey = torch.full((1, 1, 8, 8), 0.5)
    detail = Detail(grey, (1, 1))
    assert detail.start().shape == (1, 1, 1, 1)
    assert detail.render(torch.full((1, 1, 1, 1), 2.0)).unique().tolist() == pytest.approx(
        [float(torch.sigmoid(torch.tensor(2.0)))]
    )
    sizes = registry.load("methods", "deepdream:octaves=3,shrink=0.5").sizes((16, 24))
    assert sizes == [(4, 6), (8, 12), (16, 24)]


def test_chunks_change_nothing() -> None:
    model = networks.cnn()
    model.network.double()
    whole, parts = (make(f"steps=4,restarts=2{more}", model) for more in ("", ",chunk=2"))
    assert torch.equal(whole.images, parts.images)


@pytest.mark.parametrize("setting", ["octaves=0", "steps=0", "restarts=0", "shrink=1.5"])
def test_settings_below_one_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=r"at least 1|at most 1"):
        registry.load("methods", f"deepdream:{setting}")
