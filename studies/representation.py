"""What choosing labels by uncertainty does to features: differences of arms over paired seeds, and the learning curves.

python studies/representation.py RUN               prints the tables as Markdown
python studies/representation.py RUN --page        writes them into docs/studies/representation.md
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ambench.results import Results
from pages import DOCS, interval, show, verdict

PAGE = DOCS / "representation.md"
CARDS = Path(__file__).parent / "networks" / "active"
ARMS = ("baseline", "active")
WIDTH = 96  # features before the head of `cnn`


def rows_of(results: Results) -> pd.DataFrame:
    """Return the mean rows, with the arm and the seed of each network; others have neither."""
    frame = results.to_frame()
    frame = frame[(frame.concept == "all") & frame.value.notna()].copy()
    parts = frame.model.str.extract(rf"(?P<arm>{'|'.join(ARMS)})-(?P<number>\d+)\.safetensors$")
    return frame.assign(arm=parts.arm, number=parts.number)


def paired(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a metric's value for each seed (rows) and arm (columns), of seeds that have both."""
    rows = frame[(frame.metric == metric) & frame.arm.notna()]
    table = rows.pivot_table(index="number", columns="arm", values="value")
    return table.reindex(columns=list(ARMS)).dropna()


def cards(folder: Path = CARDS) -> list[dict[str, Any]]:
    """Return what is written about each seed's training, in order."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("seed-*.json"))]


# ------------------------------------------------------------------------------------------------ the page


def differences(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what each metric says of both arms and of their difference, over paired seeds."""
    yield "| metric | better | baseline | active | active - baseline | |"
    yield "|---|---|---:|---:|---:|---|"
    for metric, rows in frame.groupby("metric", sort=False):
        table = paired(frame, str(metric))
        if len(table):
            gaps = (table.active - table.baseline).tolist()
            arms = " | ".join(interval(table[arm].tolist(), sign=False) for arm in ARMS)
            yield f"| `{metric}` | {rows.better.iloc[0]} | {arms} | {interval(gaps)} | {verdict(gaps)} |"


def references(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the same of networks that stand beside the arms."""
    others = frame[frame.arm.isna()]
    models = list(dict.fromkeys(others.model))
    yield f"| metric | {' | '.join(f'`{model}`' for model in models)} |"
    yield f"|---|{'---:|' * len(models)}"
    for metric, rows in others.groupby("metric", sort=False):
        values = rows.set_index("model").value
        numbers = [f"{values[model]:.3f}" if model in values else "" for model in models]
        yield f"| `{metric}` | {' | '.join(numbers)} |"
    random = math.exp(math.lgamma(WIDTH / 2) - math.lgamma((WIDTH + 1) / 2)) / math.sqrt(math.pi)
    yield ""
    yield f"Random directions in {WIDTH} dimensions have a mean size of the cosine of {random:.3f}; eight class"
    yield "directions as far apart as they can lie have 1/7 = 0.143, and 7/8 of a dimension each."


def curves(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how accurate each arm is with how many labels, and how unequal the classes of its labels are."""
    yield "| labels | baseline | active | active - baseline | largest over smallest class, active |"
    yield "|---:|---:|---:|---:|---:|"
    known = cards()
    for place in range(min((len(card["rounds"][arm]) for card in known for arm in ARMS), default=0)):
        rounds = {arm: [card["rounds"][arm][place] for card in known] for arm in ARMS}
        accuracy = {arm: np.array([one["accuracy"] for one in rounds[arm]]) for arm in ARMS}
        counts = [one["classes"].values() for one in rounds["active"]]
        unequal = np.mean([max(of_classes) / min(of_classes) for of_classes in counts])
        arms = " | ".join(interval(accuracy[arm].tolist(), sign=False) for arm in ARMS)
        gaps = interval((accuracy["active"] - accuracy["baseline"]).tolist())
        yield f"| {rounds['active'][0]['labels']} | {arms} | {gaps} | {unequal:.2f} |"


TABLES = {"differences": differences, "references": references, "curves": curves}


def main(argv: Iterable[str] | None = None) -> int:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="the folder of the study's run")
    parser.add_argument("--page", action="store_true", help="write the tables into the page instead of printing them")
    given = parser.parse_args(None if argv is None else list(argv))
    frame = pd.concat([rows_of(Results.open(run)) for run in given.run], ignore_index=True)
    show(frame, TABLES, PAGE if given.page else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
