"""The real photographs laid out as `folder:` datasets; nothing of them is kept once the tests are over."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

ARCHITECTURE = "torchvision:squeezenet1_0"


def squeezenet(real: Path) -> str:
    """Return the name of the trained SqueezeNet."""
    return f"{ARCHITECTURE}@{real / 'squeezenet1_0.safetensors'}"


def mnist_vit() -> str:
    """Return the name of the transformer for digits."""
    return f"python:{Path(__file__).parent / 'mnist_vit.py'}:factory"


def photographs(real: Path, root: Path, every: int = 1) -> Path:
    """60 photographs, or one in `every` so many, each labelled with its ImageNet class."""
    with (real / "imagenet" / "labels.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))[::every]
    _copy((real / "imagenet" / row["file"] for row in rows), root / "images")
    return _table(root, {row["file"]: row["class_name"] for row in rows})


def street(real: Path, root: Path, *classes: str) -> Path:
    """30 street scenes with masks of some classes."""
    lines = (real / "camvid" / "CLASSES.txt").read_text().splitlines()
    number = {name: int(value) for value, name in (line.split() for line in lines)}
    _copy((real / "camvid" / "img").iterdir(), root / "images")
    for path in (real / "camvid" / "mask").iterdir():
        seen = np.asarray(Image.open(path))
        for name in classes:
            if (seen == number[name]).any():
                (root / "masks" / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray((seen == number[name]).astype(np.uint8)).save(root / "masks" / name / path.name)
    return root


def street_and_textures(real: Path, root: Path, *classes: str) -> Path:
    """Street scenes with masks, and textures that show none of it: what is in every scene needs pictures without it."""
    street(real, root, *classes)
    for folder in sorted((real / "textures").iterdir()):
        _copy(sorted(folder.iterdir()), root / "contrast")
    return root


def textures(real: Path, root: Path) -> Path:
    """Striped against four other textures: 13 striped examples, 10 of each other as contrast, the rest to be told apart."""
    labels = {}
    for folder in sorted((real / "textures").iterdir()):
        files = sorted(folder.iterdir())
        learnt = 13 if folder.name == "striped" else 10
        place = root / "concepts" / "striped" if folder.name == "striped" else root / "contrast"
        _copy(files[:learnt], place)
        _copy(files[learnt:], root / "images")
        labels |= {path.name: folder.name for path in files[learnt:]}
    return _table(root, labels)


def taught_textures(real: Path, root: Path) -> Path:
    """24 striped pictures as examples, all 100 of four other textures as contrast, and the last one to be explained."""
    for folder in sorted((real / "textures").iterdir()):
        files, striped = sorted(folder.iterdir()), folder.name == "striped"
        _copy(files[: 24 if striped else 25], root / "concepts" / "striped" if striped else root / "contrast")
    last = sorted((real / "textures" / "striped").iterdir())[-1]
    _copy([last], root / "images")
    return _table(root, {last.name: "striped"})


def digits(real: Path, root: Path, count: int) -> Path:
    """Handwritten digits, 28 pixels, one channel."""
    (root / "images").mkdir(parents=True)
    with np.load(real / "mnist_500.npz") as file:
        drawn, labels = file["x"][:count], file["y"][:count]
    for number, pixels in enumerate(drawn):
        Image.fromarray(pixels).save(root / "images" / f"{number:03}.png")
    return _table(root, {f"{number:03}.png": str(label) for number, label in enumerate(labels)})


def conflicts(real: Path, root: Path) -> Path:
    """64 pictures with the shape of one of sixteen classes and the texture of another."""
    files = sorted((real / "cue_conflict" / "stimuli").rglob("*.png"))
    _copy(files, root / "images")
    cues = {path.name: [part.rstrip("0123456789") for part in path.stem.split("-")] for path in files}
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "shape", "texture"])
        writer.writerows([name, 0, *pair] for name, pair in cues.items())  # any unit: shape bias asks for the classes
    return root


def both(real: Path, root: Path) -> Path:
    """One photograph, a dog above a cat, twice: once asked for the dog, once for the cat."""
    (root / "images").mkdir(parents=True)
    for name in ("dog", "cat"):
        shutil.copy(real / "imagenet" / "extra" / "both.png", root / "images" / f"{name}.png")
    return _table(root, {"dog.png": "bull mastiff", "cat.png": "tiger cat"})


def _copy(files: Iterable[Path], place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, place)


def _table(root: Path, labels: dict[str, str]) -> Path:
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label"])
        writer.writerows(labels.items())
    return root


def cars(real: Path, root: Path, named: str) -> Path:
    """30 street scenes with masks of their cars, under the name of one of ImageNet's classes."""
    street(real, root, "Car")
    (root / "masks" / "Car").rename(root / "masks" / named)
    return root
