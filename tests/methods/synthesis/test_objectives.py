"""Objectives against torch's own softmax, sigmoid, cosine and means."""

from __future__ import annotations

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import networks
from ambench import features
from ambench.core import Concepts, Directions, InputError, Model
from ambench.explanations import strengths

module = importlib.import_module("ambench.methods.synthesis._objectives")
sought_module = importlib.import_module("ambench.methods.synthesis._sought")
Objective, sought = module.Objective, sought_module.sought
LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
UNITS = torch.tensor([0, 1, 2, 3, 4, 0])
BLOCK = "encoder.layers.encoder_layer_0.ln_2"


def named(classes: tuple[str, ...]) -> Model:
    return Model("m", "none", nn.Identity(), {name: unit for unit, name in enumerate("abcde")}, {}, "", (5,), classes)


def read(model: Model, seeking: str) -> torch.Tensor:
    nothing = Concepts((), torch.empty(0, 5), torch.empty(0, 0, dtype=torch.bool))
    return sought(model, UNITS, nothing, seeking, None).objective(LOGITS)


def test_the_logit_is_each_rows_own() -> None:
    assert torch.equal(read(named(()), "logit"), torch.stack([LOGITS[i, UNITS[i]] for i in range(6)]))


def test_without_classes_the_probability_is_the_softmax_of_all_units() -> None:
    torch.testing.assert_close(read(named(()), "probability"), LOGITS.log_softmax(1)[range(6), UNITS])


def test_classes_compete_with_each_other_and_concepts_with_their_absence() -> None:
    found = read(named(("a", "b", "d")), "probability")
    among = LOGITS[:, [0, 1, 3]].log_softmax(1)
    expected = [among[0, 0], among[1, 1], LOGITS[2, 2].sigmoid().log(), among[3, 2], LOGITS[4, 4].sigmoid().log()]
    torch.testing.assert_close(found, torch.stack([*expected, among[5, 0]]))


# ------------------------------------------------------------------------------------------------ hidden layers


def examples(model: Model, count: int = 40) -> Concepts:
    images = networks.images(model, count, seed=5)
    present = torch.arange(count)[:, None] // torch.tensor([1, 2]) % 2 == 0
    images[present[:, 0]] *= 0.5
    return Concepts(("dark", "pairs"), images, present)


def hidden(model: Model, seeking: str, layer: str) -> tuple[Objective, Directions, torch.Tensor]:
    found = sought(model, torch.tensor([0, 1]), examples(model), seeking, layer)
    return found.objective, found.directions, features.output(model, networks.images(model, 2, seed=9), layer)


