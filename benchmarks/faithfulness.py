"""Infidelity beside Quantus, metrics that change images beside their own forward passes, and their memory."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import peers
from ambench import answer as answers
from ambench import cost, features, judge, registry, workbench
from ambench.core import Trial
from ambench.plan import Cell
from side_by_side import Ratio, least_seconds, operations, report

IMAGES, PATCH = 64, 8  # pixels of a side of Quantus's patches: 64 an image of 64 pixels
DRAWS = 4  # sweeps over the patches in Quantus, boxes here
LIVE = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}  # glibc gives all large tensors back at once
METRICS = (
    "insertion",
    "deletion",
    "road",
    "infidelity",
    "sensitivity_max",
    "randomisation",
    "complexity_rise",
)
GROWTH = {
    "insertion": ("steps=5", "steps=80"),
    "deletion": ("steps=5", "steps=80"),
    "road": ("shares=0.3+0.6", "shares=" + "+".join(f"{n / 32:g}" for n in range(1, 32))),
    "infidelity": ("draws=64", "draws=1024"),
    "sensitivity_max": ("draws=2", "draws=32"),
    "randomisation": ("stages=2", "stages=16"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one object per ratio")
    parser.add_argument("--repeats", type=int, default=5, help="turns of which the fastest counts")
    parser.add_argument("--measure", metavar="METRIC", help="only the peak memory of one metric, in MiB")
    parser.add_argument("--seconds", action="store_true", help="only a table of what each metric takes in a cell")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        print(json.dumps(peak_mib(options.measure)))
        return 0
    if options.seconds:
        print(table())
        return 0
    given = trial("cnn")
    ratios = [*beside_quantus(given, options.repeats), *beside_forwards(given, options.repeats), *memory()]
    return report(ratios, options.json)


def trial(model: str, method: str = "gradcam", images: int = IMAGES) -> Trial[Any]:
    """The trial of one method's maps of four concepts, with nothing kept from another."""
    bench = workbench.load(Cell("quality", model, method, "shapes", (), batch_size=images))
    found = answers.answer(bench, None)
    assert found.localise is not None
    case = next(bench.cases())
    given = judge.trial(bench, found, case, found.localise(case.images, case))
    return replace(given, lasting=None)


def score(specs: Sequence[str], given: Trial[Any]) -> None:
    """Score by some metrics that share what they can, as in a cell, and find nothing done before."""
    given = replace(given, shared={})
    for spec in specs:
        registry.load("metrics", spec).score(given)


# ------------------------------------------------------------------------------------------------ Quantus


