"""Probes of what fools a probe, probes cured of it and probes of contexts: against scikit-learn, and in a toy world."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from ambench import registry
from ambench.activations import Held
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness, Skipped

PROBES = "ambench.methods.probes"
FalsePositives = importlib.import_module(f"{PROBES}._false_positives").FalsePositives
Classifier = importlib.import_module(f"{PROBES}._classifier").Classifier
Sample = importlib.import_module(f"{PROBES}._probe").Sample
rejected = importlib.import_module(f"{PROBES}.cured_cav")._rejected
folds = importlib.import_module(f"{PROBES}._examples").folds


def given(width: int) -> Model:
    """A network whose layer has one cell, and there the features that its images are."""
    network = nn.Sequential(nn.Identity(), nn.Flatten()).eval()
    return Model("given", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", (width, 1, 1))


def drawn(
    count: int = 1000, width: int = 128, agree: float = 0.9, seed: int = 0, shown: float = 1.0, company: float = 2.0
) -> Concepts:
    """z = concept s + context u + noise, with s and u orthogonal, and a context that agrees with the concept or not."""
    random = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(width, 2, generator=torch.Generator().manual_seed(99)))[0].T
    present = torch.rand(count, 1, generator=random) < 0.5
    context = present ^ (torch.rand(count, 1, generator=random) >= agree)
    features = (2.0 * present - 1) * shown * axes[:1] + (2.0 * context - 1) * company * axes[1:]
    features = features + torch.randn(count, width, generator=random)
    ids = tuple(f"{seed}-{i}" for i in range(count))
    return Concepts(("concept",), features[:, :, None, None], present, ids=ids, contexts=context)


def two(count: int = 400, width: int = 40) -> Concepts:
    """The toy world's concept, and one that nothing is taken for."""
    concepts = drawn(count, width, agree=0.8, shown=0.7)
    clear = torch.rand(count, 1, generator=torch.Generator().manual_seed(7)) < 0.4
    images = concepts.images.clone()
    images[:, 0] += 20 * (2.0 * clear[:, :, None] - 1)
    present, contexts = torch.cat([concepts.present, clear], 1), concepts.contexts
    return replace(concepts, names=("vague", "clear"), images=images, present=present, contexts=contexts.repeat(1, 2))  # type: ignore[union-attr]


def many_and_few() -> Concepts:
    """One concept with many false positives, and one with few, in so few dimensions that the first are told by it."""
    concepts = drawn(width=48, agree=0.8, shown=0.5, company=1.0)
    shown = torch.rand(1000, 1, generator=torch.Generator().manual_seed(8)) < 0.4
    images = concepts.images.clone()
    images[:, 0] += 2.1 * (2.0 * shown[:, :, None] - 1)
    return Concepts(("vague", "clear"), images, torch.cat([concepts.present, shown], 1), ids=concepts.ids)


def fit(spec: str, concepts: Concepts) -> Directions:
    method = registry.load("methods", spec)
    return method.fit(given(concepts.images.shape[1]), concepts, Randomness((0,)))


def standard(concepts: Concepts) -> np.ndarray:
    values = concepts.images.double().flatten(1).numpy()
    moved = values - values.mean(0)
    return moved / np.sqrt((moved**2).mean())


def estimator(solver: str) -> LogisticRegression | LinearSVC:
    if solver == "logistic":
        return LogisticRegression(C=1, class_weight="balanced", tol=1e-8, max_iter=10_000)
    return LinearSVC(C=0.1, class_weight="balanced", intercept_scaling=1e3, dual=False, tol=1e-8, max_iter=100_000)


def left_out(concepts: Concepts, solver: str = "logistic") -> np.ndarray:
    """Scores [N, K] by probes that scikit-learn fits to the other folds."""
    values, number = standard(concepts), folds(concepts).numpy()
    scores = np.zeros(number.shape)
    for concept, labels in enumerate(concepts.present.T.numpy()):
        for fold in range(5):
            out = number[:, concept] == fold
            scores[out, concept] = estimator(solver).fit(values[~out], labels[~out]).decision_function(values[out])
    return scores


def cosine(first: Tensor, second: np.ndarray | Tensor) -> float:
    one, other = np.asarray(first, dtype=float).ravel(), np.asarray(second, dtype=float).ravel()
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def accuracy(directions: Directions, concepts: Concepts, threshold: float = 0.0) -> float:
    """The balanced accuracy of a first concept's logits beyond a threshold."""
    said = logits(directions, concepts) > threshold
    shown = concepts.present[:, 0]
    return float(said[shown].double().mean() + (~said[~shown]).double().mean()) / 2


