"""From a name to a model: embedded, torchvision's, timm's or your own network, with its units and layers named."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from torch import nn
from torchvision.models import VisionTransformer, WeightsEnum, get_model, get_model_weights, list_models

from ambench import registry, segmentation, zoo
from ambench.core import InputError, Model, nearest
from ambench.grafting import with_categories as with_categories
from ambench.grafting import with_probe_units as with_probe_units  # models are made here …
from ambench.layers import Tokens
from ambench.weights import load_into
from ambench.wrapping import wrap as wrap  # … of users' networks too

SOURCES = ("torchvision:", "timm:", "python:")


# ------------------------------------------------------------------------------------------------ by name


def resolve(name: str, device: str = "cpu") -> Model:
    """Return a model by name, on a device; raises InputError with the nearest name.

    Names: an embedded one (`cnn`, `vit`, `series-cnn`, …), or `cnn@FILE` with other weights of the same architecture;
    `torchvision:NAME[@WEIGHTS]` (classifiers, and segmentation networks by the mean of each class's map) and
    `timm:NAME[@WEIGHTS]`, where the weights are those of a file (.safetensors, .pth,
    .pt), or torchvision's by their name (`DEFAULT`, `IMAGENET1K_V2`; for timm `pretrained`), and random ones otherwise;
    `python:MODULE_OR_FILE:FACTORY`, a function that returns a network or a Model.

    >>> model = resolve("cnn-untrained")
    >>> model.layer, model.input_shape, model.units["ring"]
    ('layer4', (3, 64, 64), 11)
    """
    place = check_device(device)
    source, colon, rest = name.partition(":")
    architecture, at, file = name.partition("@")
    if architecture in zoo.NAMES and (at or not colon):
        return _embedded(name, architecture, Path(file) if at else None, place)
    if source == "torchvision" and rest:
        return _torchvision(name, *_split(rest), place)
    if source == "timm" and rest:
        return _timm(name, *_split(rest), place)
    if source == "python" and ":" in rest:
        return _python(name, place)
    hint = nearest(name, [*zoo.NAMES, *(f"{prefix}…" for prefix in SOURCES)])
    raise InputError(f"there is no model '{name}'; {hint}")


def check_device(device: str) -> torch.device:
    """Return a device that this machine has; raises InputError otherwise."""
    accelerators = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    accelerators += ["mps"] if torch.backends.mps.is_available() else []
    valid = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *accelerators]
    if device not in valid:
        raise InputError(f"there is no device '{device}' on this machine; {nearest(device, valid)}")
    return torch.device(device)


def _split(rest: str) -> tuple[str, str]:
    name, _, weights = rest.partition("@")
    return name, weights


# ------------------------------------------------------------------------------------------------ by source


def _embedded(name: str, architecture: str, file: Path | None, device: torch.device) -> Model:
    network, tag = zoo.network(architecture), zoo.digest(architecture)[:12]
    if file is not None:
        tag = load_into(network, file)
    known = zoo.specification(architecture)
    model = wrap(network.to(device), name, input_shape=known.input_shape, names=known.units, weights=tag)
    return replace(model, classes=known.classes)


def _torchvision(name: str, architecture: str, weights: str, device: torch.device) -> Model:
    valid = [*list_models(module=torchvision.models), *segmentation.NAMES]
    if architecture not in valid:
        raise InputError(f"torchvision has no classifier '{architecture}'; {nearest(architecture, valid)}")
    known = get_model_weights(architecture)
    chosen = known.__members__.get(weights, known.DEFAULT)
    if not weights:
        network, tag = _random(architecture), "random"
    elif weights in known.__members__:
        network, tag = _fetched(architecture, chosen), chosen.name
    elif Path(weights).suffix or Path(weights).exists():
        network = _random(architecture)
        tag = load_into(network, Path(weights))
    else:
        raise InputError(
            f"'{architecture}' has no weights '{weights}'; {nearest(weights, known.__members__)}, or a file"
        )
    preset = chosen.transforms()
    size = network.image_size if isinstance(network, VisionTransformer) else _side(preset)
    if architecture in segmentation.NAMES:
        network = segmentation.ClassMaps(network)
    return wrap(
        network.to(device),
        name,
        input_shape=(3, size, size),
        names=chosen.meta["categories"],
        mean=preset.mean,
        deviation=preset.std,
        weights=tag,
    )


def _side(preset: Any) -> int:
    """Return the side of the pictures that a torchvision preset makes."""
    side: int = (preset.crop_size if hasattr(preset, "crop_size") else preset.resize_size)[0]
    return side


def _random(architecture: str) -> nn.Module:
    """Return a torchvision network with the initial weights of seed 0; a head of zeros is drawn too."""
    ported = architecture in ("googlenet", "inception_v3")  # their weights expect other normalisation, done inside
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if architecture in segmentation.NAMES:
            return segmentation.random(architecture)
        network: nn.Module = get_model(
            architecture, **({"transform_input": True, "init_weights": True} if ported else {})
        )
        head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]
        if head and not head[0].weight.any():
            nn.init.normal_(head[0].weight, std=head[0].in_features ** -0.5)
    return network


def _fetched(architecture: str, weights: WeightsEnum) -> nn.Module:
    try:
        network: nn.Module = get_model(architecture, weights=weights)
    except (OSError, RuntimeError) as error:  # no network, no space, a download that broke off
        raise InputError(
            f"torchvision's weights '{architecture}@{weights.name}' could not be fetched ({error}); "
            f"name a file instead: torchvision:{architecture}@weights.safetensors"
        ) from error
    return network


def _timm(name: str, architecture: str, weights: str, device: torch.device) -> Model:
    try:
        timm = importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise InputError(
            f"'{name}' needs timm, which is not installed; python -m pip install 'ambench[timm]'"
        ) from error
    if architecture.partition(".")[0] not in timm.list_models():
        raise InputError(f"timm has no model '{architecture}'; {nearest(architecture, timm.list_models())}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(architecture, pretrained=weights == "pretrained")
    tag = load_into(network, Path(weights)) if weights not in ("", "pretrained") else weights or "random"
    config = network.pretrained_cfg
    prefix, patches = getattr(network, "num_prefix_tokens", None), getattr(network, "patch_embed", None)
    grid = getattr(patches, "grid_size", None)
    return wrap(
        network.to(device),
        name,
        input_shape=tuple(config["input_size"]),
        tokens=None if prefix is None or grid is None else Tokens(prefix, tuple(grid)),
        channels_last=getattr(network, "output_fmt", "") == "NHWC",
        mean=config["mean"],
        deviation=config["std"],
        weights=tag,
    )


def _python(name: str, device: torch.device) -> Model:
    place, _, factory_name = name.removeprefix("python:").rpartition(":")
    module = registry.module_at(place)
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        valid = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"'{place}' has no function '{factory_name}'; {nearest(factory_name, valid)}")
    try:
        made = factory()
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise InputError(f"factory '{name}' failed: {type(error).__name__}: {said}") from error
    if isinstance(made, Model):
        made.network.to(device).eval()
        return replace(made, name=name)
    if isinstance(made, nn.Module):
        return wrap(made.to(device), name, input_shape=_input_shape(made))
    raise InputError(
        f"factory '{name}' returns a {type(made).__name__}; a torch.nn.Module or an ambench Model is wanted"
    )


def _input_shape(network: nn.Module) -> tuple[int, ...]:
    """Return what a network says about its inputs, else colour images of 224 pixels."""
    if isinstance(network, VisionTransformer):
        stem = next(module for module in network.conv_proj.modules() if isinstance(module, nn.Conv2d))
        return stem.in_channels, network.image_size, network.image_size
    return tuple(getattr(network, "input_shape", (3, 224, 224)))
