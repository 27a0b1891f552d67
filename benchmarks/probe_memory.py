"""Peak memory of probes whose layers do not fit: read in one pass, kept on disk, fitted one after another."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ambench import activations, cost, registry
from ambench.core import Concepts, Layer, Model, ProbeMethod, Randomness
from side_by_side import Ratio, report

IMAGES, SIDE, CHANNELS = 1200, 20, 300  # a layer has 120,000 numbers an image
LAYERS, CONCEPTS = (2, 4, 8), (2, 8)
CHUNK = 8  # images whose layers a forward holds at a time
PROBES = ("pattern_cav", "cav:solver=ridge")
GIB = 1 << 30
LIVE = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}  # glibc gives all large tensors back at once
HELD_BACK: dict[str, str] = {}  # as it comes, it keeps some for later


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one object per ratio")
    parser.add_argument("--measure", nargs=2, type=int, metavar=("LAYERS", "CONCEPTS"), help="only this, in MiB")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        print(json.dumps(peak_mib(*options.measure)))
        return 0
    if shutil.disk_usage(tempfile.gettempdir()).free < 1.2 * naive_gib(max(LAYERS)) * GIB:
        sys.exit(f"{naive_gib(max(LAYERS)):.1f} GiB of activations need more disk than {tempfile.gettempdir()} has")
    peaks = {(layers, count): in_a_fresh_process(layers, count) for count in CONCEPTS for layers in LAYERS}
    most = max(LAYERS), max(CONCEPTS)
    kept_back = in_a_fresh_process(*most, HELD_BACK)
    if not options.json:
        print(table(peaks))
    return report(ratios(peaks, most, kept_back), options.json)


def ratios(peaks: dict[tuple[int, int], float], most: tuple[int, int], kept_back: float) -> list[Ratio]:
    """Return how memory grows with layers, with layers and concepts, and with what the C library holds back."""
    least = min(LAYERS), min(CONCEPTS)
    by_layers = [
        Ratio(
            f"{most[0]} layers over {least[0]}, {count} concepts: MiB",
            peaks[most[0], count],
            peaks[least[0], count],
            1.15,
            "at most",
        )
        for count in CONCEPTS
    ]
    name = f"{most[0]} layers x {most[1]} concepts"
    return [
        *by_layers,
        Ratio(f"{name} over {least[0]} x {least[1]}: MiB", peaks[most], peaks[least], 1.5, "at most"),
        Ratio(f"{name}, holes of the heap over what is live: MiB", kept_back, peaks[most], 3.0, "at most"),
    ]


def naive_gib(layers: int) -> float:
    """Return what the features of all layers take at once."""
    return layers * IMAGES * CHANNELS * SIDE**2 * 4 / GIB


def table(peaks: dict[tuple[int, int], float]) -> str:
    rows = ["layers  concepts  all at once  peak above the start"]
    for (layers, concepts), peak in peaks.items():
        rows.append(f"{layers:6}  {concepts:8}  {naive_gib(layers):7.2f} GiB  {peak:16.0f} MiB")
    return "\n".join(rows)


# ------------------------------------------------------------------------------------------------ one measurement


def in_a_fresh_process(layers: int, concepts: int, heap: dict[str, str] = LIVE) -> float:
    """Return the peak of a process that has done nothing else."""
    program = [sys.executable, __file__, "--measure", str(layers), str(concepts)]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, env={**os.environ, **heap})
    return float(json.loads(done.stdout))


def peak_mib(layers: int, concepts: int) -> float:
    """Return how far memory rises while all probes are fitted at all layers, from one pass over the images."""
    warm_up()
    model, examples = wide(layers), labelled(concepts)
    probes = [probe(spec, layer) for layer in model.layers for spec in PROBES]
    wanted = [read for one in probes for read in one.reads(model)]
    with on_disk(wanted), cost.peak_memory(torch.device("cpu")) as memory:
        for one in probes:
            one.fit(model, examples, Randomness((0,)))
    return memory.rss_mib


@contextmanager
def on_disk(wanted: list[activations.Read]) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, activations.keeping(Path(folder), wanted):
        yield


def probe(spec: str, layer: str) -> ProbeMethod:
    colon = "," if ":" in spec else ":"
    return registry.load("methods", f"{spec}{colon}layer={layer},pooling=none,chunk={CHUNK}")


def warm_up() -> None:
    """Fit the probes to a small layer, so that libraries are in memory before the start is noted."""
    model, examples = wide(1, channels=4), labelled(2, images=40)
    for spec in PROBES:
        probe(spec, "layer1").fit(model, examples, Randomness((0,)))


# ------------------------------------------------------------------------------------------------ what is fitted


class Stage(nn.Module):
    """A wide layer behind a narrow gate, so that layers are many numbers and little work."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        return self.wide(images).mean(1, keepdim=True)


def wide(layers: int, channels: int = CHANNELS) -> Model:
    """Return a random network with so many layers."""
    torch.manual_seed(0)
    stages = [Stage(channels) for _ in range(layers)]
    network = nn.Sequential(*stages, nn.Flatten(), nn.Linear(SIDE**2, 2)).eval()
    named = {f"layer{n + 1}": Layer(f"layer{n + 1}", stage.wide, lambda grid: grid) for n, stage in enumerate(stages)}
    return Model("wide", "seed 0", network, {}, named, "layer1", (1, SIDE, SIDE))


def labelled(concepts: int, images: int = IMAGES) -> Concepts:
    """Return noise with random labels."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(images, 1, SIDE, SIDE, generator=random)
    present = torch.rand(images, concepts, generator=random) < 0.5
    return Concepts(tuple(f"concept {number}" for number in range(concepts)), pixels, present)


if __name__ == "__main__":
    sys.exit(main())
