"""Files of single decisions, of people or networks, in the published schema: read and checked (arXiv 1811.12231)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ambench.categories import sixteen
from ambench.core import InputError, nearest

NEEDED = ("subj", "session", "trial", "object_response", "category", "condition", "imagename")
NO_ANSWER = "na"
STIMULUS = r"(?:^|_)(?P<exemplar>(?P<shape>[a-z]+)\d+)(?:-(?P<texture>[a-z]+)\d+)?\.(?:png|jpe?g)$"


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


def trials_of(paths: Sequence[str | Path], more: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Return the trials of files together with others; raises InputError where there is nothing at all."""
    parts = [read_trials(paths)] if paths or not more else []
    return pd.concat([*parts, *more], ignore_index=True)


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
    stimulus = raw["imagename"].str.lower().str.extract(STIMULUS)
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
    known = set(sixteen())
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
