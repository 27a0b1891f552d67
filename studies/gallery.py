"""Pictures of the activation-maximization study: portraits by method, and channels by layer.

python studies/gallery.py methods RUN     docs/pictures/portraits_{cnn,vit}.png from a run of the study
python studies/gallery.py layers          docs/pictures/channels_{cnn,vit}.png, made anew (a minute)
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from activation_maximization import CLASSES, short
from ambench import models, registry
from ambench.core import Concepts, Model, Portraits, Randomness
from ambench.results import Results

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
LAYERS = {
    "cnn": ("layer1", "layer2", "layer3", "layer4"),
    "vit": ("conv_proj", *(f"encoder.layers.encoder_layer_{block}" for block in range(4))),
}
CHANNELS = 10
COLOURS = 200


def sheet(rows: dict[str, Tensor], titles: Sequence[str], path: Path) -> None:
    """Write a picture with a named row for each stack of images [n, 3, H, W]."""
    columns = max(len(images) for images in rows.values())
    figure, axes = plt.subplots(len(rows), columns, figsize=(0.9 * columns + 2.2, 0.95 * len(rows)), squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for place, axis in enumerate(line):
            axis.set_axis_off()
            if place < len(images):
                axis.imshow(images[place].permute(1, 2, 0).clamp(0, 1).numpy())
        label = textwrap.fill(name, 36, break_on_hyphens=False)
        line[0].text(-0.1, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(figure)
    with Image.open(path) as drawn:
        few = drawn.convert("RGB").quantize(COLOURS)  # a third of the bytes, and no difference to the eye
    few.save(path, optimize=True)


def by_method(run: Path, network: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the first portrait of each class by every method of a run, and the names of the classes."""
    frame = Results.open(run).to_frame()
    asked = frame[(frame.model == network) & (frame.dataset == CLASSES)]
    classes = list(models.resolve(network).classes)
    rows: dict[str, Tensor] = {}
    for method, cell in asked.groupby("method", sort=False).cell.first().items():
        found = [sorted((run / "pictures" / str(cell)).glob(f"{unit}_0-*.png")) for unit in range(len(classes))]
        if all(found):
            pictures = [decode_image(str(files[0]), ImageReadMode.RGB) / 255 for files in found]
            rows[short(str(method)).strip("`").replace(",", ", ")] = torch.stack(pictures)
    return rows, classes


def by_layer(network: str) -> dict[str, Tensor]:
    """Return portraits of the first channels of a network's stages, and of its class outputs."""
    model = models.resolve(network)
    rows = {layer: made(model, f"objective=channel,layer={layer},channel=0") for layer in LAYERS[network]}
    rows["class outputs"] = made(model, "objective=logit", len(model.classes))
    return rows


def made(model: Model, settings: str, count: int = CHANNELS) -> Tensor:
    """Return portraits of the first units or channels [count, *input]."""
    method = registry.load("methods", f"actmax:{settings}")
    nothing = Concepts((), torch.empty(0, *model.input_shape), torch.empty(0, 0, dtype=torch.bool))
    portraits: Portraits = method.synthesise(model, torch.arange(count), nothing, Randomness((0, "gallery")))
    return portraits.images.cpu()


def main() -> int:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("methods", "layers"))
    parser.add_argument("run", type=Path, nargs="?", help="the folder of the study's run, for `methods`")
    given = parser.parse_args()
    matplotlib.use("agg")
    for network in LAYERS:
        if given.what == "methods":
            if given.run is None:
                parser.error("name the folder of the study's run")
            sheet(*by_method(given.run, network), PICTURES / f"portraits_{network}.png")
        else:
            titles = [f"channel {number}" for number in range(CHANNELS)]
            sheet(by_layer(network), titles, PICTURES / f"channels_{network}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
