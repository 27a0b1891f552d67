"""Every solver against scikit-learn, other samples against the very examples repeated, and the design against numpy."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor, nn

import networks
from ambench import activations, registry
from ambench.activations import Held, Read, keeping
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness

PROBES = "ambench.methods.probes"
classifier = importlib.import_module(f"{PROBES}._classifier")
ridge = importlib.import_module(f"{PROBES}._ridge")
Design = importlib.import_module(f"{PROBES}._design").Design
Sample = importlib.import_module(f"{PROBES}._probe").Sample
folds = importlib.import_module(f"{PROBES}._examples").folds
out_of_fold = importlib.import_module(f"{PROBES}._folds").out_of_fold

NARROW, WIDE = (90, 7), (40, 100)  # examples, features
SHAPES = pytest.mark.parametrize("shape", [NARROW, WIDE], ids=["narrow", "wide"])


def drawn(shape: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features [N, F] of unequal means and spreads, and three concepts [N, 3]: clear, rare, luck."""
    random = torch.Generator().manual_seed(seed)
    count, width = shape
    features = torch.randn(count, width, generator=random) * torch.logspace(-1, 0.5, width)
    features = features * (1 + 2 * torch.rand(count, 1, generator=random)) + torch.randn(width, generator=random)
    score = (features[:, -1:] - features[:, -2:-1]) / 3 + torch.randn(count, 3, generator=random) * torch.tensor(
        [0.3, 1, 100]
    )
    bounds = torch.stack([score[:, k].quantile(share) for k, share in enumerate((0.5, 0.7, 0.5))])
    return features, score > bounds


