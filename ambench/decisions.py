"""Shape bias from files of single decisions, of people or networks (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ambench.clusters import FEWEST
from ambench.core import InputError, nearest
from ambench.resampling import bca, resampled_means

NEEDED = ("subj", "session", "trial", "object_response", "category", "condition", "imagename")
NO_ANSWER = "na"
POOLED = "pooled"
_STIMULUS = r"(?:^|_)(?P<exemplar>(?P<shape>[a-z]+)\d+)(?:-(?P<texture>[a-z]+)\d+)?\.(?:png|jpe?g)$"


def shape_bias_table(paths: Sequence[str | Path], seed: int = 0) -> pd.DataFrame:
    """Return a row for each observer of each folder and condition, and one (`pooled`) for all observers of a folder.

    `paths` are CSV files, or folders of them, a trial a row: subj, session, trial, object_response, category (the
    shape), condition, imagename (ends like `cat3-dog2.png`: shape of cat 3, texture of dog 2; `cat3.png` is plain).

    - group (the files' folder), observer, condition; observers, trials: how many;
    - conflicts: trials whose shape and texture differ; what follows counts these, `accuracy` excepted;
    - shape, texture, other: answers that name the one, the other, neither; no_answer: those of `other` that are `na`;
    - shape_bias = shape / (shape + texture); ci_low, ci_high: its 95 % BCa interval (clusters are observers if pooled,
      else shape exemplars; none below 5); category_mean, observer_mean: the mean of each category's or observer's own;
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
    rows = []
    for place, here in read_trials(paths).groupby(["group", "condition"], sort=False):
        group, condition = place
        own = [
            {"group": group, "observer": observer, "condition": condition}
            | _summary(trials, "exemplar", (seed, group, condition, observer))
            for observer, trials in here.groupby("observer")
        ]
        rows += own
        if len(own) > 1:
            pooled = _summary(here, "observer", (seed, group, condition))
            pooled["observer_mean"] = _mean([row["shape_bias"] for row in own])
            rows.append({"group": group, "observer": POOLED, "condition": condition} | pooled)
    return pd.DataFrame(rows)


def categories() -> tuple[str, ...]:
    """Return the sixteen categories of the published experiments, in alphabetical order.

    >>> categories()[:3]
    ('airplane', 'bear', 'bicycle')
    """
    text = (files("ambench") / "datasets" / "sixteen_classes.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["classes"])


# ------------------------------------------------------------------------------------------------ reading


def read_trials(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return the trials of all files: group, observer, condition, response, shape, texture ("" if plain), exemplar."""
    found = [file for path in paths for file in _csv_files(Path(path))]
    if not found:
        raise InputError("there is nothing to read: name at least one CSV file of decisions")
    trials = pd.concat([_read_file(file).assign(group=str(file.parent.resolve())) for file in found], ignore_index=True)
    _refuse_repeats(trials)
    folders = list(trials["group"].unique())
    names = [Path(folder).name for folder in folders]
    short = {f: n if names.count(n) == 1 else f for f, n in zip(folders, names, strict=True)}
    return trials.assign(group=trials["group"].map(short))


def _csv_files(path: Path) -> list[Path]:
    if path.is_dir():
        inside = sorted(path.glob("*.csv"))
        if not inside:
            raise InputError(f"the folder '{path}' holds no CSV file of decisions")
        return inside
    if not path.is_file():
        raise InputError(f"there is no file '{path}'; wanted is a CSV file of decisions, or a folder of them")
    return [path]


def _read_file(file: Path) -> pd.DataFrame:
    try:
        raw = pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' cannot be read as CSV: {error}") from None
    for column in NEEDED:
        if column not in raw.columns:
            raise InputError(f"'{file}' has no column '{column}'; {nearest(column, raw.columns)}")
    if raw.empty:
        raise InputError(f"'{file}' holds no trials, only a header")
    stimulus = raw["imagename"].str.lower().str.extract(_STIMULUS)
    unreadable = stimulus["shape"].isna()
    if unreadable.any():
        wrong = raw["imagename"][unreadable].iloc[0]
        raise InputError(f"'{file}': the stimulus name '{wrong}' is not like 'cat3-dog2.png' (shape, texture)")
    answers = raw["object_response"].str.strip().str.lower()
    trials = stimulus.fillna("").assign(
        observer=raw["subj"], condition=raw["condition"], session=raw["session"], trial=raw["trial"], response=answers
    )
    _refuse_unknown(file, trials, raw["category"].str.strip().str.lower())
    return trials


def _refuse_unknown(file: Path, trials: pd.DataFrame, category: pd.Series[str]) -> None:
    known = set(categories())
    allowed = {"object_response": known | {NO_ANSWER}, "category": known, "texture": known | {""}}
    for column, names in zip(allowed, (trials["response"], category, trials["texture"]), strict=True):
        unknown = sorted(set(names) - allowed[column])
        if unknown:
            hint = nearest(unknown[0], allowed[column] - {""})
            raise InputError(f"'{file}': there is no {column} '{unknown[0]}'; {hint}")
    differs = trials["shape"] != category
    if differs.any():
        row = int(differs.to_numpy().argmax())
        raise InputError(
            f"'{file}', trial {row + 1}: category is '{category[row]}', but the stimulus' shape is "
            f"'{trials['shape'][row]}'; they must be the same"
        )


def _refuse_repeats(trials: pd.DataFrame) -> None:
    key = ["group", "observer", "condition", "session", "trial", "exemplar", "texture"]
    repeated = trials.duplicated(key)
    if repeated.any():
        first = trials[repeated].iloc[0]
        raise InputError(
            f"trial {first['trial']} of session {first['session']} of '{first['observer']}' is there twice: "
            "give each file once"
        )


# ------------------------------------------------------------------------------------------------ counting


def _summary(trials: pd.DataFrame, cluster: str, key: tuple[Hashable, ...]) -> dict[str, Any]:
    plain = (trials["texture"] == "") | (trials["texture"] == trials["shape"])
    conflicts = trials[~plain]
    named = _named(conflicts)
    shape, texture = (int(named[cue].sum()) for cue in ("shape", "texture"))
    low, high = _interval(named.groupby(conflicts[cluster]).sum(), (*key, "shape_bias"))
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
        "category_mean": _mean([_share(s, s + t) for s, t in named.groupby(conflicts["shape"]).sum().to_numpy()]),
        "observer_mean": None,
        "coverage": _share(shape + texture, len(conflicts)),
        "hit_rate": _share(shape, len(conflicts)),
        "accuracy": _share(int((trials["response"] == trials["shape"])[plain].sum()), int(plain.sum())),
    }


def _named(conflicts: pd.DataFrame) -> pd.DataFrame:
    """Whether each answer names the shape, and whether it names the texture."""
    return pd.DataFrame({cue: (conflicts["response"] == conflicts[cue]).astype(int) for cue in ("shape", "texture")})


def _interval(counts: pd.DataFrame, key: tuple[Hashable, ...]) -> tuple[float | None, float | None]:
    """The interval of shape / (shape + texture) over clusters [n, 2], none where there are few or nothing varies."""
    shape = counts["shape"].to_numpy(np.float64)  # [n]
    named = shape + counts["texture"].to_numpy(np.float64)  # [n]
    others = named.sum() - named
    if len(named) < FEWEST or not (others > 0).all():
        return None, None
    replicates = resampled_means(shape[:, None], named[:, None], key)[:, 0]
    return bca(shape.sum() / named.sum(), replicates, (shape.sum() - shape) / others) or (None, None)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
