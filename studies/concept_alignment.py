"""The claims of the concept-alignment study as rows, with intervals over networks, and its pictures.

python studies/concept_alignment.py RUN               prints the claims as Markdown
python studies/concept_alignment.py RUN --page        writes them into docs/studies/concept_alignment.md, with pictures
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy.stats import kendalltau

from ambench import registry
from ambench.results import Results
from pages import DOCS, interval, show, verdict

PAGE = DOCS / "concept_alignment.md"


@dataclass(frozen=True)
class Claim:
    """A sentence that a difference, a cosine or a correlation can bear out: how it is measured, one value a network."""

    sentence: str
    published: str
    dataset: str
    metric: str
    method: str
    other: str | None = None  # the method that it is compared with; None: the value itself


FLAT, POOLED = "cav:pooling=none", "cav"
MANY, USUAL = "shapes:fit=4000", "shapes:fit=300"
CLAIMS = (
    Claim("one that never saw it is nearly as accurate", ".74 - .81", MANY, "normal_accuracy", "fp_cav", POOLED),
    Claim("it points the same way", ".62", MANY, "control_cosine", POOLED),
    Claim("and yet it fails where the context misleads", "", MANY, "hard_accuracy", "fp_cav", POOLED),
    Claim("taking its direction out cures the probe", "", MANY, "hard_accuracy", "cured_cav", POOLED),
    Claim("pooling raises accuracy where the context misleads", "", USUAL, "hard_accuracy", POOLED, FLAT),
    Claim("pooling finds the place better", "", USUAL, "dataset_iou", POOLED, FLAT),
    Claim("masks raise accuracy where the context misleads", "", USUAL, "hard_accuracy", "segmentation_cav", FLAT),
    Claim("masks find the place better", "", USUAL, "dataset_iou", "segmentation_cav", FLAT),
    Claim("masks find it better than pooling", "", USUAL, "dataset_iou", "segmentation_cav", POOLED),
    Claim("masks point more along what the concept does", "", USUAL, "planted_cosine", "segmentation_cav", POOLED),
    Claim("both together do better than pooling alone", "", USUAL, "hard_accuracy", "combination_cav", POOLED),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ the rows


def rows_of(results: Results) -> pd.DataFrame:
    """Return the rows with a value, and columns for the family of networks, the method without its layer, the layer."""
    frame = results.to_frame()
    frame = frame[frame.value.notna()].copy()
    frame["network"] = [re.split("@", model)[0] for model in frame.model]
    parts = [registry.split(method) for method in frame.method]
    frame["layer"] = [settings.pop("layer", "default") for _, settings in parts]
    frame["probe"] = [name + "".join(f":{k}={v}" for k, v in rest.items()) for name, rest in parts]
    return frame


def by_network(frame: pd.DataFrame, claim: Claim) -> dict[tuple[str, str], list[float]]:
    """Return a claim's value for each network, by family and layer; of differences, over the concepts both have."""
    asked = frame[(frame.dataset == claim.dataset) & (frame.metric == claim.metric) & (frame.concept != "all")]
    found: dict[tuple[str, str], list[float]] = {}
    for (network, layer, _), place in asked.groupby(["network", "layer", "model"], sort=False):
        table = place.pivot_table(index="concept", columns="probe", values="value")
        if claim.method not in table or (claim.other is not None and claim.other not in table):
            continue
        values = table[claim.method] - (0 if claim.other is None else table[claim.other])
        if values.notna().any():
            found.setdefault((str(network), str(layer)), []).append(float(values.mean()))
    return found


# ------------------------------------------------------------------------------------------------ the page


def claims(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the claims' table as Markdown."""
    yield "| claim | published | measured as | networks | layer | value | |"
    yield "|---|---|---|---|---|---:|---|"
    for claim in CLAIMS:
        what = f"{claim.metric}: `{claim.method}`" + (f" - `{claim.other}`" if claim.other else "")
        for (network, layer), values in by_network(frame, claim).items():
            side = "" if claim.other is None else verdict(values)
            yield (
                f"| {claim.sentence} | {claim.published} | {what} | {network} | {_short(layer)} "
                f"| {interval(values)} | {side} |"
            )


def correlations(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how accuracy orders probes and layers beside how alignment does: Kendall's tau, one value a network."""
    yield "| networks | normal accuracy with | Kendall's tau b over probes and layers |"
    yield "|---|---|---:|"
    asked = frame[(frame.dataset == USUAL) & (frame.concept == "all") & ~frame.control]
    for network, family in asked.groupby("network", sort=False):
        for metric in ("hard_accuracy", "dataset_iou", "planted_cosine"):
            values = []
            for _, place in family.groupby("model", sort=False):
                table = place.pivot_table(index="method", columns="metric", values="value")
                if metric in table:
                    pair = table[["normal_accuracy", metric]].dropna()
                    values.append(float(kendalltau(pair.normal_accuracy, pair[metric]).statistic))
            if values:
                yield f"| {network} | {metric} | {interval(values)} |"


def curves(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what correlation and the number of examples do to each probe: means over networks."""
    yield "| networks | examples | probe | normal | hard | drop | IoU | dataset IoU |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    metrics = ["normal_accuracy", "hard_accuracy", "iou", "dataset_iou"]
    asked = frame[(frame.concept == "all") & frame.metric.isin(metrics) & (frame.dataset != MANY)]
    layers = asked[asked.dataset != USUAL].groupby("network").layer.first()  # the one that was varied
    for network, family in asked.groupby("network", sort=False):
        here = family[family.layer == layers.get(network, "")]
        table = here.pivot_table(index=["dataset", "probe"], columns="metric", values="value", sort=False)
        for (dataset, probe), row in table.iterrows():
            if probe in (FLAT, POOLED, "pattern_cav", "segmentation_cav"):
                numbers = " | ".join(f"{value:.3f}" for value in _numbers(row))
                yield f"| {network} | {dataset} | `{probe}` | {numbers} |"


def _numbers(row: pd.Series) -> list[float]:
    normal, hard = float(row["normal_accuracy"]), float(row["hard_accuracy"])
    return [normal, hard, normal - hard, float(row["iou"]), float(row["dataset_iou"])]


def _short(layer: str) -> str:
    return layer.replace("encoder.layers.encoder_layer_", "block ").replace(".ln_1", "")


def main() -> int:
    """Print the claims, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="the folder of the study's run, or of its parts")
    parser.add_argument("--page", action="store_true", help="write the tables into the page instead of printing them")
    given = parser.parse_args()
    frame = pd.concat([rows_of(Results.open(run)) for run in given.run], ignore_index=True)
    show(frame, TABLES, PAGE if given.page else None)
    return 0


TABLES = {"claims": claims, "correlations": correlations, "curves": curves}

if __name__ == "__main__":
    sys.exit(main())