def logits(directions: Directions, concepts: Concepts) -> Tensor:
    return concepts.images.flatten(1) @ directions.vectors[0] + directions.bias[0]


# ------------------------------------------------------------------------------------------------ false positives


@pytest.mark.parametrize("solver", ["logistic", "svm"])
def test_a_false_positive_cav_equals_scikit_learn_on_negatives_that_fooled_it(solver: str) -> None:
    """Fooled are those with a score above 0 by a probe of the other folds; no positive is in the second fit."""
    concepts = drawn(400, 40, agree=0.8, shown=0.7)
    directions = fit(f"fp_cav:solver={solver}", concepts)
    negative = ~concepts.present[:, 0].numpy()
    fooled = (left_out(concepts, solver)[:, 0] > 0)[negative]
    assert directions.details["false_positives"].tolist() == [fooled.sum()]
    reference = estimator(solver).fit(standard(concepts)[negative], fooled).coef_
    assert cosine(directions.vectors[0], reference) > 0.999_9
    probe = fit(f"cav:solver={solver}", concepts)
    expected = cosine(probe.vectors[0], reference)
    assert abs(float(directions.details["cosine"]) - expected) < 1e-3
    assert directions.missing == {}


def test_hard_negatives_are_the_quarter_with_the_highest_scores() -> None:
    concepts = two()
    directions = fit("fp_cav:hard_negatives=true", concepts)
    scores = left_out(concepts)
    assert directions.missing == {}  # there are always enough
    for concept in range(2):
        negative = ~concepts.present[:, concept].numpy()
        among = scores[negative, concept]
        wanted = round(0.25 * len(among))
        assert int(directions.details["false_positives"][concept]) == wanted
        hard = among >= np.sort(among)[-wanted]
        reference = estimator("logistic").fit(standard(concepts)[negative], hard).coef_
        assert cosine(directions.vectors[concept], reference) > 0.999_9


def test_false_positives_of_luck_are_half_of_the_negatives_and_foretell_nothing() -> None:
    """A probe asked of examples that it was fitted to would be fooled by none, with more features than examples."""
    concepts = drawn(600, 700)
    shuffled = concepts.present[torch.randperm(600, generator=torch.Generator().manual_seed(5))]
    luck = replace(concepts, present=shuffled, images=torch.randn(600, 700, 1, 1))
    luck.images.copy_(torch.randn(600, 700, 1, 1, generator=torch.Generator().manual_seed(6)))
    probe, directions = fit("cav", luck), fit("fp_cav", luck)
    assert ((logits(probe, luck) > 0) == shuffled[:, 0]).all()
    assert abs(float(probe.details["accuracy"]) - 0.5) < 0.05
    negatives = int((~shuffled).sum())
    assert abs(float(directions.details["false_positives"]) / negatives - 0.5) < 0.1


def test_a_direction_of_shuffled_negatives_foretells_nothing_of_examples_left_out() -> None:
    concepts = drawn(800, 128)
    shuffled = concepts.present[torch.randperm(800, generator=torch.Generator().manual_seed(5))]
    directions = fit("fp_cav", replace(concepts, present=shuffled))
    assert abs(accuracy(directions, drawn(4000, 128, agree=0.5, seed=1)) - 0.5) < 0.05


def test_a_concept_with_too_few_false_positives_is_missing_with_their_number() -> None:
    concepts = two()
    directions = fit("fp_cav", concepts)
    count = directions.details["false_positives"].tolist()
    assert count[0] >= 30
    assert count[1] == 0
    assert set(directions.missing) == {1}
    assert "'clear' (0, " in directions.missing[1]
    assert not directions.vectors[1].any()
    assert not directions.bias[1].any()
    alone = replace(concepts, names=("vague",), present=concepts.present[:, :1])
    torch.testing.assert_close(directions.vectors[:1], fit("fp_cav", alone).vectors, rtol=0, atol=1e-6)


def test_a_few_false_positives_give_no_direction_either() -> None:
    concepts = many_and_few()
    many, few = fit("fp_cav:fewest=5", concepts).details["false_positives"].tolist()
    assert many > few >= 5
    directions = fit(f"fp_cav:fewest={few + 1}", concepts)
    assert f"'clear' ({few}, " in directions.missing[1]
    assert directions.vectors[0].any()
    assert directions.bias[0] != 0
    assert not directions.vectors[1].any()
    assert directions.bias[1] == 0
    assert directions.details["cosine"][1] == 0


@pytest.mark.parametrize("name", ["fp_cav", "cured_cav"])
@pytest.mark.parametrize("solver", ["logistic", "svm", "sgd", "ridge"])
def test_a_missing_concept_stops_no_solver(name: str, solver: str) -> None:
    assert set(fit(f"{name}:solver={solver},fewest=10", two()).missing) == {1}


