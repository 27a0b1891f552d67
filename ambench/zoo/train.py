"""Makes an embedded network again, weights and card: `python -m ambench.zoo.train cnn`."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import torch
import torchvision
from rich.progress import Progress
from torch import nn

from ambench.core import InputError
from ambench.zoo import NAMES, network, specification
from ambench.zoo.files import CARDS, WEIGHTS, digest_of, half, write
from ambench.zoo.measure import measure, measure_series
from ambench.zoo.recipe import Precision, Recipe, drawn_examples, drawn_series, train

RECIPES = {
    "cnn": Recipe(images=400_000, rate=4e-3),
    "cnn-texture": Recipe(images=280_000, rate=4e-3),
    "vit": Recipe(images=600_000, rate=2e-3),
    "vit-texture": Recipe(images=500_000, rate=2e-3),
    "series-cnn": Recipe(images=300_000, rate=4e-3, stored=60_000, precision="float32"),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ambench.zoo.train", description=__doc__)
    parser.add_argument("name", choices=[name for name in NAMES if name in RECIPES])
    parser.add_argument("--seed", type=int, default=0, help="of the images, the initial weights and the order")
    parser.add_argument("--out", type=Path, help="folder for weights and card (default: where the package reads them)")
    parser.add_argument("--threads", type=int, default=1, help="more than one is faster; weights then differ slightly")
    parser.add_argument("--images", type=int, help="images seen in training (default: the recipe's)")
    parser.add_argument("--precision", choices=get_args(Precision), help="float32 where there are no bf16 instructions")
    return parser.parse_args(argv)


def card(name: str, recipe: Recipe, trained: nn.Module, digest: str, seconds: float) -> dict[str, Any]:
    """What a person wants to know of the weights."""
    wanted = specification(name)
    return {
        "name": name,
        "architecture": type(trained).__name__,
        "cue": "waveform" if wanted.of_series else "texture" if wanted.by_texture else "shape",
        "parameters": sum(parameter.numel() for parameter in trained.parameters()),
        "digest": digest,
        "recipe": asdict(recipe),
        "measured": measure_series(trained) if wanted.of_series else measure(trained, wanted.by_texture),
        "seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }


def make(name: str, recipe: Recipe, weights: Path, cards: Path) -> dict[str, Any]:
    """Train one network, write `NAME.safetensors`, measure what was written and write `NAME.json`."""
    started = time.monotonic()
    wanted = specification(name)
    with Progress() as progress:

        def track(numbers: Sequence[int], description: str) -> Iterable[int]:
            return progress.track(numbers, description=f"{name}: {description}")

        if wanted.of_series:
            examples = drawn_series(recipe.seed, recipe.stored, track)
        else:
            examples = drawn_examples(recipe.seed, recipe.stored, wanted.by_texture, track)
        state = half(train(wanted, recipe, examples, track))
    file = weights / f"{name}.safetensors"
    write(file, state, {"name": name, **asdict(recipe)})
    about = card(name, recipe, network(name, file), digest_of(state), time.monotonic() - started)
    cards.mkdir(parents=True, exist_ok=True)
    (cards / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return about


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, make the network and print its card.

    Raises InputError where another network would be written over the one that comes with the package.
    """
    given = arguments(argv)
    torch.set_num_threads(given.threads)
    recipe = replace(RECIPES[given.name], seed=given.seed)
    changes = {"images": given.images, "precision": given.precision}
    recipe = replace(recipe, **{name: value for name, value in changes.items() if value is not None})
    if given.out is None and recipe != RECIPES[given.name]:
        raise InputError(
            "another seed, precision or number of images makes another network: say with --out where it shall lie"
        )
    print(json.dumps(make(given.name, recipe, given.out or WEIGHTS, given.out or CARDS), indent=2))


if __name__ == "__main__":
    main()
