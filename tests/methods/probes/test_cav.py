"""Concept activation vectors against scikit-learn, and on features that separate nothing."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn

import networks
from ambench import explanations, registry
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness, Skipped

folds = importlib.import_module("ambench.methods.probes._examples").folds
POOLINGS = {"mean": lambda z: z.mean((2, 3)), "max": lambda z: z.amax((2, 3)), "none": lambda z: z.flatten(1)}


def examples(model: Model, count: int = 60) -> Concepts:
    """Noise; a bright row shows `row`, a dark corner `corner`, rare; `luck` is shown by nothing."""
    images = networks.images(model, count) * 0.5
    random = torch.Generator().manual_seed(1)
    present = torch.rand(count, 3, generator=random) < torch.tensor([0.5, 0.3, 0.4])
    images[present[:, 0], :, 1] += 0.25
    images[present[:, 1], :, :3, :3] = 0
    return Concepts(("row", "corner", "luck"), images, present, ids=tuple(f"example-{i}" for i in range(count)))


def fit(spec: str, model: Model, concepts: Concepts) -> Directions:
    return registry.load("methods", f"cav:{spec}").fit(model, concepts, Randomness((0,)))


def pooled_by_hand(model: Model, layer: str, images: Tensor, pooling: str) -> np.ndarray:
    seen = []
    handle = model.at(layer).module.register_forward_hook(lambda module, given, output: seen.append(output.clone()))
    with torch.no_grad():
        model.network(images)
    handle.remove()
    return POOLINGS[pooling](model.at(layer).as_grid(seen[0])).double().numpy()


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("name", ["functional", "48 x 80", "one channel", "transformer"])
def test_cav_equals_scikit_learn(name: str, pooling: str) -> None:
    model = networks.every()[name]
    concepts = examples(model)
    directions = fit(f"pooling={pooling}", model, concepts)
    values = pooled_by_hand(model, directions.layer, concepts.images, pooling)
    values = (values - values.mean(0)) / np.sqrt(((values - values.mean(0)) ** 2).mean())
    for concept in range(3):
        reference = LogisticRegression(
            C=1e-3 if pooling == "none" else 1, class_weight="balanced", tol=1e-10, max_iter=10000
        ).fit(values, concepts.present[:, concept])
        vector = directions.vectors[concept].flatten().double().numpy()
        weights = reference.coef_[0]
        assert vector @ weights / np.linalg.norm(weights) > 0.9999
        assert abs(np.linalg.norm(vector) - 1) < 1e-6


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_logits_are_those_of_scikit_learn_in_feature_units(pooling: str) -> None:
    model = networks.cnn()
    concepts = examples(model)
    directions = fit(f"pooling={pooling},layer=conv2", model, concepts)
    values = pooled_by_hand(model, "conv2", concepts.images, pooling)
    scale = np.sqrt(((values - values.mean(0)) ** 2).mean())
    reference = LogisticRegression(
        C=1e-3 if pooling == "none" else 1, class_weight="balanced", tol=1e-10, max_iter=10000
    ).fit((values - values.mean(0)) / scale, concepts.present[:, 0])
    length = np.linalg.norm(reference.coef_[0]) / scale  # of the weights for the features as they are
    expected = reference.decision_function((values - values.mean(0)) / scale) / length
    scores = explanations.localise(model, directions, concepts.images, torch.zeros(60, 1, dtype=torch.long)).scores
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-4 * np.abs(expected).max())


def test_accuracy_is_that_of_scikit_learn_on_examples_left_out() -> None:
    network = networks.seeded(lambda: nn.Sequential(nn.Conv2d(3, 200, 4, stride=4), nn.Flatten()))
    model = Model("wide", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", (3, 16, 16))
    concepts = examples(model, 100)
    found = fit("inverse_penalty=10", model, concepts).details["accuracy"]
    values = pooled_by_hand(model, "0", concepts.images, "mean")
    values = (values - values.mean(0)) / np.sqrt(((values - values.mean(0)) ** 2).mean())
    number = folds(concepts).numpy()
    for concept, labels in enumerate(concepts.present.T.numpy()):
        said = np.zeros(100, dtype=bool)
        for fold in range(5):
            out = number[:, concept] == fold
            probe = LogisticRegression(C=10, class_weight="balanced", tol=1e-8, max_iter=10000)
            said[out] = probe.fit(values[~out], labels[~out]).predict(values[out])
        assert abs(float(found[concept]) - balanced_accuracy_score(labels, said)) < 1e-9
    assert found[0] > 0.9
    assert abs(float(found[2]) - 0.5) < 0.2  # nothing shows `luck`


def test_folds_hold_as_many_of_either_side_and_follow_the_names() -> None:
    concepts = examples(networks.cnn())
    number = folds(concepts)
    for concept in range(3):
        for side in (concepts.present[:, concept], ~concepts.present[:, concept]):
            counts = number[side, concept].bincount(minlength=5)
            assert int(counts.max() - counts.min()) <= 1
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    shuffled = replace(
        concepts,
        images=concepts.images[order],
        present=concepts.present[order],
        ids=tuple(concepts.ids[i] for i in order),
    )
    assert torch.equal(folds(shuffled), number[order])


def test_order_of_examples_and_chunk_change_nothing() -> None:
    model = networks.cnn()
    concepts = examples(model)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    shuffled = replace(
        concepts,
        images=concepts.images[order],
        present=concepts.present[order],
        ids=tuple(concepts.ids[i] for i in order),
    )
    plain, mixed = fit("chunk=64", model, concepts), fit("chunk=7", model, shuffled)
    torch.testing.assert_close(plain.vectors, mixed.vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(plain.bias, mixed.bias, atol=1e-5, rtol=0)
    torch.testing.assert_close(plain.details["accuracy"], mixed.details["accuracy"])


def test_a_loud_constant_feature_is_harmless() -> None:
    network = networks.seeded(lambda: nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.Flatten()))
    model = Model("plain", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", (3, 16, 16))
    loud = Layer("0", network[0], lambda z: torch.cat([z, torch.full_like(z[:, :1], 100.0)], 1))
    concepts = examples(model)
    plain = fit("", model, concepts).vectors
    with_loud = fit("", replace(model, layers={"0": loud}), concepts).vectors
    assert with_loud[:, -1].abs().max() < 1e-6
    assert (torch.nn.functional.cosine_similarity(with_loud[:, :-1], plain) > 0.999).all()


def test_constant_features_and_identical_sets_give_zero_vectors_and_a_coin() -> None:
    model = networks.cnn()
    same = torch.full((20, 3, 16, 16), 0.4)
    present = torch.arange(20)[:, None] % 2 == 0
    constant = fit("", model, Concepts(("a",), same, present))
    assert not constant.vectors.any()
    assert not constant.bias.any()
    assert float(constant.details["accuracy"]) == 0.5
    twice = networks.images(model, 10).repeat_interleave(2, 0)  # each image once with and once without
    assert not fit("", model, Concepts(("a",), twice, present)).vectors.any()


@pytest.mark.parametrize("count", [0, 4, 16, 20])
def test_fewer_than_five_on_either_side_is_skipped(count: int) -> None:
    model = networks.cnn()
    present = torch.stack([torch.arange(20) < 10, torch.arange(20) < count], 1)
    with pytest.raises(Skipped, match="'b'"):
        fit("", model, Concepts(("a", "b"), networks.images(model, 20), present))


def test_an_example_that_is_not_finite_is_named() -> None:
    model = networks.cnn()
    concepts = examples(model)
    concepts.images[7, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="example-7"):
        fit("", model, concepts)


def test_another_model_has_its_own_vectors() -> None:
    concepts = examples(networks.cnn())
    first = fit("layer=conv2", networks.cnn(), concepts).vectors
    other = networks.cnn()
    other.network.load_state_dict({k: v.flip(0) for k, v in other.network.state_dict().items()})
    assert (fit("layer=conv2", other, concepts).vectors - first).abs().max() > 0.01
    assert torch.equal(fit("layer=conv2", networks.cnn(), concepts).vectors, first)
