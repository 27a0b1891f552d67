"""How good an embedded network is: accuracy of each head on fresh images, and which cue it answers by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.series import CHUNK, balanced_classes, conflicting_classes, pictures
from ambench.datasets.waveforms.events import EVENTS
from ambench.datasets.waveforms.parts import DrawnSeries, balanced_waveforms
from ambench.datasets.waveforms.traces import USUAL_LENGTH
from ambench.zoo.specifications import CLASSES

SEED = 0


def answers(network: nn.Module, part: str, classes: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits [N, U] on drawn images of the given classes, and which concepts they show [N, K]."""
    count = len(classes[0])
    share = torch.full((count, len(CONCEPTS)), 0.5)
    logits, present = [], []
    with torch.inference_mode():
        for start in range(0, count, CHUNK):
            chunk, shown = pictures(SEED, part, range(start, min(start + CHUNK, count)), classes, share)
            logits.append(network(chunk.pixels / 255.0))
            present.append(shown)
    return torch.cat(logits), torch.cat(present)


def balanced_accuracy(answer: Tensor, truth: Tensor) -> float:
    """Mean of the hit rates on images with and without the concept."""
    return ((answer[truth].double().mean() + (~answer[~truth]).double().mean()) / 2).item()


def measure(network: nn.Module, by_texture: bool, count: int = 4096) -> dict[str, float | dict[str, float]]:
    """Accuracies, shape bias and its coverage, on `count` images each with consistent and with conflicting cues."""
    classes = balanced_classes(SEED, "measure", count)
    logits, present = answers(network, "measure", classes)
    hits = logits[:, :CLASSES].argmax(1) == classes[1 if by_texture else 0]
    concepts = {name: balanced_accuracy(logits[:, CLASSES + k] > 0, present[:, k]) for k, name in enumerate(CONCEPTS)}
    shape, texture = conflicting_classes(SEED, "measure-conflict", count)
    named = answers(network, "measure-conflict", (shape, texture))[0][:, :CLASSES].argmax(1)
    by_shape, by_surface = int((named == shape).sum()), int((named == texture).sum())
    return {
        "class_accuracy": hits.double().mean().item(),
        "concept_accuracy": sum(concepts.values()) / len(concepts),
        "concepts": concepts,
        "shape_bias": by_shape / (by_shape + by_surface),
        "coverage": (by_shape + by_surface) / count,
        "images": count,
    }


def measure_series(network: nn.Module, count: int = 4096) -> dict[str, float | dict[str, float]]:
    """Accuracies on `count` fresh series, waveform and events independent of one another."""
    waveform, share = balanced_waveforms(SEED, "measure", count), torch.full((count, len(EVENTS)), 0.5)
    drawn = DrawnSeries("measure", SEED, USUAL_LENGTH, waveform, share).draw(range(count))
    with torch.inference_mode():
        logits = torch.cat([network(chunk) for chunk in torch.split(drawn.values, CHUNK)])  # [N, U]
    classes = logits.shape[1] - len(EVENTS)
    said = logits[:, classes:] > 0
    events = {name: balanced_accuracy(said[:, k], drawn.present[:, k]) for k, name in enumerate(EVENTS)}
    return {
        "class_accuracy": (logits[:, :classes].argmax(1) == waveform).double().mean().item(),
        "concept_accuracy": sum(events.values()) / len(events),
        "concepts": events,
        "images": count,
    }