def test_a_channel_is_its_mean_over_cells_and_a_neuron_its_middle_cell() -> None:
    model = networks.cnn()
    objective, directions, output = hidden(model, "channel", "conv2")
    channels = directions.details["channel"]
    torch.testing.assert_close(objective(output), output[[0, 1], channels].mean((1, 2)))
    objective, directions, output = hidden(model, "neuron", "conv2")
    channels = directions.details["channel"]
    height, width = output.shape[2:]
    torch.testing.assert_close(objective(output), output[[0, 1], channels, height // 2, width // 2])


@pytest.mark.parametrize("seeking", ["channel", "neuron", "class_token"])
def test_on_a_token_network_a_channel_is_a_feature_and_never_a_token(seeking: str) -> None:
    """A known mistake elsewhere: channel n of a token layer read as token n."""
    model = networks.every()["transformer"]
    objective, directions, output = hidden(model, seeking, BLOCK)
    channels = directions.details["channel"]
    tokens = output.shape[1]
    picked = {"channel": output[:, 1:].mean(1), "neuron": output[:, 1 + (tokens - 1) // 2], "class_token": output[:, 0]}
    grid = model.at(BLOCK).as_grid(output)
    picked["neuron"] = grid[:, :, grid.shape[2] // 2, grid.shape[3] // 2]
    torch.testing.assert_close(objective(output), picked[seeking][[0, 1], channels])


@pytest.mark.parametrize("seeking", ["channel", "neuron", "class_token", "dot"])
@pytest.mark.parametrize("name", ["module", "transformer"])
def test_what_is_climbed_is_what_the_directions_read(name: str, seeking: str) -> None:
    model = networks.every()[name]
    layer = BLOCK if name == "transformer" else "conv2"
    if name == "module" and seeking == "class_token":
        with pytest.raises(InputError, match="no class token"):
            hidden(model, seeking, layer)
        return
    objective, directions, output = hidden(model, seeking, layer)
    read = strengths(model, directions, networks.images(model, 2, seed=9)).diagonal() - directions.bias
    torch.testing.assert_close(objective(output), read, atol=1e-6, rtol=1e-5)


def test_dot_cosine_and_their_product() -> None:
    model = networks.cnn()
    _, directions, output = hidden(model, "dot", "conv2")
    pooled, vectors = output.mean((2, 3)), directions.vectors
    dot, cosine = (pooled * vectors).sum(1), F.cosine_similarity(pooled, vectors)
    expected = {"dot": dot, "cosine": cosine, "dotcos": dot * cosine.clamp_min(0.1) ** 2}
    for mode, value in expected.items():
        torch.testing.assert_close(hidden(model, mode, "conv2")[0](output), value)


def test_directions_are_those_of_the_pattern_probe() -> None:
    from ambench import registry
    from ambench.core import Randomness

    model = networks.cnn()
    probe = registry.load("methods", "pattern_cav:layer=conv2").fit(model, examples(model), Randomness((0,)))
    _, directions, _ = hidden(model, "dot", "conv2")
    torch.testing.assert_close(directions.vectors, probe.vectors, atol=1e-5, rtol=0)


def test_the_channel_that_tells_a_concept_best_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    model = networks.cnn()
    concepts = examples(model)
    _, directions, _ = hidden(model, "channel", "conv2")
    seen = features.read(model, concepts.images, ["conv2"])["conv2"].mean((2, 3))
    for concept in range(2):
        areas = [roc_auc_score(concepts.present[:, concept], seen[:, channel]) for channel in range(seen.shape[1])]
        assert int(directions.details["channel"][concept]) == max(range(len(areas)), key=areas.__getitem__)


def test_the_energy_of_a_layer_is_its_mean_square() -> None:
    model = networks.every()["transformer"]
    output = features.output(model, networks.images(model, 3), BLOCK)
    found = Objective(BLOCK, torch.zeros(3), module.energy(model.at(BLOCK)))(output)
    torch.testing.assert_close(found, output[:, 1:].square().mean((1, 2)))


def test_copies_are_averaged_picture_by_picture() -> None:
    objective = Objective(None, UNITS[:3], module.logit)
    found = objective(torch.cat([LOGITS[:3], LOGITS[3:]]))
    expected = [(LOGITS[p, UNITS[p]] + LOGITS[3 + p, UNITS[p]]) / 2 for p in range(3)]
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(objective.on(LOGITS), LOGITS[:, UNITS[:3]].T)


def test_a_concept_that_all_examples_show_has_no_channel() -> None:
    model = networks.cnn()
    concepts = Concepts(("a",), networks.images(model, 4), torch.ones(4, 1, dtype=torch.bool))
    with pytest.raises(InputError, match="with and without concept 'a'"):
        sought(model, torch.tensor([0]), concepts, "channel", "conv2")


@pytest.mark.parametrize("name", ["module", "transformer"])
def test_channels_may_be_named_and_need_no_examples(name: str) -> None:
    model = networks.every()[name]
    layer = BLOCK if name == "transformer" else "conv2"
    nothing = Concepts(("a", "b"), torch.empty(0, *model.input_shape), torch.empty(0, 2, dtype=torch.bool))
    found = sought(model, torch.tensor([0, 1]), nothing, "channel", layer, 3)
    output = features.output(model, networks.images(model, 2), layer)
    grid = model.at(layer).as_grid(output)
    torch.testing.assert_close(found.objective(output), grid[[0, 1], [3, 4]].mean((1, 2)))
    with pytest.raises(InputError, match=f"no channel {grid.shape[1]}; it has channels 0 to {grid.shape[1] - 1}"):
        sought(model, torch.tensor([0, 1]), nothing, "neuron", layer, grid.shape[1] - 1)
