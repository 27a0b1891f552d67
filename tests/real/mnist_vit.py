"""The MNIST transformer of the real-data folder, as its description says it is built: `python:tests/real/mnist_vit.py:factory`."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torchvision.models import VisionTransformer

from ambench.core import Model
from ambench.models import wrap
from ambench.weights import load_into

FOLDER = Path(os.environ.get("AMBENCH_REAL", ""))


def factory() -> Model:
    """Return it with the ten digits as classes; one channel, 28 pixels."""
    description = json.loads((FOLDER / "vit_mnist.json").read_text())
    arguments: dict[str, Any] = description["constructor"]
    arguments["norm_layer"] = partial(nn.LayerNorm, eps=arguments["norm_layer"]["eps"])
    network = VisionTransformer(**arguments)
    replaced = description["replace_before_loading"]
    network.conv_proj = module(replaced["conv_proj"])
    network.encoder.ln = module(replaced["encoder.ln"])
    network.heads = module(replaced["heads"])
    tag = load_into(network, FOLDER / description["weights"]["file"])
    normalisation = description["input"]
    return wrap(
        network,
        "mnist-vit",
        input_shape=tuple(normalisation["shape"][1:]),
        names=tuple("0123456789"),
        mean=normalisation["mean"],
        deviation=normalisation["std"],
        weights=tag,
    )


def module(description: dict[str, Any]) -> nn.Module:
    """Build a module from its class, its arguments or its children."""
    kind = getattr(nn, description["class"].removeprefix("torch.nn."))
    if "children" in description:
        return kind(*(module(child) for child in description["children"]))
    made: nn.Module = kind(**{key: value for key, value in description.items() if key not in ("class", "why")})
    return made
