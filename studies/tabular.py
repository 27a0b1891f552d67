"""Are the inputs that Sobol indices rank last the ones that a network can do without?

python studies/tabular.py                       scikit-learn's diabetes, ten inputs
python studies/tabular.py table:FILE.csv        a table of your own
ambench run --models python:studies/tabular.py:network --methods sobol,occlusion,saliency --datasets diabetes

A small network is trained on random splits of a table, the total Sobol index of each input is taken from the trained
network, inputs are left out by it, and the network is trained again. Nothing is chosen on the rows it is tested on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr, t
from torch import Tensor, nn

from ambench import registry, wrapping
from ambench.core import Concepts, Dataset, Model, Randomness, generator

HIDDEN, STEPS, RATE, DECAY = 8, 200, 0.01, 1.0
SPLITS = 50
NEGLIGIBLE = 0.01  # total index of an input that is left out (after Miao & Matveev 2025, arXiv 2504.15100)


@dataclass(frozen=True, eq=False)
class Networks:
    """S networks of one hidden layer side by side; each has its own weights and sees its own inputs only.

    first [S, D, H], hidden [S, H], second [S, H, K], bias [S, K]; mean [S, D] and deviation [S, D] centre the inputs.
    """

    first: Tensor
    hidden: Tensor
    second: Tensor
    bias: Tensor
    mean: Tensor
    deviation: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Return logits [S, N, K] of rows [S, N, D]."""
        centred = (rows - self.mean[:, None]) / self.deviation[:, None]
        return torch.tanh(centred @ self.first + self.hidden[:, None]) @ self.second + self.bias[:, None]

    def one(self, number: int, name: str, concepts: tuple[str, ...]) -> Model:
        """Return one of them as a model."""
        first, second = nn.Linear(*self.first.shape[1:]), nn.Linear(*self.second.shape[1:])
        with torch.no_grad():
            first.weight.copy_(self.first[number].T)
            first.bias.copy_(self.hidden[number])
            second.weight.copy_(self.second[number].T)
            second.bias.copy_(self.bias[number])
        mean, deviation = self.mean[number].tolist(), self.deviation[number].tolist()
        shape, names = (len(mean),), {concept: unit for unit, concept in enumerate(concepts)}
        network = nn.Sequential(first, nn.Tanh(), second)
        return wrapping.wrap(network, name, input_shape=shape, names=names, mean=mean, deviation=deviation)


def trained(rows: Tensor, present: Tensor, seen: Tensor, seed: int = 0) -> Networks:
    """Return S networks trained on rows [S, N, D] to say what is present [S, N, K], from inputs `seen` [S, D] alone."""
    (sets, _, inputs), answers = rows.shape, present.shape[2]
    draw = generator("tabular", seed)
    first = torch.randn(sets, inputs, HIDDEN, generator=draw) / inputs**0.5
    second = torch.randn(sets, HIDDEN, answers, generator=draw) / HIDDEN**0.5
    weights = [first, torch.zeros(sets, HIDDEN), second, torch.zeros(sets, answers)]
    weights = [weight.requires_grad_() for weight in weights]
    mean, deviation = rows.mean(1), rows.std(1).clamp_min(1e-6)
    climber = torch.optim.AdamW(weights, RATE, weight_decay=DECAY)
    with torch.enable_grad():
        for _ in range(STEPS):
            networks = Networks(weights[0] * seen[:, :, None], *weights[1:], mean, deviation)
            loss = F.binary_cross_entropy_with_logits(networks(rows), present.float(), reduction="none")
            climber.zero_grad()
            loss.mean((1, 2)).sum().backward()
            climber.step()
    masked, *others = (weight.detach() for weight in (weights[0] * seen[:, :, None], *weights[1:]))
    return Networks(masked, *others, mean, deviation)


def accuracy(networks: Networks, rows: Tensor, present: Tensor) -> Tensor:
    """Return the share of right answers of each network [S]."""
    return ((networks(rows) > 0) == present).double().mean((1, 2))


