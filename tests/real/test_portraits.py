"""Portraits of networks that nobody here made: classes, a probe's direction, channels in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ambench
from ambench import features, models, registry, workbench
from ambench.core import Model, Portraits, Randomness
from real import layouts

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]  # one network at a time
ZEBRA, HEN = 340, 8


def portrait(model: Model, spec: str, units: list[int], root: Path) -> Portraits:
    dataset = workbench.sized(registry.load("datasets", f"folder:{root},calibrate=0"), model)
    concepts = dataset.concepts("fit")
    made: Portraits = registry.load("methods", spec).synthesise(model, torch.tensor(units), concepts, Randomness((0,)))
    return made


def test_portraits_of_classes_are_taken_for_them_and_excite_them_more_than_textures_do(
    real: Path, tmp_path: Path
) -> None:
    model = models.resolve(layouts.squeezenet(real))
    root = layouts.taught_textures(real, tmp_path)
    made = portrait(model, "actmax:steps=40", [ZEBRA, HEN], root)
    assert made.images.shape == (2, 3, 224, 224)
    assert made.alive.all()
    logits = features.logits(model, made.images)
    assert logits.argmax(1).tolist() == [ZEBRA, HEN]
    photographs = workbench.sized(registry.load("datasets", f"folder:{root},calibrate=0"), model).concepts("fit").images
    natural = features.logits(model, photographs[::4])
    assert (logits[[0, 1], [ZEBRA, HEN]] > natural[:, [ZEBRA, HEN]].amax(0)).all()


def test_the_table_says_how_portraits_of_a_direction_and_of_a_channel_score(real: Path, tmp_path: Path) -> None:
    results = ambench.evaluate(
        layouts.squeezenet(real),
        ["actmax:steps=24,objective=dot,layer=features.9", "actmax:steps=24,objective=channel,layer=features.7"],
        f"folder:{layouts.taught_textures(real, tmp_path)},calibrate=0",
        ["activation_gain", "naturalness:measure=spectrum", "texture_share", "survival"],
        jobs=0,
    )
    frame = results.to_frame()
    assert set(frame.status) == {"ok"}
    values = frame[frame.concept == "striped"].pivot_table(index="metric", columns="method", values="value")
    assert values.shape == (4, 2)
    assert (values.loc["activation_gain"] > 1).all()  # more than the most exciting of 124 photographs
    assert values.loc["texture_share"].between(0, 1).all()


@pytest.mark.parametrize("layer", ["encoder.layers.encoder_layer_1", "encoder.layers.encoder_layer_1.mlp.0"])
def test_channels_that_tell_a_transformers_digits(real: Path, tmp_path: Path, layer: str) -> None:
    """The output of a block, and what enters the GELU of its feed-forward part, of pictures with one channel."""
    model = models.resolve(layouts.mnist_vit())
    root = layouts.digits(real, tmp_path, 200)
    dataset = workbench.sized(registry.load("datasets", f"folder:{root},fit=0.9,calibrate=0"), model)
    digits = dataset.concepts("fit")
    method = registry.load(
        "methods", f"actmax:steps=200,parametrisation=pixel,variation=0,extremes=0,objective=channel,layer={layer}"
    )
    made = method.synthesise(model, torch.arange(10), digits, Randomness((0,)))
    assert made.images.shape == (10, 1, 28, 28)
    assert made.seeks is not None
    channels = made.seeks.details["channel"]
    natural = features.read(model, digits.images, [layer])[layer].mean((2, 3))[:, channels]
    reached = features.read(model, made.images, [layer])[layer].mean((2, 3))[range(10), channels]
    assert (reached > natural.amax(0)).float().mean() >= 0.9
