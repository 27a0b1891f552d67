"""The questions of the activation-maximization study as rows, with intervals over networks, and its pictures.

python studies/activation_maximization.py RUN               prints the tables as Markdown
python studies/activation_maximization.py RUN --page        writes them into docs/studies/activation_maximization.md
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ambench import registry
from ambench.results import Results
from pages import DOCS, interval, show, verdict

PAGE = DOCS / "activation_maximization.md"

CLASSES, TEXTURES, CONCEPTS = "cue_conflict:ask=shape", "cue_conflict:ask=texture", "shapes:fit=300"


def spelt(method: str) -> str:
    """Return a method as the rows of a run spell it: settings in order, defaults left out."""
    return registry.spec_of(registry.load("methods", method))


PLAIN = spelt("actmax:steps=128,restarts=2")
STILL = spelt("actmax:steps=128,jitter=0,zoom=0,rotation_degrees=0,restarts=2")
PROBABLE = spelt("actmax:steps=128,objective=probability,restarts=2")
PIXEL = spelt("actmax:steps=128,parametrisation=pixel,restarts=2")
LATENT = spelt("actmax_latent:steps=128,restarts=2")
JOINT = spelt("actmax_joint:steps=128,restarts=2")
MACO = spelt("maco:steps=128,crops=4,restarts=2")
NATURAL = spelt("dataset_examples:examples=2")


@dataclass(frozen=True)
class Question:
    """A sentence that a difference of two methods can bear out, one value a network: `method` minus `other`."""

    sentence: str
    dataset: str
    metric: str
    method: str
    other: str | None = None


QUESTIONS = (
    Question("portraits excite units more than natural images (strongest: 1)", CLASSES, "activation_gain", PLAIN),
    Question("a portrait beats the strongest natural image", CLASSES, "success", PLAIN),
    Question("moving the picture between steps buys transfer", CLASSES, "transfer", PLAIN, STILL),
    Question("it buys margin in other networks", CLASSES, "transfer_margin", PLAIN, STILL),
    Question("climbing the probability buys transfer over the logit", CLASSES, "transfer", PROBABLE, PLAIN),
    Question("it costs activation", CLASSES, "activation_gain", PROBABLE, PLAIN),
    Question("waves are more natural than pixels with a penalty", CLASSES, "naturalness", PLAIN, PIXEL),
    Question("a decoder buys naturalness (down is better)", CLASSES, "naturalness", LATENT, PLAIN),
    Question("at a loss of activation", CLASSES, "activation_gain", LATENT, PLAIN),
    Question("and transfer", CLASSES, "transfer", LATENT, PLAIN),
    Question("joint statistics buy naturalness", CLASSES, "naturalness", JOINT, PLAIN),
    Question("at a loss of activation", CLASSES, "activation_gain", JOINT, PLAIN),
    Question("and transfer", CLASSES, "transfer", JOINT, PLAIN),
    Question("natural magnitudes bring the spectrum nearer", CLASSES, "naturalness:measure=spectrum", MACO, PLAIN),
    Question("at a loss of transfer", CLASSES, "transfer", MACO, PLAIN),
    Question("portraits are processed like natural images (1 is as they are)", CLASSES, "path_similarity", PLAIN),
    Question("those of a decoder more so", CLASSES, "path_similarity", LATENT, PLAIN),
    Question("a portrait's direction tells its concept", CONCEPTS, "hard_accuracy", PLAIN, "random_direction"),
    Question("and finds it better", CONCEPTS, "pixel_auroc", PLAIN, "random_direction"),
    Question("it tells as well as a probe", CONCEPTS, "hard_accuracy", PLAIN, "cav"),
    Question("it finds as well as a probe", CONCEPTS, "pixel_auroc", PLAIN, "cav"),
    Question("a decoder's portraits find better than plain ones", CONCEPTS, "pixel_auroc", LATENT, PLAIN),
    Question("natural crops find better than portraits", CONCEPTS, "pixel_auroc", NATURAL, PLAIN),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ the rows


def rows_of(results: Results) -> pd.DataFrame:
    """Return the rows of all concepts together, with columns for the family of networks and the training seed.

    `success` is one more metric: the share of portraits that excite their unit more than the strongest natural image.
    """
    frame = results.to_frame()
    frame = frame[frame.value.notna() & (frame.concept == "all")]
    frame = pd.concat([frame, successes(results)], ignore_index=True)
    frame["network"] = [re.split("@", model)[0] for model in frame.model]
    frame["training"] = [Path(model).stem[-1] if "@" in model else "0" for model in frame.model]  # the seed
    return frame


def successes(results: Results) -> pd.DataFrame:
    """Return the share of a cell's portraits with an activation gain above 1, as rows."""
    values = results.to_frame(level="image")
    gains = values[(values.metric == "activation_gain") & values.defined]
    shares = gains.assign(value=gains.value > 1).groupby(["model", "method", "dataset"], sort=False).value.mean()
    return shares.reset_index().assign(metric="success", concept="all")


