"""Heatmaps: many CAM variants, layers and targets in one pass against loops, and single maps against captum's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

import torch
from captum.attr import LayerAttribution, LayerGradCam, NoiseTunnel, Saliency
from torch import Tensor
from torchvision.models import resnet18

import peers
from ambench import models, registry
from ambench.core import Concepts, Model, Randomness
from side_by_side import Ratio, arguments, least_seconds, operations, report

IMAGES = 4
LAYERS = ("layer2", "layer3", "layer4")
TARGET = 207
TARGETS = tuple(range(0, 1000, 50))
SAMPLES = 16
VARIANTS = {  # ours and theirs
    "gradcam": "GradCAM",
    "gradcam_pp": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "hirescam:relu=false": "GradCAMElementWise",  # as near as can be, and the same work
}
NOBODY = Concepts((), torch.zeros(0, 3, 1, 1), torch.zeros(0, 0, dtype=torch.bool))


def main() -> int:
    options = arguments(__doc__)
    torch.manual_seed(0)
    model = models.wrap(resnet18().eval().to(options.device), "resnet18")
    images = torch.rand(IMAGES, *model.input_shape).to(options.device)
    ratios = [
        *variants(model, images, options.repeats),
        *targets(model, images, options.repeats),
        *single(model, images, options.repeats),
        *smooth(model, images, options.repeats),
    ]
    return report(ratios, options.json)


def explain(spec: str, model: Model, images: Tensor, units: tuple[int, ...]) -> Tensor:
    """Return maps [B, T, H, W] of one of our methods."""
    asked = torch.tensor(units, device=images.device).expand(len(images), -1)
    ids = tuple(map(str, range(len(images))))
    answer = registry.load("methods", spec).attribute(model, images, asked, NOBODY, Randomness((0,), ids))
    return answer.values


# ------------------------------------------------------------------------------------------------ one pass


def variants(model: Model, images: Tensor, repeats: int) -> list[Ratio]:
    """6 variants at 3 layers."""
    together = importlib.import_module("ambench.methods.attribution._cams").together
    specs = [f"{spec}{',' if ':' in spec else ':'}layer={layer}" for layer in LAYERS for spec in VARIANTS]
    methods = [registry.load("methods", spec) for spec in specs]
    asked = torch.full((len(images), 1), TARGET, device=images.device)
    theirs = peers.theirs(model)
    works = {
        "ambench": lambda: together(model, images, asked, methods),
        "pytorch-grad-cam": lambda: by_pytorch_grad_cam(theirs, images),
        "forward": lambda: forward(model, images),
    }
    check(together(model, images, asked, methods), by_pytorch_grad_cam(theirs, images))
    done, seconds = operations(works), least_seconds(works, repeats)
    name = f"{len(VARIANTS)} CAM variants x {len(LAYERS)} layers, {len(images)} images"
    return [
        Ratio(f"{name}: GFLOP, pytorch-grad-cam", done["ambench"], done["pytorch-grad-cam"], 30.0),
        Ratio(f"{name}: s, pytorch-grad-cam", seconds["ambench"], seconds["pytorch-grad-cam"], 20.0),
        Ratio(f"{name}: GFLOP over one forward", done["ambench"], done["forward"], 1.6, "at most"),
    ]


def by_pytorch_grad_cam(model: Model, images: Tensor) -> list[Tensor]:
    """Make the same maps [B, H, W], each scaled to [0, 1] as that package always does."""
    package, output = peers.pytorch_grad_cam()
    maps = []
    for layer in LAYERS:
        for name in VARIANTS.values():
            with getattr(package, name)(model.network, [model.at(layer).module]) as cam:
                maps.append(torch.from_numpy(cam(images, [output(TARGET)] * len(images))))
    return maps


def check(ours: list, theirs: list[Tensor]) -> None:
    """Raise unless all maps but those of the last variant are the same once they are scaled."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if (number + 1) % len(VARIANTS):
            maps = one.values[:, 0].cpu()
            low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
            torch.testing.assert_close((maps - low) / (high - low), other, atol=5e-3, rtol=0)


def forward(model: Model, images: Tensor) -> None:
    with torch.no_grad():
        model.network(images)


# ------------------------------------------------------------------------------------------------ many targets


def targets(model: Model, images: Tensor, repeats: int) -> list[Ratio]:
    """Grad-CAM of 20 targets at the last layer."""
    theirs = peers.theirs(model)
    works = {
        "ambench": lambda: explain("gradcam", model, images, TARGETS),
        "captum": lambda: torch.stack([by_captum(theirs, images, unit) for unit in TARGETS], 1),
    }
    torch.testing.assert_close(works["ambench"](), works["captum"](), atol=1e-6, rtol=1e-4)
    name = f"gradcam, {len(TARGETS)} targets, {len(images)} images"
    return least(name, works, repeats, 18.0, 10.0)


def by_captum(model: Model, images: Tensor, unit: int) -> Tensor:
    """Return maps [B, H, W]."""
    grid = LayerGradCam(model.network, model.at(None).module).attribute(images, target=unit, relu_attributions=True)
    return LayerAttribution.interpolate(grid, images.shape[2:], "bilinear")[:, 0].detach()


def least(name: str, works: dict[str, Callable[[], object]], repeats: int, flop: float, cpu: float) -> list[Ratio]:
    done, seconds = operations(works), least_seconds(works, repeats)
    return [
        Ratio(f"{name}: GFLOP, captum", done["ambench"], done["captum"], flop),
        Ratio(f"{name}: s, captum", seconds["ambench"], seconds["captum"], cpu),
    ]


# ------------------------------------------------------------------------------------------------ one map


def single(model: Model, images: Tensor, repeats: int) -> list[Ratio]:
    """One map an image, which captum makes as well: parity is all there is to show."""
    other = peers.theirs(model)
    pairs = {
        "gradcam": lambda: by_captum(other, images, TARGET),
        "saliency": lambda: Saliency(other.network).attribute(images.clone().requires_grad_(), TARGET).amax(1),
    }
    ratios = []
    for name, theirs in pairs.items():
        works = {"ambench": lambda name=name: explain(name, model, images, (TARGET,))[:, 0], "captum": theirs}
        torch.testing.assert_close(works["ambench"](), theirs(), atol=1e-6, rtol=1e-4)
        ratios += most(f"one {name} map, {len(images)} images", works, repeats, 1.01)
    return ratios


def smooth(model: Model, images: Tensor, repeats: int) -> list[Ratio]:
    """SmoothGrad; each draws its own noise, of one size."""
    low, high = images.amin(), images.amax()
    deviation = 0.15 * float(high - low)
    theirs = peers.theirs(model)

    def by_captum() -> Tensor:
        tunnel = NoiseTunnel(Saliency(theirs.network))
        return tunnel.attribute(images, nt_samples=SAMPLES, stdevs=deviation, target=TARGET, abs=False).abs().amax(1)

    works = {
        "ambench": lambda: explain(f"smoothgrad:samples={SAMPLES}", model, images, (TARGET,))[:, 0],
        "captum": by_captum,
    }
    return most(f"smoothgrad, {SAMPLES} samples, {len(images)} images", works, repeats, 1.05)


def most(name: str, works: dict[str, Callable[[], object]], repeats: int, flop: float) -> list[Ratio]:
    done, seconds = operations(works), least_seconds(works, repeats)
    return [
        Ratio(f"{name}: GFLOP, captum", done["ambench"], done["captum"], flop, "at most"),
        Ratio(f"{name}: s, captum", seconds["ambench"], seconds["captum"], 1.1, "at most"),
    ]


if __name__ == "__main__":
    sys.exit(main())
