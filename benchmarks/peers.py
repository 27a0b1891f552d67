"""The other packages, imported so that they work with current versions of what they need."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

from ambench.core import Model
from ambench.layout import as_defined

HINT = "run `bash benchmarks/install_peers.sh` first"


def theirs(model: Model) -> Model:
    """Return a model as another package would get it: a copy of the network, laid out in memory as torch does."""
    network, layers = copy.deepcopy((model.network, dict(model.layers)))
    as_defined(network)
    return replace(model, network=network, layers=layers)


def lucent() -> ModuleType:
    """Return torch-lucent's `optvis`, whose rotation calls two functions that kornia has moved since."""
    try:
        import kornia
        from kornia.geometry import transform
    except ImportError as error:
        sys.exit(f"{error}; {HINT}")
    kornia.get_rotation_matrix2d = transform.get_rotation_matrix2d
    kornia.warp_affine = transform.warp_affine
    from lucent import optvis
    from lucent.optvis import objectives, param, render  # noqa: F401 - makes them attributes of optvis

    return optvis


def pytorch_grad_cam() -> tuple[ModuleType, Callable[[int], object]]:
    """Return pytorch-grad-cam and its target of a class."""
    try:
        import pytorch_grad_cam as package
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        sys.exit(f"{error}; {HINT}")
    return package, ClassifierOutputTarget


def quantus() -> ModuleType:
    """Return Quantus."""
    try:
        import quantus as package
    except ImportError as error:
        sys.exit(f"{error}; {HINT}")
    return package