@pytest.mark.parametrize("name", ["fp_cav", "cured_cav"])
def test_without_any_false_positives_it_is_skipped_with_their_numbers(name: str) -> None:
    concepts = two()
    clear = replace(concepts, names=("clear",), present=concepts.present[:, 1:])
    with pytest.raises(Skipped, match=r"too few false positives of 'clear' \(0, .* 30 of each"):
        fit(name, clear)
    count = int(fit("fp_cav", concepts).details["false_positives"][0])
    with pytest.raises(Skipped, match=rf"'vague' \({count}, .* {count + 1} of each"):
        fit(f"{name}:fewest={count + 1}", concepts)
    assert 0 not in fit(f"{name}:fewest={count}", concepts).missing


def test_too_few_others_are_too_few_as_well() -> None:
    """Where the probe is wrong about most images without the concept."""
    concepts = drawn(300, 300, shown=0.0, company=0.0)
    fooled = left_out(concepts)[~concepts.present[:, 0].numpy(), 0] > 0
    count, others = int(fooled.sum()), int((~fooled).sum())
    assert count > others
    with pytest.raises(Skipped, match=f"{count}, and {others} others; {count} of each"):
        fit(f"fp_cav:fewest={count}", concepts)
    assert fit(f"fp_cav:fewest={others}", concepts).missing == {}


# ------------------------------------------------------------------------------------------------ cured


def test_a_cured_cav_is_the_rejection_of_the_false_positives_direction() -> None:
    concepts = two()
    probe, fooled, cured = fit("cav", concepts), fit("fp_cav", concepts), fit("cured_cav", concepts)
    assert abs(float(cured.vectors[0].double() @ fooled.vectors[0].double())) < 1e-6
    first, second = probe.vectors[0].double(), fooled.vectors[0].double()
    left = first - (first @ second) * second
    torch.testing.assert_close(cured.vectors[0].double(), left / left.norm(), rtol=0, atol=1e-6)
    shift = (probe.bias[0] - (first @ second) * fooled.bias[0]) / left.norm()
    torch.testing.assert_close(cured.bias[0], shift.float(), rtol=1e-4, atol=1e-4)
    for name in ("cosine", "false_positives"):
        torch.testing.assert_close(cured.details[name], fooled.details[name])
    assert set(cured.missing) == {1}
    assert not cured.vectors[1].any()
    assert not cured.bias[1].any()


def found(vectors: Tensor, probe: Tensor) -> object:
    count = len(vectors)
    ones = torch.ones(count, dtype=torch.float64)
    return FalsePositives(torch.full((count,), 99), vectors, -0.5 * ones, probe, 2 * ones, {})


def test_nothing_of_the_false_positives_is_left_in_double_precision() -> None:
    random = torch.Generator().manual_seed(0)
    vectors, probe = nn.functional.normalize(torch.randn(2, 8, 50, generator=random, dtype=torch.float64), dim=2)
    left, _ = rejected(found(vectors, probe))
    assert (left * vectors).sum(1).abs().max() < 1e-12
    torch.testing.assert_close(left.norm(dim=1), torch.ones(8, dtype=torch.float64))


def test_a_probe_orthogonal_to_its_false_positives_stays_as_it_is() -> None:
    axes = torch.eye(6, dtype=torch.float64)
    left, bias = rejected(found(axes[:3], axes[3:]))
    assert torch.equal(left, axes[3:])
    assert bias.tolist() == [2.0, 2.0, 2.0]


def test_where_the_false_positives_logit_is_zero_the_cured_one_is_the_probes() -> None:
    """Up to the factor that makes it a unit vector."""
    random = torch.Generator().manual_seed(0)
    vectors, probe = nn.functional.normalize(torch.randn(2, 1, 9, generator=random, dtype=torch.float64), dim=2)
    left, bias = rejected(found(vectors, probe))
    features = torch.randn(20, 9, generator=random, dtype=torch.float64)
    features = features - (features @ vectors[0] - 0.5)[:, None] * vectors[0]
    factor = (1 - (vectors * probe).sum() ** 2).sqrt()
    torch.testing.assert_close((features @ left[0] + bias[0]) * factor, features @ probe[0] + 2)


def test_a_probe_that_is_one_with_its_false_positives_is_refused_with_the_cosine() -> None:
    """In few dimensions whatever passes a threshold of a direction is told by the direction itself."""
    concepts = drawn(width=16)
    value = float(fit("fp_cav", concepts).details["cosine"])
    assert value > 0.95
    with pytest.raises(Skipped, match=f"'concept' .* are one .cosine {value:.3f}"):
        fit("cured_cav", concepts)
    assert fit(f"cured_cav:most_alike={value + 1e-6}", concepts).missing == {}