def given(width: int) -> Model:
    """A network whose layer has one cell, and there the features that its images are."""
    network = nn.Sequential(nn.Identity(), nn.Flatten()).eval()
    return Model("given", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", (width, 1, 1))


def concepts_of(features: Tensor, present: Tensor) -> Concepts:
    names = tuple(f"concept {k}" for k in range(present.shape[1]))
    ids = tuple(f"example-{i:03}" for i in range(len(features)))
    return Concepts(names, features[:, :, None, None], present, ids=ids)


def fit(spec: str, features: Tensor, present: Tensor) -> Directions:
    method = registry.load("methods", spec)
    return method.fit(given(features.shape[1]), concepts_of(features, present), Randomness((0,)))


def standard(features: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Centred features over one scale, the centre and the scale."""
    values = features.double().numpy()
    centre = values.mean(0)
    scale = np.sqrt(((values - centre) ** 2).mean())
    return (values - centre) / scale, centre, float(scale)


def often(count: int, problems: int) -> Tensor:
    """How often an example is in a problem: up to three times, about a third of them never."""
    random = torch.Generator().manual_seed(5)
    return (torch.rand(count, problems, generator=random) * 4.5 - 1).clamp_min(0).ceil().clamp_max(3).long()


def cosines(first: Tensor, second: Tensor) -> Tensor:
    return nn.functional.cosine_similarity(first.double().flatten(1), second.double().flatten(1))


def assert_is(directions: Directions, concept: int, fitted: Any, features: Tensor, tolerance: float) -> None:
    """A direction and its bias are those of a fitted estimator of standard features, in units of the features."""
    _, centre, scale = standard(features)
    weights = fitted.coef_.reshape(-1) / scale
    length = np.linalg.norm(weights)
    bias = (float(np.ravel(fitted.intercept_)[0]) - weights @ centre) / length
    vector = directions.vectors[concept].double().numpy()
    np.testing.assert_allclose(vector, weights / length, rtol=0, atol=tolerance * np.abs(weights / length).max())
    assert abs(float(directions.bias[concept]) - bias) < tolerance * max(1, abs(bias))


# ------------------------------------------------------------------------------------------------ ridge


@SHAPES
def test_ridge_equals_scikit_learn(shape: tuple[int, int]) -> None:
    features, present = drawn(shape)
    directions = fit("cav:solver=ridge", features, present)
    for concept, labels in enumerate(present.T.numpy()):
        weights = compute_sample_weight("balanced", labels)
        reference = Ridge(alpha=1).fit(standard(features)[0], 2.0 * labels - 1, sample_weight=weights)
        assert_is(directions, concept, reference, features, 1e-6)


@SHAPES
def test_inverse_penalty_of_the_ridge_is_one_over_alpha(shape: tuple[int, int]) -> None:
    features, present = drawn(shape)
    directions = fit("cav:solver=ridge,inverse_penalty=.02", features, present)
    labels = present[:, 0].numpy()
    reference = Ridge(alpha=50).fit(
        standard(features)[0], 2.0 * labels - 1, sample_weight=compute_sample_weight("balanced", labels)
    )
    assert_is(directions, 0, reference, features, 1e-6)


@pytest.mark.parametrize("numbers", [1, 1 << 24], ids=["one system at a time", "all at once"])
@pytest.mark.parametrize("shape", [NARROW, WIDE, (90, 80)], ids=["primal", "dual", "dual for a part of the examples"])
def test_ridge_with_counts_equals_scikit_learn_on_repeated_examples(
    shape: tuple[int, int], numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third shape has more examples than features, but no problem uses as many."""
    monkeypatch.setattr(ridge, "NUMBERS", numbers)
    features, present = drawn(shape)
    counts = often(len(features), 3)
    assert int((counts > 0).sum(0).max()) < shape[1] or shape == NARROW
    planes = classifier.Classifier("ridge").solve(Design.of(Held(features)), present, counts)
    for problem, labels in enumerate(present.T.numpy()):
        rows = np.repeat(np.arange(len(features)), counts[:, problem].numpy())
        weights = compute_sample_weight("balanced", labels[rows])
        reference = Ridge(alpha=1).fit(standard(features)[0][rows], 2.0 * labels[rows] - 1, sample_weight=weights)
        error = np.abs(planes.vectors[:, problem].numpy() - reference.coef_).max()
        assert error < 1e-10 * np.abs(reference.coef_).max()
        assert abs(float(planes.intercepts[problem]) - reference.intercept_) < 1e-10


@SHAPES
def test_ridge_of_weights_and_penalties_of_any_kind_equals_scikit_learn(shape: tuple[int, int]) -> None:
    features, present = drawn(shape)
    weights = often(len(features), 3).double() * torch.logspace(-1, 1, len(features), dtype=torch.float64)[:, None]
    penalties, signs = torch.tensor([0.1, 3.0, 50.0]).double(), 2 * present.double() - 1
    vectors, intercepts = ridge.ridge(Design.of(Held(features)), signs, weights, penalties)
    for problem in range(3):
        reference = Ridge(alpha=float(penalties[problem]))
        reference.fit(standard(features)[0], signs[:, problem].numpy(), sample_weight=weights[:, problem].numpy())
        close = {"rtol": 0, "atol": 1e-10 * np.abs(reference.coef_).max()}
        np.testing.assert_allclose(vectors[:, problem], reference.coef_, **close)
        assert abs(float(intercepts[problem]) - reference.intercept_) < 1e-10


# ------------------------------------------------------------------------------------------------ svm and sgd


@SHAPES
@pytest.mark.parametrize(("spec", "penalty"), [("cav:solver=svm", 0.1), ("cav:solver=svm,inverse_penalty=3", 3)])
def test_svm_equals_scikit_learn(shape: tuple[int, int], spec: str, penalty: float) -> None:
    """LIBLINEAR penalises the intercept; where that is a weight for a feature of 1000, it is as good as free."""
    features, present = drawn(shape)
    directions = fit(spec, features, present)
    for concept, labels in enumerate(present.T.numpy()):
        reference = LinearSVC(C=penalty, class_weight="balanced", intercept_scaling=1e3, dual=False, tol=1e-10)
        reference.set_params(max_iter=100_000).fit(standard(features)[0], labels)
        vector = directions.vectors[concept].double().numpy()
        assert vector @ reference.coef_[0] / np.linalg.norm(reference.coef_[0]) > 0.999
        assert_is(directions, concept, reference, features, 1e-3)


def stochastic(features: np.ndarray, labels: np.ndarray) -> SGDClassifier:
    """The classifier of the original code, and of captum."""
    weights = compute_sample_weight("balanced", labels)
    found = SGDClassifier(alpha=0.01, max_iter=1000, tol=1e-3, random_state=0)
    return found.fit(features, 2.0 * labels - 1, sample_weight=weights)


def test_sgd_of_few_features_is_scikit_learn_to_the_last_bit() -> None:
    """It learns from examples in the order of their names, which here is that of their rows."""
    features, present = drawn(NARROW)
    design = Design.of(Held(features))
    same = torch.cat([block for _, block in design.rows()]).numpy()
    np.testing.assert_allclose(same, standard(features)[0], rtol=0, atol=1e-12)
    planes = classifier.Classifier("sgd").solve(design, present)
    directions = fit("cav:solver=sgd", features, present)
    for concept, labels in enumerate(present.T.numpy()):
        reference = stochastic(same, labels)
        assert np.array_equal(planes.vectors[:, concept].numpy(), reference.coef_[0])
        assert float(planes.intercepts[concept]) == reference.intercept_[0]
        assert_is(directions, concept, reference, features, 1e-6)


def test_sgd_of_many_features_finds_what_scikit_learn_finds() -> None:
    features, present = drawn(WIDE)
    directions = fit("cav:solver=sgd", features, present)
    for concept, labels in enumerate(present.T.numpy()):
        reference = stochastic(standard(features)[0], labels).coef_[0]
        vector = directions.vectors[concept].double().numpy()
        assert vector @ reference / np.linalg.norm(reference) > 0.99


@SHAPES
@pytest.mark.parametrize("solver", ["logistic", "svm", "sgd", "ridge"])
def test_another_order_of_examples_gives_the_same_directions(solver: str, shape: tuple[int, int]) -> None:
    features, present = drawn(shape)
    model, concepts = given(shape[1]), concepts_of(features, present)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(3))
    method = registry.load("methods", f"cav:solver={solver}")
    plain, mixed = (method.fit(model, part, Randomness((0,))) for part in (concepts, concepts.select(order)))
    torch.testing.assert_close(plain.vectors, mixed.vectors, rtol=0, atol=1e-6)
    torch.testing.assert_close(plain.bias, mixed.bias, rtol=0, atol=1e-6)
    torch.testing.assert_close(plain.details["accuracy"], mixed.details["accuracy"])


# ------------------------------------------------------------------------------------------------ other samples


SPECS = [
    "cav",
    "cav:inverse_penalty=30",
    "cav:solver=svm",
    "cav:solver=svm,inverse_penalty=30",
    "cav:solver=ridge",
    "cav:solver=ridge,inverse_penalty=.1",
    "pattern_cav",
]


@SHAPES
@pytest.mark.parametrize("spec", SPECS)
def test_a_fit_to_counts_is_the_fit_to_the_very_examples_repeated(spec: str, shape: tuple[int, int]) -> None:
    """Features of a sample have another mean and spread, on which the penalty depends."""
    features, present = drawn(shape)
    model, concepts, method = given(shape[1]), concepts_of(features, present), registry.load("methods", spec)
    loud = features.norm(dim=1)
    chosen = torch.stack([often(len(features), 1)[:, 0], (loud < loud.median()).long() * 2, (loud > 0).long()])
    refits = method.refit(model, concepts, chosen, Randomness((0,)))
    assert len(refits) == 3
    for count, found in zip(chosen, refits, strict=True):
        rows = torch.arange(len(features)).repeat_interleave(count)
        whole = method.fit(model, concepts.select(rows), Randomness((0,)))
        assert (cosines(found.vectors, whole.vectors) > 1 - 1e-6).all()
        torch.testing.assert_close(found.bias, whole.bias, rtol=1e-4, atol=1e-5)
        assert (found.layer, found.pooling) == (whole.layer, whole.pooling)


@pytest.mark.parametrize("spec", ["cav:pooling=none", "cav:pooling=max,solver=svm", "pattern_cav:pooling=none"])
def test_a_fit_to_counts_keeps_the_pooling(spec: str) -> None:
    model = networks.cnn()
    images = networks.images(model, 40)
    present = (torch.arange(40) % 2 == 0)[:, None]
    concepts = Concepts(("even",), images + 0.2 * present[:, :, None, None], present)
    counts = often(40, 2).T
    method = registry.load("methods", spec)
    for count, found in zip(counts, method.refit(model, concepts, counts, Randomness((0,))), strict=True):
        rows = torch.arange(40).repeat_interleave(count)
        whole = method.fit(model, concepts.select(rows), Randomness((0,)))
        assert found.vectors.shape == whole.vectors.shape
        assert (cosines(found.vectors, whole.vectors) > 1 - 1e-6).all()


@pytest.mark.parametrize("solver", ["logistic", "sgd"])
def test_a_probe_that_solves_one_sample_after_another_does_so_too(solver: str) -> None:
    features, present = drawn(NARROW)
    model, concepts = given(NARROW[1]), concepts_of(features, present)
    concepts = concepts.select(torch.randperm(90, generator=torch.Generator().manual_seed(3)))
    method = registry.load("methods", f"fp_cav:fewest=5,hard_negatives=true,solver={solver}")
    counts = (often(90, 2) > 0).long().T
    for count, found in zip(counts, method.refit(model, concepts, counts, Randomness((0,))), strict=True):
        whole = method.fit(model, concepts.select(count.nonzero().flatten()), Randomness((0,)))
        assert torch.equal(found.vectors, whole.vectors)


# ------------------------------------------------------------------------------------------------ folds and weights


def test_copies_of_an_example_lie_in_one_fold() -> None:
    """Else a classifier would be asked of examples that it was fitted to."""
    features, present = drawn(NARROW)
    rows = torch.arange(90).repeat_interleave(often(90, 1)[:, 0])
    number = folds(concepts_of(features, present).select(rows))
    for row in rows.unique():
        assert (number[rows == row] == number[rows == row][0]).all()
    assert sorted(number[:, 0].unique().tolist()) == [0, 1, 2, 3, 4]


@SHAPES
@pytest.mark.parametrize("solver", ["ridge", "logistic"])
def test_out_of_fold_logits_are_those_of_classifiers_of_the_other_folds(shape: tuple[int, int], solver: Any) -> None:
    features, present = drawn(shape)
    concepts, design = concepts_of(features, present), Design.of(Held(features))
    used = torch.rand(len(features), 3, generator=torch.Generator().manual_seed(2)) < 0.8
    sample = Sample(concepts, Held(features), "0", Randomness((0,)))
    other = present.roll(1, 1)  # other labels than the concepts' own
    found = out_of_fold(classifier.Classifier(solver), design, sample, other, used)
    values, number = standard(features)[0], folds(concepts, other)
    for concept in range(3):
        labels, part = other[:, concept].numpy(), used[:, concept].numpy()
        for fold in range(5):
            out = (number[:, concept] == fold).numpy()
            mine = part & ~out
            weights = compute_sample_weight("balanced", labels[mine])
            reference = Ridge(alpha=1) if solver == "ridge" else LogisticRegression(tol=1e-10, max_iter=10_000)
            reference.fit(values[mine], 2.0 * labels[mine] - 1, sample_weight=weights)
            said = values[out] @ reference.coef_.reshape(-1) + np.ravel(reference.intercept_)
            np.testing.assert_allclose(found[out, concept], said, rtol=0, atol=1e-3 * np.abs(said).max())


def test_both_sides_weigh_the_same_and_absent_examples_nothing() -> None:
    _, present = drawn(NARROW)
    counts = often(90, 3)
    weights = classifier.balance(present, counts)
    assert not weights[counts == 0].any()
    for side in (present, ~present):
        torch.testing.assert_close((weights * side).sum(0), counts.sum(0).double() / 2)
    for problem, labels in enumerate(present.T.numpy()):
        balanced = compute_sample_weight("balanced", labels)
        np.testing.assert_allclose(classifier.balance(present)[:, problem], balanced, rtol=1e-15)


# ------------------------------------------------------------------------------------------------ design


@pytest.mark.parametrize("offset", [0.0, 1e4], ids=["small means", "large means"])
@pytest.mark.parametrize("shape", [NARROW, WIDE, (700, 300), (300, 700)], ids=str)
def test_the_design_is_what_numpy_makes_of_the_features(shape: tuple[int, int], offset: float) -> None:
    """The larger ones are computed in several parts, and around large means only once those are known."""
    features = drawn(shape)[0] + offset
    design, (values, centre, scale) = Design.of(Held(features)), standard(features)
    assert design.wide == (shape[1] > shape[0])
    random = np.random.default_rng(0)
    shares, vectors = random.normal(size=(shape[0], 4)), random.normal(size=(shape[1], 4))
    close = {"rtol": 0, "atol": 1e-10 if offset == 0 else 1e-8}
    np.testing.assert_allclose(design.centre, centre, **close)
    assert abs(design.scale - scale) < 1e-12 * max(1, offset)
    np.testing.assert_allclose(design.gram, values @ values.T, **close)
    np.testing.assert_allclose(design.covariance, values.T @ values, **close)
    np.testing.assert_allclose(torch.cat([block for _, block in design.rows()]), values, **close)
    np.testing.assert_allclose(torch.cat([block for _, block in design.columns()], 1), values, **close)
    np.testing.assert_allclose(design.combine(torch.from_numpy(shares)), values.T @ shares, **close)
    np.testing.assert_allclose(design.times(torch.from_numpy(vectors)), values @ vectors, **close)


@SHAPES
def test_coordinates_are_principal_and_keep_every_inner_product(shape: tuple[int, int]) -> None:
    features, _ = drawn(shape)
    design, (values, _, _) = Design.of(Held(features)), standard(features)
    coordinates = design.coordinates.numpy()
    assert coordinates.shape[1] == np.linalg.matrix_rank(values) == min(shape[0] - 1, shape[1])
    np.testing.assert_allclose(coordinates @ coordinates.T, values @ values.T, rtol=0, atol=1e-10)
    energies = np.linalg.svd(values, compute_uv=False)[: coordinates.shape[1]] ** 2
    np.testing.assert_allclose(coordinates.T @ coordinates, np.diag(energies[::-1]), rtol=0, atol=1e-10)
    weights = np.random.default_rng(0).normal(size=(coordinates.shape[1], 2))
    vectors = design.vectors_of(torch.from_numpy(weights)).numpy()
    np.testing.assert_allclose(values @ vectors, coordinates @ weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, weights.T @ weights, rtol=0, atol=1e-10)


@SHAPES
def test_restored_directions_give_the_logits_in_units_of_the_features(shape: tuple[int, int]) -> None:
    features, present = drawn(shape)
    planes = classifier.Classifier().solve(Design.of(Held(features)), present)
    vectors, bias = planes.restored()
    said = features.double() @ vectors.T + bias
    length = planes.vectors.norm(dim=0) / standard(features)[2]
    torch.testing.assert_close(said, planes.logits / length, rtol=0, atol=1e-8)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3, dtype=torch.float64))


