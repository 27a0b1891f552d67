"""Trains `cnn` on labels that it chose by its own uncertainty, and on as many drawn by lot (after arXiv 2412.16168).

python studies/active_learning.py --seed 0 --out studies/networks/active      # two networks and a card with both curves
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from rich.progress import Progress
from torch import Tensor, nn

from ambench.core import InputError, generator
from ambench.datasets.drawing.series import balanced_classes
from ambench.datasets.drawing.silhouettes import SHAPES
from ambench.zoo import specification
from ambench.zoo.files import half, write
from ambench.zoo.measure import answers
from ambench.zoo.recipe import Examples, Recipe, Track, drawn_examples, train
from ambench.zoo.specifications import CLASSES, Specification

Acquisition = Literal["random", "entropy", "margin", "least_confidence"]
Fit = Callable[[Specification, Recipe, Examples, Track], nn.Module]
Round = dict[str, Any]
ARMS: dict[str, Acquisition | None] = {"baseline": "random", "active": None}  # None: as asked
CHUNK = 256


@dataclass(frozen=True)
class Plan:
    """Labels for a tenth of the pool at first and a tenth more each round, up to half of it.

    Every round trains anew from the same initial weights and for as many images, so that only the choice differs.
    """

    pool: int = 8_000
    rounds: int = 5
    share: float = 0.1
    images: int = 100_000
    rate: float = 4e-3
    batch: int = 64
    test: int = 2_048

    def __post_init__(self) -> None:
        if round(self.share * self.pool) < self.batch:
            raise InputError(
                f"the first round has fewer labels than a batch, {self.batch}: take a larger pool or share"
            )

    def recipe(self, seed: int) -> Recipe:
        """Return how each round trains."""
        return Recipe(images=self.images, rate=self.rate, stored=self.pool, batch=self.batch, seed=seed)


# ------------------------------------------------------------------------------------------------ choosing


def uncertainty(logits: Tensor, how: Acquisition) -> Tensor:
    """Return how unsure a network is of each image [N] float64 from the logits of its classes [N, classes].

    The entropy of its probabilities in nats, the second largest less the largest, or 1 less the largest.

    >>> round(uncertainty(torch.zeros(1, 4), "entropy").item(), 4)  # the logarithm of 4
    1.3863
    """
    logs = logits.double().log_softmax(1)
    if how == "entropy":
        return torch.special.entr(logs.exp()).sum(1)
    first, second = logs.exp().topk(2, dim=1).values.T
    return second - first if how == "margin" else 1 - first


def chosen(unsure: Tensor | None, free: Tensor, count: int, key: tuple[int | str, ...]) -> Tensor:
    """Return which of the free rows [N] bool to label next [at most count]: the least sure, equal ones by lot.

    Without any uncertainty [N] the lot decides alone; where fewer are free, all of them are taken.

    >>> chosen(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([True, False, True]), 1, (0,)).tolist()
    [2]
    """
    rows = free.nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows), generator=generator("acquisition", *key))]
    if unsure is not None:
        rows = rows[unsure[rows].argsort(descending=True, stable=True)]
    return rows[:count]


# ------------------------------------------------------------------------------------------------ learning


def learn(
    plan: Plan,
    how: Acquisition,
    seed: int,
    examples: Examples,
    track: Track,
    fit: Fit = train,
    first: nn.Module | None = None,
) -> tuple[list[nn.Module], list[Round]]:
    """Return each round's network, and what it knew: how many labels, of which classes, how accurate it is.

    `first` is the network of the first round, if somebody who starts from the same labels has trained it already.
    """
    labelled = torch.zeros(len(examples.label), dtype=torch.bool)
    step, unsure = round(plan.share * len(labelled)), None
    networks: list[nn.Module] = []
    rounds: list[Round] = []
    for number in range(plan.rounds):
        new = chosen(unsure, ~labelled, step, (seed, number))
        if not len(new):
            break  # the pool is empty
        labelled[new] = True
        known = first if number == 0 else None
        network = known or fit(specification("cnn"), plan.recipe(seed), _some(examples, labelled), track)
        networks.append(network)
        rounds.append(_round(network, examples, labelled, plan))
        if how != "random" and number + 1 < plan.rounds:
            unsure = uncertainty(_classes(network, examples.images), how)
    return networks, rounds


def _some(examples: Examples, rows: Tensor) -> Examples:
    return Examples(examples.images[rows], examples.label[rows], examples.present[rows])


def _round(network: nn.Module, examples: Examples, labelled: Tensor, plan: Plan) -> Round:
    counts = torch.bincount(examples.label[labelled], minlength=CLASSES).tolist()
    return {
        "labels": int(labelled.sum()),
        "classes": dict(zip(SHAPES, counts, strict=True)),
        "accuracy": accuracy(network, plan.test),
    }


def accuracy(network: nn.Module, count: int) -> float:
    """Return the share of right classes on the drawn images that all seeds are tested on."""
    classes = balanced_classes(0, "active-test", count)
    logits, _ = answers(network, "active-test", classes)
    return (logits[:, :CLASSES].argmax(1) == classes[0]).double().mean().item()


def _classes(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(part.float() / 255)[:, :CLASSES] for part in images.split(CHUNK)])


# ------------------------------------------------------------------------------------------------ the command


def make(plan: Plan, how: Acquisition, seed: int, out: Path) -> dict[str, Any]:
    """Train both arms of a seed, write `baseline-SEED`, `active-SEED` and the card of both."""
    started, arms = time.process_time(), {}
    with Progress() as progress:

        def track(numbers: Sequence[int], description: str) -> Iterable[int]:
            return progress.track(numbers, description=f"seed {seed}: {description}")

        examples, first = drawn_examples(seed, plan.pool, False, track), None
        for arm, acquisition in ARMS.items():
            networks, arms[arm] = learn(plan, acquisition or how, seed, examples, track, first=first)
            first = networks[0]
            about = {"arm": arm, "seed": seed, "acquisition": acquisition or how, **asdict(plan)}
            write(out / f"{arm}-{seed}.safetensors", half(networks[-1]), about)
    seconds = round(time.process_time() - started)
    card = {"seed": seed, "acquisition": how, "plan": asdict(plan), "processor_seconds": seconds, "rounds": arms}
    (out / f"seed-{seed}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="of the pool, the initial weights and the lot")
    parser.add_argument("--acquisition", choices=get_args(Acquisition), default="entropy")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and cards")
    for name, value in asdict(Plan()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    plan = Plan(**{name: given[name] for name in asdict(Plan())})
    for seed in given["seed"]:
        print(json.dumps(make(plan, given["acquisition"], seed, given["out"])))


if __name__ == "__main__":
    main()
