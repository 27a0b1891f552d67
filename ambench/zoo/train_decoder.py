"""Makes the embedded decoder again, weights and card: `python -m ambench.zoo.train_decoder`."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from ambench.core import InputError
from ambench.zoo.decoder_recipe import DecoderRecipe, taught, teach
from ambench.zoo.files import CARDS, WEIGHTS, digest_of, half, write
from ambench.zoo.measure_decoder import measure
from ambench.zoo.painter import NAME, Painter, network

RECIPE = DecoderRecipe(images=64_000)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ambench.zoo.train_decoder", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and their order")
    parser.add_argument("--out", type=Path, help="folder for weights and card (default: where the package reads them)")
    parser.add_argument("--threads", type=int, default=1, help="more than one is faster; weights then differ slightly")
    parser.add_argument("--images", type=int, help="images seen in training (default: the recipe's)")
    return parser.parse_args(argv)


def card(recipe: DecoderRecipe, painter: Painter, digest: str, seconds: float) -> dict[str, Any]:
    """What a person wants to know of the weights."""
    return {
        "name": NAME,
        "architecture": type(painter).__name__,
        "learned_from": "pictures of shapes and the parameters that they were drawn from; no other network",
        "parameters": sum(parameter.numel() for parameter in painter.parameters()),
        "digest": digest,
        "recipe": asdict(recipe),
        "measured": measure(painter),
        "seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def make(recipe: DecoderRecipe, weights: Path, cards: Path) -> dict[str, Any]:
    """Teach one decoder, write its weights, measure what was written and write its card."""
    started = time.monotonic()
    with Progress() as progress:

        def track(numbers: Sequence[int], description: str) -> Iterable[int]:
            return progress.track(numbers, description=f"decoder: {description}")

        pairs = taught(recipe.seed, "train-decoder", recipe.stored, track)
        state = half(teach(recipe, pairs, track))
    file = weights / f"{NAME}.safetensors"
    write(file, state, {"name": NAME, **asdict(recipe)})
    about = card(recipe, network(file), digest_of(state), time.monotonic() - started)
    cards.mkdir(parents=True, exist_ok=True)
    (cards / f"{NAME}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return about


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, make the decoder and print its card.

    Raises InputError where another decoder would be written over the one that comes with the package.
    """
    given = arguments(argv)
    torch.set_num_threads(given.threads)
    recipe = replace(RECIPE, seed=given.seed)
    recipe = recipe if given.images is None else replace(recipe, images=given.images)
    if given.out is None and recipe != RECIPE:
        raise InputError("another seed or number of images makes another decoder: say with --out where it shall lie")
    print(json.dumps(make(recipe, given.out or WEIGHTS, given.out or CARDS), indent=2))


if __name__ == "__main__":
    main()