def test_of_several_concepts_only_the_one_that_cannot_be_cured_is_missing() -> None:
    """Few false positives do not say so well where the first probe's threshold lies."""
    both = many_and_few()
    directions = fit("cured_cav:fewest=5", both)
    first, second = directions.details["cosine"].tolist()
    assert first > 0.95 > second
    assert set(directions.missing) == {0}
    assert f"'vague' and of its false positives are one (cosine {first:.3f})" in directions.missing[0]
    assert not directions.vectors[0].any()
    assert directions.vectors[1].any()


def test_curing_raises_accuracy_where_the_context_misleads() -> None:
    """Thresholds are those that fit other images best, as for every method; means over three worlds."""
    gains, after = [], []
    for seed in (10, 20, 30):
        concepts, others = drawn(seed=seed), drawn(seed=seed + 1)
        test = drawn(4000, agree=0.0, seed=seed + 2)
        accuracies = []
        for name in ("cav", "cured_cav"):
            directions = fit(name, concepts)
            bounds = logits(directions, others).quantile(torch.linspace(0.01, 0.99, 99)).tolist()
            best = max(bounds, key=lambda bound: accuracy(directions, others, bound))
            accuracies.append(accuracy(directions, test, best))
        gains.append(accuracies[1] - accuracies[0])
        after.append(accuracies[1])
    assert min(gains) > 0
    assert np.mean(gains) > 0.05
    assert np.mean(after) > 0.5


# ------------------------------------------------------------------------------------------------ contexts


def test_a_context_cav_is_the_cav_of_contexts_as_labels() -> None:
    concepts = drawn(300, 30)
    directions = fit("context_cav", concepts)
    expected = fit("cav", replace(concepts, present=concepts.contexts))  # type: ignore[arg-type]
    assert torch.equal(directions.vectors, expected.vectors)
    assert torch.equal(directions.bias, expected.bias)
    torch.testing.assert_close(directions.details["accuracy"], expected.details["accuracy"])
    reference = estimator("logistic").fit(standard(concepts), concepts.contexts[:, 0].numpy()).coef_  # type: ignore[index]
    assert cosine(directions.vectors[0], reference) > 0.999_9


def test_a_context_cav_says_the_opposite_where_the_context_misleads() -> None:
    directions = fit("context_cav", drawn())
    assert accuracy(directions, drawn(2000, agree=1.0, seed=1)) > 0.9
    assert accuracy(directions, drawn(2000, agree=0.0, seed=1)) < 0.1


def test_without_contexts_or_with_too_few_it_is_skipped() -> None:
    concepts = drawn(60, 8)
    with pytest.raises(Skipped, match="contexts"):
        fit("context_cav", replace(concepts, contexts=None))
    with pytest.raises(Skipped, match="'concept'; there are 4 and 56"):
        fit("context_cav", replace(concepts, contexts=(torch.arange(60) < 4)[:, None]))


# ------------------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize("name", ["fp_cav", "fp_cav:hard_negatives=true", "cured_cav", "context_cav"])
def test_order_of_examples_and_chunk_change_nothing(name: str) -> None:
    concepts = two()
    mixed = concepts.select(torch.randperm(400, generator=torch.Generator().manual_seed(3)))
    plain, other = fit(name, concepts), fit(f"{name},chunk=7" if ":" in name else f"{name}:chunk=7", mixed)
    torch.testing.assert_close(plain.vectors, other.vectors, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain.bias, other.bias, rtol=0, atol=1e-4)
    for key, values in plain.details.items():
        torch.testing.assert_close(values, other.details[key], rtol=0, atol=1e-5)
    assert plain.missing == other.missing


@pytest.mark.parametrize("spec", ["fp_cav:fewest=1", "cured_cav:fewest=0", "cured_cav:most_alike=0"])
def test_limits_that_are_none_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.split(":")[1].split("=")[0]):
        registry.load("methods", spec)


def test_false_positives_are_counted_in_examples_that_were_left_out() -> None:
    """With more features than examples the probe is right about every example that it was fitted to."""
    concepts = drawn(150, 400)
    sample = Sample(concepts, Held(concepts.images.flatten(1)), "0", Randomness((0,)))
    fooled = FalsePositives.of(Classifier(), sample, 5)
    said = concepts.images.flatten(1).double() @ fooled.probe[0] + fooled.probe_bias[0]
    assert ((said > 0) == concepts.present[:, 0]).all()
    negative = ~concepts.present[:, 0].numpy()
    assert fooled.counts.tolist() == [(left_out(concepts)[negative, 0] > 0).sum()]
    assert int(fooled.counts) >= 5
