"""Error consistency: whether two observers err on the same pictures (Geirhos et al. 2020, arXiv 2006.16736)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ambench.clusters import FEWEST, Floats
from ambench.resampling import bca, resampled_means

BOTH, FIRST, SECOND = range(3)  # columns: both are right or both wrong, the first is right, the second is


def error_consistency(trials: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return a row for each pair of observers, of any folders, that saw the same stimuli under the same condition.

    `trials` are those of `read_trials`. An answer is right where it names the shape; all stimuli that both saw count,
    those without conflict too. observed: share on which both are right or both wrong; expected: that share for two
    observers who err independently; kappa = (observed - expected) / (1 - expected): 1 the same errors, 0 no more than
    by chance, below 0 fewer. ci_low, ci_high: its 95 % BCa interval over shape exemplars. Observers who are never
    wrong, or always, have no kappa. Of a stimulus answered several times the share of right answers counts.

    >>> stimuli = {"exemplar": ["cat1", "cat2", "dog1", "dog2"], "shape": ["cat", "cat", "dog", "dog"]}
    >>> said = {"ann": ["cat", "cat", "dog", "car"], "bob": ["cat", "car", "dog", "car"]}
    >>> where = {"texture": "car", "group": "people", "condition": "0"}
    >>> both = [pd.DataFrame(stimuli | where | {"observer": who, "response": what}) for who, what in said.items()]
    >>> error_consistency(pd.concat(both))[["stimuli", "observed", "expected", "kappa"]].values.tolist()
    [[4.0, 0.75, 0.5, 0.5]]
    """
    right = trials.assign(right=(trials["response"] == trials["shape"]).astype(float))
    rows: list[dict[str, Any]] = []
    for condition, here in right.groupby("condition", sort=False):
        table = here.pivot_table(index=["exemplar", "texture"], columns=["group", "observer"], values="right")
        order = list(dict.fromkeys(zip(here["group"], here["observer"], strict=True)))  # as the files were given
        for one, other in combinations(order, 2):
            pair = table[[one, other]].dropna()
            if len(pair):
                rows.append(_names(one, other) | {"condition": condition} | _agreement(pair, seed))
    return pd.DataFrame(rows, columns=[*_names(("", ""), ("", "")), "condition", *_NUMBERS])


def mean_by_group(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean kappa of each two folders, and of the pairs within one: how many pairs, and their range."""
    known = pairs.dropna(subset="kappa")
    keys = ["group", "other_group", "condition"]
    found = known.groupby(keys, sort=False)["kappa"].agg(["count", "mean", "min", "max"]).reset_index()
    return found.rename(columns={"count": "pairs", "mean": "kappa", "min": "lowest", "max": "highest"})


def kappa(shares: Floats) -> Floats:
    """Return kappa [n] of shares [n, 3]: both alike, the first right, the second right; NaN where neither can vary.

    >>> kappa(np.array([[0.75, 0.75, 0.5], [1.0, 1.0, 1.0]])).tolist()
    [0.5, nan]
    """
    expected = expected_agreement(shares)
    spread = np.where(expected < 1, 1 - expected, np.nan)
    return np.asarray((shares[:, BOTH] - expected) / spread, np.float64)


def expected_agreement(shares: Floats) -> Floats:
    """Return on which share [n] two observers agree who err independently of one another."""
    first, second = shares[:, FIRST], shares[:, SECOND]
    return np.asarray(first * second + (1 - first) * (1 - second), np.float64)


_NUMBERS = ("stimuli", "right", "other_right", "observed", "expected", "kappa", "ci_low", "ci_high")


def _names(one: tuple[str, str], other: tuple[str, str]) -> dict[str, str]:
    return {"group": one[0], "observer": one[1], "other_group": other[0], "other_observer": other[1]}


def _agreement(pair: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return what two columns of right answers, a stimulus a row, have in common."""
    first, second = pair.to_numpy(np.float64).T
    columns = np.stack([first * second + (1 - first) * (1 - second), first, second], 1)  # [stimuli, 3]
    shares = columns.mean(0)[None]
    value = float(kappa(shares)[0])
    by_exemplar = pd.DataFrame(np.c_[columns, np.ones(len(pair))]).groupby(pair.index.get_level_values("exemplar"))
    clusters: Floats = by_exemplar.sum().to_numpy(np.float64)  # [exemplars, 4]
    low, high = _interval(value, clusters, seed)
    numbers = (len(pair), shares[0, FIRST], shares[0, SECOND], shares[0, BOTH], expected_agreement(shares)[0], value)
    return dict(zip(_NUMBERS, (*numbers, low, high), strict=True))


def _interval(value: float, clusters: Floats, seed: int) -> tuple[float | None, float | None]:
    sums, counts = clusters[:, :3], clusters[:, 3:]
    if len(sums) < FEWEST or not np.isfinite(value):
        return None, None
    replicates = kappa(resampled_means(sums, np.broadcast_to(counts, sums.shape), (seed, "error consistency")))
    without = kappa((sums.sum(0) - sums) / (counts.sum() - counts))
    return bca(value, replicates, without[np.isfinite(without)]) or (None, None)