def beside_quantus(given: Trial[Any], repeats: int) -> list[Ratio]:
    """One concept an image, as Quantus asks one: with as many draws, and with as many changed images."""
    targets, maps = given.case.targets[:, :1], given.explanation.values[:, :1]
    case = replace(
        given.case, targets=targets, truth=replace(given.case.truth, present=given.case.truth.present[:, :1])
    )
    one = replace(given, case=case, explanation=replace(given.explanation, values=maps))
    patches = (given.model.input_shape[-1] // PATCH) ** 2
    ratios = []
    for what, ours, theirs in (("draws", DRAWS, DRAWS), ("changed images", patches, 1)):
        works: dict[str, Callable[[], object]] = {
            "ours": lambda draws=ours: score([f"infidelity:draws={draws}"], one),  # type: ignore[misc]
            "theirs": by_quantus(one, theirs),
        }
        done, seconds = operations(works), least_seconds(works, min(repeats, 2))
        name = f"infidelity, {IMAGES} images, as many {what} as Quantus"
        least = (40.0, 20.0) if what == "draws" else (0.99, 0.9)
        ratios += [
            Ratio(f"{name}: GFLOP", done["ours"], done["theirs"], least[0]),
            Ratio(f"{name}: s", seconds["ours"], seconds["theirs"], least[1]),
        ]
    return ratios


def by_quantus(given: Trial[Any], draws: int) -> Callable[[], object]:
    """Return Quantus's infidelity of the same maps."""
    metric = peers.quantus().Infidelity(
        perturb_patch_sizes=[PATCH], n_perturb_samples=draws, perturb_baseline="mean", disable_warnings=True
    )
    units = given.units[given.case.targets[:, 0]]
    arrays = (given.case.images.numpy(), units.numpy(), given.explanation.values.numpy())
    network = peers.theirs(given.model).network
    return lambda: metric(network, *arrays, device="cpu", batch_size=IMAGES)


# ------------------------------------------------------------------------------------------------ forwards


def beside_forwards(given: Trial[Any], repeats: int) -> list[Ratio]:
    """Each metric over a bare pass of the images that it puts through the network."""
    ratios = []
    for names, most in ((("insertion", "deletion"), 1.1), (("infidelity",), 1.3), (("road",), 8.0)):
        passed = batches(given, names)
        works: dict[str, Callable[[], object]] = {
            "ours": lambda names=names: score(names, given),  # type: ignore[misc]
            "theirs": lambda passed=passed: [features.logits(given.model, some) for some in passed],  # type: ignore[misc]
        }
        done, seconds = operations(works), least_seconds(works, repeats)
        title = f"{' and '.join(names)}, {IMAGES} images x 4 concepts, over their forwards"
        ratios += [
            Ratio(f"{title}: GFLOP", done["ours"], done["theirs"], 1.02, "at most"),
            Ratio(f"{title}: s", seconds["ours"], seconds["theirs"], most, "at most"),
        ]
    return ratios


def batches(given: Trial[Any], specs: Sequence[str]) -> list[Tensor]:
    """Return the images of each forward of some metrics."""
    passed: list[Tensor] = []
    hook = given.model.network.register_forward_hook(lambda module, inputs, output: passed.append(inputs[0].clone()))
    score(specs, given)
    hook.remove()
    return passed


# ------------------------------------------------------------------------------------------------ memory


def memory() -> list[Ratio]:
    """Peak memory with many changes over that with few."""
    ratios = []
    for name, (few, many) in GROWTH.items():
        peaks = [in_a_fresh_process(f"{name}:{setting}") for setting in (many, few)]
        ratios.append(Ratio(f"{name}, 16 times the changes or more: MiB", *peaks, 1.15, "at most"))
    return ratios


def in_a_fresh_process(spec: str) -> float:
    """Return the peak of a process that has done nothing else."""
    program = [sys.executable, __file__, "--measure", spec]
    return float(
        json.loads(subprocess.run(program, check=True, stdout=subprocess.PIPE, env={**os.environ, **LIVE}).stdout)
    )


def peak_mib(spec: str) -> float:
    """Return how far memory rises while 48 images x 4 concepts are scored."""
    name = spec.partition(":")[0]
    score([f"{name}:{GROWTH[name][0]}"], trial("cnn", images=2))  # libraries are in memory before the start is noted
    given = trial("cnn", images=48)
    with cost.peak_memory(torch.device("cpu")) as found:
        score([spec], given)
    return found.rss_mib


# ------------------------------------------------------------------------------------------------ a cell


def table() -> str:
    """Processor seconds of each metric as it comes, for 128 images x 4 concepts, beside those of the maps."""
    rows = [f"{'model':6}{'method':10}" + "".join(f"{name:>17}" for name in ("maps", *METRICS))]
    for model in ("cnn", "vit"):
        for method in ("gradcam", "saliency"):  # the second finds what the first left behind
            bench = workbench.load(Cell("quality", model, method, "shapes", METRICS))
            found = answers.answer(bench, None)
            taken = [clocked(bench, found, ())] + [clocked(bench, found, (name,)) for name in METRICS]
            numbers = [taken[0], *(second - taken[0] for second in taken[1:])]
            rows.append(f"{model:6}{method:10}" + "".join(f"{number:17.2f}" for number in numbers))
    return "\n".join(rows)


def clocked(bench: workbench.Workbench, found: answers.Answer, metrics: tuple[str, ...]) -> float:
    """Return the processor time of judging a cell by some metrics, with its maps."""
    alone = workbench.load(replace(bench.cell, metrics=metrics or ("pointing_game",)))
    start = time.process_time()
    judge.judge(alone, found)
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
