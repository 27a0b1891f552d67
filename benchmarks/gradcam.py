"""Grad-CAM of 6 targets at 3 layers: one pass of ambench against a loop of captum and one of pytorch-grad-cam."""

from __future__ import annotations

import sys

import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor
from torchvision.models import resnet18

import peers
from ambench import explanations, features, models, registry
from ambench.core import Model
from side_by_side import Ratio, arguments, least_seconds, operations, report

TARGETS = (1, 207, 281, 340, 404, 817)
LAYERS = ("layer2", "layer3", "layer4")
IMAGES = 4


def main() -> int:
    options = arguments(__doc__)
    torch.manual_seed(0)
    model = models.wrap(resnet18().eval(), "resnet18")
    images = torch.rand(IMAGES, *model.input_shape)
    theirs = peers.theirs(model)
    works = {
        "ambench": lambda: by_ambench(model, images),
        "captum": lambda: by_captum(theirs, images),
        "pytorch-grad-cam": lambda: by_pytorch_grad_cam(theirs, images),
    }
    torch.testing.assert_close(by_ambench(model, images), by_captum(theirs, images), atol=1e-6, rtol=1e-4)
    done, seconds = operations(works), least_seconds(works, options.repeats)
    name = f"gradcam, {len(TARGETS)} targets x {len(LAYERS)} layers, {IMAGES} images"
    ratios = [
        Ratio(f"{name}: GFLOP, captum", done["ambench"], done["captum"], 5.0),
        Ratio(f"{name}: s, captum", seconds["ambench"], seconds["captum"], 3.0),
        Ratio(f"{name}: GFLOP, pytorch-grad-cam", done["ambench"], done["pytorch-grad-cam"], 12.0),
        Ratio(f"{name}: s, pytorch-grad-cam", seconds["ambench"], seconds["pytorch-grad-cam"], 7.0),
    ]
    return report(ratios, options.json)


def by_ambench(model: Model, images: Tensor) -> Tensor:
    """Return maps [layers, T, B, H, W]."""
    method = registry.load("methods", "gradcam")
    taps = features.gradients(model, images, torch.tensor(TARGETS).expand(len(images), -1), LAYERS)
    maps = [method.maps(taps.grids[layer], taps.gradients[layer], layer) for layer in LAYERS]
    return torch.stack([explanations.upsample(grid, images.shape[2:]).transpose(0, 1) for grid in maps])


def by_captum(model: Model, images: Tensor) -> Tensor:
    """Return maps [layers, T, B, H, W]."""

    def one(layer: str, target: int) -> Tensor:
        method = LayerGradCam(model.network, model.at(layer).module)
        grid = method.attribute(images, target=target, relu_attributions=True)
        return LayerAttribution.interpolate(grid, images.shape[2:], "bilinear")[:, 0].detach()

    return torch.stack([torch.stack([one(layer, target) for target in TARGETS]) for layer in LAYERS])


def by_pytorch_grad_cam(model: Model, images: Tensor) -> None:
    """Make the same maps, each scaled to [0, 1] as that package always does."""
    package, output = peers.pytorch_grad_cam()
    for layer in LAYERS:
        for target in TARGETS:
            with package.GradCAM(model.network, [model.at(layer).module]) as cam:
                cam(images, [output(target)] * len(images))


if __name__ == "__main__":
    sys.exit(main())
