"""Many logistic regressions in one solve against scikit-learn, one at a time."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

Logistic = importlib.import_module("ambench.methods.probes._logistic").Logistic


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e2])
@pytest.mark.parametrize(("count", "width"), [(80, 5), (40, 90)])
def test_every_problem_equals_scikit_learn(count: int, width: int, penalty: float) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(count, width)) * np.geomspace(0.01, 3, width)
    present = features[:, :1] + random.normal(size=(count, 4)) * [0.1, 1, 3, 1] > [0, 0, 0, 1]
    used = random.random((count, 4)) < 0.8
    problems = Logistic.balanced(
        torch.from_numpy(features), torch.from_numpy(present), torch.from_numpy(used), inverse_penalty=penalty
    )
    solved = problems.solve().numpy()
    for problem in range(4):
        mine, labels = features[used[:, problem]], present[used[:, problem], problem]
        reference = LogisticRegression(C=penalty, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.set_params(max_iter=1000).fit(mine, labels)
        np.testing.assert_allclose(solved[:-1, problem], reference.coef_[0], atol=1e-6 * np.abs(reference.coef_).max())
        assert abs(solved[-1, problem] - reference.intercept_[0]) < 1e-6 * max(1, abs(reference.intercept_[0]))


def test_a_solve_from_elsewhere_ends_at_the_same_place() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(50, 8, generator=random, dtype=torch.float64)
    present = torch.randn(50, 3, generator=random) > 0
    problems = Logistic.balanced(features, present, torch.ones_like(present), 1.0)
    far = torch.randn(9, 3, generator=random, dtype=torch.float64) * 10
    torch.testing.assert_close(problems.solve(far), problems.solve(), atol=1e-7, rtol=0)
