"""How good a decoder of scenes is: how near its pictures come, and what the embedded networks see in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ambench.core import generator
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.zoo import network
from ambench.zoo.codes import CODE, decided, read
from ambench.zoo.decoder_recipe import Taught, taught
from ambench.zoo.measure import balanced_accuracy
from ambench.zoo.specifications import CLASSES

SEED = 0
CHUNK = 64
JUDGES = ("cnn", "vit", "cnn-texture", "vit-texture")


@dataclass(frozen=True)
class Seen:
    """Which classes [N] and which concepts [N, K] one network names."""

    named: Tensor
    present: Tensor


def seen(judge: nn.Module, images: Tensor) -> Seen:
    """What a network sees in images [N, 3, H, W]."""
    with torch.inference_mode():
        logits = torch.cat([judge(chunk) for chunk in torch.split(images, CHUNK)])
    return Seen(logits[:, :CLASSES].argmax(1), logits[:, CLASSES:] > 0)


def decoded(decoder: nn.Module, codes: Tensor) -> Tensor:
    """Images [N, 3, H, W] of codes, a chunk at a time."""
    with torch.inference_mode():
        return torch.cat([decoder(chunk) for chunk in torch.split(codes, CHUNK)])


def scores(answer: Seen, meant: Seen) -> dict[str, float]:
    """Accuracy on the classes, and mean balanced accuracy on the concepts."""
    pairs = zip(answer.present.unbind(1), meant.present.unbind(1), strict=True)
    by_concept = [balanced_accuracy(said, truth) for said, truth in pairs]
    return {
        "class_accuracy": (answer.named == meant.named).double().mean().item(),
        "concept_accuracy": sum(by_concept) / len(CONCEPTS),
    }


def meant(codes: Tensor, by_texture: bool) -> Seen:
    """What codes [N, CODE] ask for: the heaviest outline or texture of the object, and the concepts."""
    said = read(codes)
    weights = said["texture" if by_texture else "object_outline"][:, 0]
    return Seen(weights.argmax(1), said["concept_present"][..., 0] > 0.5)


def measure(decoder: nn.Module, count: int = 2048) -> dict[str, Any]:
    """Error and what four networks see: in fresh pictures, in their codes decoded, in codes drawn from N(0, 1).

    `error` is the mean square over pixels in [0, 1]; the grain of the pictures, which no code holds, is part of it.
    Most codes drawn from N(0, 1) are blends, judged by their heaviest item; in `decided` every choice is made.
    """
    fresh: Taught = taught(SEED, "measure-decoder", count)
    pictures, again = fresh.pixels / 255.0, decoded(decoder, fresh.codes)
    drawn = torch.randn(count, CODE, generator=generator(SEED, "measure-decoder", "codes"))
    codes = {"pictures": fresh.codes, "decoded": fresh.codes, "drawn": drawn, "decided": decided(drawn)}
    shown = {"pictures": pictures, "decoded": again}
    shown |= {name: decoded(decoder, codes[name]) for name in ("drawn", "decided")}
    return {
        "error": (again - pictures).square().mean().item(),
        "judges": {judge: _judged(judge, shown, codes) for judge in JUDGES},
        "images": count,
    }


def _judged(judge: str, shown: dict[str, Tensor], codes: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    by_texture, eyes = "texture" in judge, network(judge)
    return {name: scores(seen(eyes, images), meant(codes[name], by_texture)) for name, images in shown.items()}