@SHAPES
@pytest.mark.parametrize("filed", [False, True], ids=["held", "filed"])
def test_blocks_change_nothing(
    shape: tuple[int, int], filed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    features, present = drawn(shape)
    whole = Design.of(Held(features))
    expected = [whole.gram, whole.covariance, *classifier.Classifier("ridge").solve(whole, present).restored()]
    monkeypatch.setattr(activations, "BLOCK", 250)
    monkeypatch.setattr(activations, "HELD", 0)
    with keeping(tmp_path):
        wanted = Read("0", "mean")
        read = activations.read(given(shape[1]), features[:, :, None, None], [wanted])[wanted] if filed else None
    design = Design.of(read or Held(features))
    assert len(list(design.rows())) > 1
    assert len(list(design.columns())) > 1
    solved = classifier.Classifier("ridge").solve(design, present).restored()
    for mine, theirs in zip([design.gram, design.covariance, *solved], expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("spec", ["cav", "cav:solver=svm", "cav:solver=sgd", "cav:solver=ridge", "pattern_cav"])
@pytest.mark.parametrize("width", [3, 50])
def test_constant_features_give_zero_vectors_to_every_solver(spec: str, width: int) -> None:
    present = (torch.arange(20) % 2 == 0)[:, None]
    directions = fit(spec, torch.full((20, width), 1000.1), present)
    assert not directions.vectors.any()
    assert not directions.bias.any()
    assert float(directions.details["accuracy"]) == 0.5


# ------------------------------------------------------------------------------------------------ at the door


@pytest.mark.parametrize("name", ["cav", "fp_cav", "cured_cav", "context_cav"])
@pytest.mark.parametrize("setting", ["chunk=0", "chunk=-3", "inverse_penalty=0", "inverse_penalty=-1"])
def test_no_chunk_and_no_inverse_penalty_are_refused(name: str, setting: str) -> None:
    with pytest.raises(InputError, match=setting.replace("=", r".*")):
        registry.load("methods", f"{name}:{setting}")


@pytest.mark.parametrize("penalty", [0, -1, float("nan")])
def test_a_classifier_without_inverse_penalty_is_refused(penalty: float) -> None:
    with pytest.raises(InputError, match="inverse_penalty is above 0"):
        classifier.Classifier("svm", penalty)
