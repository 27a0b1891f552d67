"""Many linear classifiers in one solve against scikit-learn, one at a time."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor

Classifiers = importlib.import_module("ambench.methods.probes._newton").Classifiers
balance = importlib.import_module("ambench.methods.probes._classifier").balance


def problems_of(features: Tensor, present: Tensor, used: Tensor, inverse_penalty: float, loss: str = "logistic") -> Any:
    """Problems whose sides weigh the same among the examples used."""
    design = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    weights = inverse_penalty * balance(present, used)
    return Classifiers(design, 2.0 * present.double() - 1, weights, torch.ones_like(weights[0]), loss)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e2])
@pytest.mark.parametrize(("count", "width"), [(80, 5), (40, 90)])
def test_every_problem_equals_scikit_learn(count: int, width: int, penalty: float) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(count, width)) * np.geomspace(0.01, 3, width)
    present = features[:, :1] + random.normal(size=(count, 4)) * [0.1, 1, 3, 1] > [0, 0, 0, 1]
    used = random.random((count, 4)) < 0.8
    problems = problems_of(torch.from_numpy(features), torch.from_numpy(present), torch.from_numpy(used), penalty)
    solved = problems.solve().numpy()
    for problem in range(4):
        mine, labels = features[used[:, problem]], present[used[:, problem], problem]
        reference = LogisticRegression(C=penalty, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.set_params(max_iter=1000).fit(mine, labels)
        np.testing.assert_allclose(solved[:-1, problem], reference.coef_[0], atol=1e-6 * np.abs(reference.coef_).max())
        assert abs(solved[-1, problem] - reference.intercept_[0]) < 1e-6 * max(1, abs(reference.intercept_[0]))


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e2])
@pytest.mark.parametrize(("count", "width"), [(80, 5), (40, 90)])
def test_svms_are_where_another_optimiser_finds_nothing_lower(count: int, width: int, penalty: float) -> None:
    """LIBLINEAR penalises the intercept as well, so the objective itself is handed to scipy."""
    random = np.random.default_rng(1)
    features = random.normal(size=(count, width))
    present = features[:, :1] + random.normal(size=(count, 3)) * [0.1, 1, 3] > 0
    used = random.random((count, 3)) < 0.8
    problems = problems_of(*(torch.from_numpy(part) for part in (features, present, used)), penalty, "svm")
    solved = problems.solve().numpy()
    weights, signs = problems.weights.numpy(), problems.signs.numpy()

    def total(point: np.ndarray, problem: int) -> tuple[float, np.ndarray]:
        short = np.maximum(0, 1 - signs[:, problem] * (features @ point[:-1] + point[-1]))
        slope = -2 * weights[:, problem] * signs[:, problem] * short
        pull = np.append(features.T @ slope + point[:-1], slope.sum())
        return float((weights[:, problem] * short**2).sum() + point[:-1] @ point[:-1] / 2), pull

    for problem in range(3):
        start = np.zeros(width + 1)
        options = {"maxiter": 20000, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-10}
        best = minimize(total, start, args=(problem,), jac=True, method="L-BFGS-B", options=options)
        mine = total(solved[:, problem], problem)[0]
        assert mine <= best.fun * (1 + 1e-9)
        cosine = solved[:-1, problem] @ best.x[:-1] / np.linalg.norm(solved[:-1, problem]) / np.linalg.norm(best.x[:-1])
        assert cosine > 0.9999


def test_a_solve_from_elsewhere_ends_at_the_same_place() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(50, 8, generator=random, dtype=torch.float64)
    present = torch.randn(50, 3, generator=random) > 0
    problems = problems_of(features, present, torch.ones_like(present), 1.0)
    far = torch.randn(9, 3, generator=random, dtype=torch.float64) * 10
    torch.testing.assert_close(problems.solve(far), problems.solve(), atol=1e-7, rtol=0)
