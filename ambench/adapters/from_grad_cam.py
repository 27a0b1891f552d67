"""The classes of pytorch-grad-cam as methods: `grad-cam:CLASS`, its arguments as settings (Gildenblat et al. 2021)."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from torch import Tensor

from ambench.adapters.foreign import ForeignMethod
from ambench.adapters.signatures import method_class, settings_of
from ambench.core import Concepts, InputError, Model, nearest

_OURS = {"model", "target_layers", "reshape_transform", "input_tensor", "targets"}


@dataclass(frozen=True)
class GradCamMethod(ForeignMethod):
    """One of pytorch-grad-cam's classes, made anew for each network, at `layer` (None: the model's default).

    Its maps are scaled to [0, 1] twice, image by image, so that they, and their scores, cannot be compared between
    images; and where an activation in place follows the layer, it reads what that has left.
    """

    citation = "Gildenblat et al. 2021, pytorch-grad-cam"
    bound: ClassVar[Any] = None  # an instance that somebody made for one network

    layer: str | None = None

    def explain(self, model: Model, images: Tensor, units: Tensor, concepts: Concepts) -> object:
        """Return pytorch-grad-cam's maps of one unit of each image."""
        target = importlib.import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
        method = self.bound or self._made(model)
        if method.model is not model.network:
            raise InputError(f"this {self.adapts} was made for another network than '{model.name}'; hand in its class")
        try:
            return method(images, [target(unit) for unit in units.tolist()], **self._given(self.source.__call__))
        finally:
            if self.bound is None:
                method.activations_and_grads.release()

    def _made(self, model: Model) -> Any:
        layer = model.at(self.layer)
        made = self._given(self.source.__init__)
        return self.source(model.network, [layer.module], reshape_transform=layer.as_grid, **made)

    def _given(self, function: Any) -> dict[str, Any]:
        names = inspect.signature(function).parameters.keys() - _OURS
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


@cache
def find(class_name: str) -> type[GradCamMethod]:
    """Return a class of pytorch-grad-cam by name; raises InputError with the nearest, or if it is not installed."""
    try:
        package = importlib.import_module("pytorch_grad_cam")
    except ModuleNotFoundError as error:
        raise InputError(
            f"'grad-cam:{class_name}' needs pytorch-grad-cam, which is not installed; "
            "python -m pip install 'ambench[grad-cam]'"
        ) from error
    known = {name: kind for name, kind in vars(package).items() if inspect.isclass(kind) and issubclass(kind, _base())}
    if class_name not in known:
        raise InputError(f"pytorch-grad-cam has no class '{class_name}'; {nearest(class_name, known)}")
    return method_of(known[class_name])


def adapt(thing: Any) -> type[GradCamMethod] | None:
    """Return one of pytorch-grad-cam's classes or instances as a method; None for anything else."""
    if "pytorch_grad_cam" not in sys.modules:
        return None
    if inspect.isclass(thing):
        return method_of(thing) if issubclass(thing, _base()) else None
    return method_of(type(thing), thing) if isinstance(thing, _base()) else None


def method_of(kind: Any, bound: Any = None) -> type[GradCamMethod]:
    """Return a class of pytorch-grad-cam as a method, its constructor's and its call's arguments as settings."""
    name = f"grad-cam:{kind.__name__}"
    made = {} if bound is not None else dict(settings_of(kind.__init__, _OURS, name))
    settings = made | dict(settings_of(kind.__call__, _OURS, name))
    known = {"adapts": name, "source": kind, "bound": bound, "__module__": __name__}
    return method_class(GradCamMethod, kind.__name__, settings, known)


def _base() -> type[Any]:
    base: type[Any] = importlib.import_module("pytorch_grad_cam.base_cam").BaseCAM
    return base