def by_network(frame: pd.DataFrame, question: Question) -> dict[str, list[float]]:
    """Return a question's value for each network, by family."""
    asked = frame[(frame.dataset == question.dataset) & (frame.metric == question.metric)]
    table = asked.pivot_table(index=["network", "training"], columns="method", values="value", sort=False)
    if question.method not in table or (question.other is not None and question.other not in table):
        return {}
    values = table[question.method] - (0 if question.other is None else table[question.other])
    return {str(family): part.tolist() for family, part in values.dropna().groupby("network", sort=False)}


def answers(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the questions' table as Markdown."""
    yield "| question | measured as | networks | value | |"
    yield "|---|---|---|---:|---|"
    for question in QUESTIONS:
        what = f"{question.metric}: {short(question.method)}" + (
            f" - {short(question.other)}" if question.other else ""
        )
        for family, values in by_network(frame, question).items():
            side = "" if question.other is None else verdict(values)
            yield f"| {question.sentence} | {what} | {family} | {interval(values)} | {side} |"


def twins(frame: pd.DataFrame) -> Iterator[str]:
    """Yield whether portraits of texture-trained twins are more texture-like than those of shape-trained ones."""
    yield "| portraits | networks | shape-trained | texture-trained | difference | |"
    yield "|---|---|---:|---:|---:|---|"
    asked = frame[frame.metric == "texture_share"].set_index(["method", "network", "training"]).value
    for method in (PLAIN, LATENT, NATURAL):
        for family in ("cnn", "vit"):
            shape, texture = (_of(asked, method, name) for name in (family, f"{family}-texture"))
            both = sorted(shape.keys() & texture.keys())
            if both:
                difference = [texture[seed] - shape[seed] for seed in both]
                means = (sum(part[seed] for seed in both) / len(both) for part in (shape, texture))
                numbers = " | ".join(f"{mean:.3f}" for mean in means)
                yield f"| {short(method)} | {family} | {numbers} | {interval(difference)} | {verdict(difference)} |"


def _of(values: pd.Series, method: str, network: str) -> dict[str, float]:
    found = values[[key[:2] == (method, network) for key in values.index]]
    return {key[2]: float(value) for key, value in found.items()}


COLUMNS = {
    "success": "success ↑",
    "activation_gain": "gain ↑",
    "transfer": "transfer ↑",
    "transfer_margin": "margin ↑",
    "naturalness": "distance of features ↓",
    "naturalness:measure=spectrum": "of the spectrum ↓",
    "diversity:successful=false": "diversity ↑",
    "survival": "survival ↑",
    "path_similarity": "path ↑",
    "path_similarity:measure=specificity": "specific path ↑",
    "texture_share": "texture share",
}


def methods(frame: pd.DataFrame) -> Iterator[str]:
    """Yield every method on every portrait metric: means over the networks of a family."""
    yield "| networks | portraits | " + " | ".join(COLUMNS.values()) + " |"
    yield "|---|---|" + "---:|" * len(COLUMNS)
    asked = frame[(frame.dataset == CLASSES) & frame.metric.isin(list(COLUMNS))]
    table = asked.pivot_table(index=["network", "method"], columns="metric", values="value", sort=False)
    for (network, method), row in table.iterrows():
        cells = [f"{row[metric]:.2f}" if metric in row and pd.notna(row[metric]) else "" for metric in COLUMNS]
        yield f"| {network} | {short(method)} | " + " | ".join(cells) + " |"


def attacks(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how small a change of a photograph flips the answer."""
    yield "| networks | flipped within 1/255 | within 8/255 | smallest radius tried that flips, /255 |"
    yield "|---|---:|---:|---:|"
    asked = frame[frame.metric.isin(["flip_rate", "flip_rate:radius=1.0", "flipping_radius"])]
    for network, family in asked.groupby("network", sort=False):
        table = family.pivot_table(index="training", columns="metric", values="value")
        cells = [
            interval(table[metric].tolist()) for metric in ("flip_rate:radius=1.0", "flip_rate", "flipping_radius")
        ]
        yield f"| {network} | " + " | ".join(cells) + " |"


def short(method: str) -> str:
    """Return a method's name as the page prints it, without what all of them share.

    >>> short("actmax:parametrisation=pixel,restarts=2,steps=128")
    '`actmax:parametrisation=pixel`'
    """
    name, _, settings = method.partition(":")
    dull = re.compile(r"(steps|restarts|examples|crops|jitter|rotation_degrees)=")
    told = ["still" if part.startswith("zoom=0") else part for part in settings.split(",") if not dull.match(part)]
    told = [part for part in told if part]
    return f"`{name}{':' if told else ''}{','.join(told)}`"


TABLES = {"answers": answers, "twins": twins, "methods": methods, "attacks": attacks}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="the folder of the study's run, or of its parts")
    parser.add_argument("--page", action="store_true", help="write the tables into the page instead of printing them")
    given = parser.parse_args(arguments)
    frame = pd.concat([rows_of(Results.open(run)) for run in given.run], ignore_index=True)
    show(frame, TABLES, PAGE if given.page else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
