"""Shape bias from single decisions of people or networks (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ambench.clusters import FEWEST, Floats, ratio
from ambench.psychophysics import NO_ANSWER, read_trials
from ambench.resampling import bca, resampled_means

POOLED = "pooled"
Interval = tuple[float | None, float | None]


def shape_bias_table(paths: Sequence[str | Path], seed: int = 0) -> pd.DataFrame:
    """Return a row for each observer of each folder and condition, and one (`pooled`) for all observers of a folder.

    `paths` are CSV files, or folders of them, a trial a row: subj, session, trial, object_response, category (the
    shape), condition, imagename (ends like `cat3-dog2.png`: shape of cat 3, texture of dog 2; `cat3.png` is plain).

    - group (the files' folder), observer, condition; observers, trials: how many;
    - conflicts: trials whose shape and texture differ; what follows counts these, `accuracy` excepted;
    - shape, texture, other: answers that name the one, the other, neither; no_answer: those of `other` that are `na`;
    - shape_bias = shape / (shape + texture) over all trials, the pooled estimator; ci_low, ci_high: its 95 % BCa
      interval (clusters are observers if pooled, else shape exemplars; none below 5);
    - category_mean: the other estimator, the mean over categories (the shapes) of each one's own shape bias;
      category_low, category_high: its interval; observer_mean: the mean of the observers' own;
    - coverage = (shape + texture) / conflicts; hit_rate = shape / conflicts;
    - accuracy: share of right answers to pictures whose cues do not conflict.

    Raises InputError for unreadable files, missing columns, unknown categories, odd stimulus names, repeated trials.

    >>> import tempfile
    >>> lines = ["subj,session,trial,rt,object_response,category,condition,imagename"]
    >>> lines += [f"a,1,{i},.5,{said},cat,0,0001_cat3-dog2.png" for i, said in enumerate(["cat", "dog", "cat", "na"])]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("\\n".join(lines))
    ...     table = shape_bias_table([folder])
    >>> table[["shape", "texture", "other", "coverage"]].values.tolist()
    [[2.0, 1.0, 1.0, 0.75]]
    """
    return bias_of(read_trials(paths), seed)


def bias_of(trials: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the rows of `shape_bias_table` for trials that have been read."""
    rows: list[dict[str, Any]] = []
    for place, here in _places(trials):
        key = (seed, *place.values())
        row = place | _counts(here, key) | _category_mean(here, key) | {"observer_mean": None}
        if place["observer"] == POOLED:
            own = [past["shape_bias"] for past in rows if _beside(past, place)]
            row["observer_mean"] = _mean(own)
        rows.append(row)
    return pd.DataFrame(rows)


def bias_by_category(trials: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return a row for each category, the shape, of each observer and of all of a folder pooled.

    The columns are those of `shape_bias_table` that one category has; intervals are over exemplars, or observers.
    """
    rows = [
        place | {"category": str(category)} | _counts(part, (seed, *place.values(), str(category)))
        for place, here in _places(trials)
        for category, part in here.groupby("shape")
    ]
    return pd.DataFrame(rows)


def _places(trials: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield the trials of each observer of each folder and condition, then those of all of them if there are more."""
    for (group, condition), here in trials.groupby(["group", "condition"], sort=False):
        observers = [(str(name), part) for name, part in here.groupby("observer")]
        pooled = [(POOLED, here)] if len(observers) > 1 else []
        for observer, part in [*observers, *pooled]:
            yield (
                {"group": str(group), "observer": observer, "condition": str(condition)},
                part.assign(cluster=part["observer" if observer == POOLED else "exemplar"]),
            )


def _beside(row: dict[str, Any], place: dict[str, str]) -> bool:
    return (row["group"], row["condition"]) == (place["group"], place["condition"])


# ------------------------------------------------------------------------------------------------ counting


def _counts(trials: pd.DataFrame, key: tuple[Hashable, ...]) -> dict[str, Any]:
    """Return what is counted in trials with a `cluster`, and shares of it."""
    plain = (trials["texture"] == "") | (trials["texture"] == trials["shape"])
    conflicts = trials[~plain]
    named = _named(conflicts)
    shape, texture = (int(named[cue].sum()) for cue in ("shape", "texture"))
    low, high = _interval(named.groupby(conflicts["cluster"]).sum().to_numpy(np.float64)[:, None], key)
    return {
        "observers": trials["observer"].nunique(),
        "trials": len(trials),
        "conflicts": len(conflicts),
        "shape": shape,
        "texture": texture,
        "other": len(conflicts) - shape - texture,
        "no_answer": int((conflicts["response"] == NO_ANSWER).sum()),
        "shape_bias": _share(shape, shape + texture),
        "ci_low": low,
        "ci_high": high,
        "coverage": _share(shape + texture, len(conflicts)),
        "hit_rate": _share(shape, len(conflicts)),
        "accuracy": _share(int((trials["response"] == trials["shape"])[plain].sum()), int(plain.sum())),
    }


def _category_mean(trials: pd.DataFrame, key: tuple[Hashable, ...]) -> dict[str, Any]:
    """Return the mean over categories of each one's shape bias, of trials with a `cluster`, and its interval."""
    conflicts = trials[(trials["texture"] != "") & (trials["texture"] != trials["shape"])]
    named = _named(conflicts).groupby([conflicts["cluster"], conflicts["shape"]]).sum()
    table = named.unstack(fill_value=0).to_numpy(np.float64)  # [n, 2 K]
    counts = table.reshape(len(table), 2, -1).transpose(0, 2, 1)  # [n, K, 2]
    counts = counts[:, counts.sum((0, 2)) > 0]  # a category without such an answer has no bias
    low, high = _interval(counts, (*key, "by category"))
    return {"category_mean": _bias(counts.sum(0)) if counts.size else None, "category_low": low, "category_high": high}


def _named(conflicts: pd.DataFrame) -> pd.DataFrame:
    """Whether each answer names the shape, and whether it names the texture."""
    return pd.DataFrame({cue: (conflicts["response"] == conflicts[cue]).astype(int) for cue in ("shape", "texture")})


def _interval(counts: Floats, key: tuple[Hashable, ...]) -> Interval:
    """Return the interval of the mean over categories of shape / (shape + texture) over clusters [n, K, 2].

    None where there are few clusters, where one alone has all the answers, or where nothing varies.
    """
    shape, named = counts[..., 0], counts.sum(2)  # [n, K]
    others = named.sum(0) - named
    if len(named) < FEWEST or not counts.size or not others.any(1).all():
        return None, None
    replicates = _over_categories(resampled_means(shape, named, (*key, "shape_bias")))
    jackknife = _over_categories(ratio(shape.sum(0) - shape, others))
    return bca(_bias(counts.sum(0)), replicates, jackknife) or (None, None)


def _bias(counts: Floats) -> float:
    """Return the mean over categories of shape / (shape + texture), counts [K, 2]."""
    return float(_over_categories(ratio(counts[:, 0], counts.sum(1))[None])[0])


def _over_categories(table: Floats) -> Floats:
    """Return the mean of each row [n] over the categories [n, K] that have a value in it."""
    there = np.isfinite(table)
    return ratio(np.where(there, table, 0.0).sum(1), there.sum(1).astype(np.float64))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