@dataclass(frozen=True, eq=False)
class Splits:
    """S random splits of a table: train and test rows [S, N, D], and what they show [S, N, K]."""

    columns: tuple[str, ...]
    train: Tensor
    test: Tensor
    taught: Tensor
    truth: Tensor

    @staticmethod
    def of(dataset: Dataset, splits: int) -> Splits:
        """Return splits of all rows of a dataset, four fifths to train on."""
        parts = [dataset.concepts("fit"), dataset.concepts("calibrate")]
        rows = torch.cat([*(part.images for part in parts), *(case.images for case in dataset)])
        shown = torch.cat([*(part.present for part in parts), *(case.truth.present for case in dataset)])
        order = torch.stack([torch.randperm(len(rows), generator=generator("split", s)) for s in range(splits)])
        train, test = order[:, : len(rows) * 4 // 5], order[:, len(rows) * 4 // 5 :]
        columns = getattr(dataset, "columns", tuple(f"column {place + 1}" for place in range(rows.shape[1])))
        return Splits(columns, rows[train], rows[test], shown[train], shown[test])

    def score(self, seen: Tensor) -> Tensor:
        """Return the accuracy on the test rows of networks trained on the inputs `seen` [S, D] alone, [S]."""
        return accuracy(trained(self.train, self.taught, seen), self.test, self.truth)

    def indices(self) -> Tensor:
        """Return each input's total Sobol index in networks trained on all inputs [S, D], the mean over concepts."""
        networks = trained(self.train, self.taught, torch.ones(len(self.train), len(self.columns)))
        method, concepts = registry.load("methods", "sobol:designs=1024"), self.taught.shape[2]
        names, found = tuple(map(str, range(concepts))), []
        for number, rows in enumerate(self.train):
            model = networks.one(number, "small", names)
            examples = Concepts(names, rows, self.taught[number])
            asked = torch.arange(concepts)[None]
            answer = method.attribute(model, rows[:1], asked, examples, Randomness(("tabular", number)))
            found.append(answer.values[0].mean(0))
        return torch.stack(found)


def left_after(order: Tensor, count: int) -> Tensor:
    """Return which inputs are left [S, D] where the first `count` of an order [S, D] are left out."""
    return torch.ones(order.shape).scatter_(1, order[:, :count], 0.0)


def interval(differences: Tensor, share: float = 0.25) -> tuple[float, float, float]:
    """Return a mean over splits with its 95 % interval, by the variance that Nadeau & Bengio (2003) give to such means.

    Splits overlap: `share` is the size of the test part over that of the training part.
    """
    count = len(differences)
    spread = float(differences.var()) * (1 / count + share)
    half = float(t.ppf(0.975, count - 1)) * spread**0.5
    middle = float(differences.mean())
    return middle, middle - half, middle + half


def told(splits: Splits) -> Iterator[str]:
    """Yield what was found, as Markdown."""
    count, inputs = len(splits.train), len(splits.columns)
    indices, whole = splits.indices(), splits.score(torch.ones(count, inputs))
    yield (
        f"{count} splits. Accuracy with all {inputs} inputs {float(whole.mean()):.3f}, of the more frequent answer "
        f"{_frequent(splits):.3f}. {_dependence(splits)}\n"
    )
    yield from _ranked(splits.columns, indices)
    kept = (indices >= NEGLIGIBLE).float()
    yield (
        f"\nWithout the inputs of an index below {NEGLIGIBLE} ({inputs - float(kept.sum(1).mean()):.1f} of {inputs} on "
        f"average) the accuracy changes by {_shown(splits.score(kept) - whole)}.\n"
    )
    yield "| inputs left out | the last | any | the first | the last - any |"
    yield "|---:|---:|---:|---:|---:|"
    order = indices.argsort(1)
    chance = torch.stack([torch.randperm(inputs, generator=generator("any", s)) for s in range(count)])
    for gone in sorted({max(1, inputs * part // 10) for part in (2, 4, 5, 6, 8)}):
        last, some, first = (splits.score(left_after(o, gone)) - whole for o in (order, chance, order.flip(1)))
        yield f"| {gone} | {_shown(last)} | {_shown(some)} | {_shown(first)} | {_shown(last - some)} |"


def _ranked(columns: tuple[str, ...], indices: Tensor) -> Iterator[str]:
    yield "| input | total index, mean over splits | range |"
    yield "|---|---:|---|"
    for place in indices.mean(0).argsort(descending=True).tolist():
        column = indices[:, place]
        yield f"| {columns[place]} | {column.mean():.3f} | {column.min():.3f} to {column.max():.3f} |"


def _shown(differences: Tensor) -> str:
    middle, low, high = interval(differences)
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


def _frequent(splits: Splits) -> float:
    share = splits.truth.double().mean((0, 1))
    return float(torch.maximum(share, 1 - share).mean())


def _dependence(splits: Splits) -> str:
    """Return how far the inputs are from the independence that the indices take for granted."""
    ranks = spearmanr(splits.train[0].numpy()).statistic
    ranks = torch.as_tensor(ranks).abs().view(len(splits.columns), -1).fill_diagonal_(0)
    largest = float(ranks.max())
    row, column = divmod(int(ranks.argmax()), ranks.shape[1])
    flag = ": the indices take them for independent, which they are not" if largest > 0.5 else ""
    return f"Largest |Spearman| of two inputs {largest:.2f} ({splits.columns[row]}, {splits.columns[column]}){flag}."


def network() -> Model:
    """Return a network trained on the examples of scikit-learn's diabetes, as a model for `ambench run`."""
    dataset = registry.load("datasets", "diabetes")
    examples = dataset.concepts("fit")
    networks = trained(examples.images[None], examples.present[None], torch.ones(1, examples.images.shape[1]))
    return networks.one(0, "diabetes", dataset.names)


def main() -> int:
    """Print what leaving inputs out costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="diabetes", help="diabetes, or table:PATH")
    parser.add_argument("--splits", type=int, default=SPLITS, help="random splits of the rows")
    given = parser.parse_args()
    print("\n".join(told(Splits.of(registry.load("datasets", given.dataset), given.splits))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
