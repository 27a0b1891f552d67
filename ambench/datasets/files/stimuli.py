"""Stimuli of a cue-conflict experiment: what a file's name says of its picture, and the silhouettes beside them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ambench.core import InputError, nearest

SUFFIXES = (".jpg", ".jpeg", ".png")
NAME = re.compile(r"(?P<exemplar>(?P<shape>[a-z]+)\d+)(?:-(?P<texture>[a-z]+)\d+)?")


@dataclass(frozen=True)
class Stimulus:
    """A picture with the category of its shape and of its texture, of a plain one the same; `exemplar` is like cat3."""

    file: Path
    exemplar: str
    shape: str
    texture: str
    plain: bool = False

    @property
    def conflict(self) -> bool:
        """Whether shape and texture say different things."""
        return self.shape != self.texture


@dataclass(frozen=True)
class Stimuli:
    """The stimuli by name, and the silhouettes by the exemplar of their shape."""

    of: Mapping[str, Stimulus]
    silhouettes: Mapping[str, Path]

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that decides what is shown."""
        return tuple(sorted([*(one.file for one in self.of.values()), *self.silhouettes.values()]))


def read_stimuli(root: Path, categories: Collection[str]) -> Stimuli:
    """Return the stimuli of a folder; raises InputError for odd names, unknown categories and missing silhouettes."""
    if not root.is_dir():
        raise InputError(f"there is no folder '{root}' of stimuli; wanted are pictures called like cat3-dog2.png")
    place = root / "stimuli" if (root / "stimuli").is_dir() else root
    outlines = root / "silhouettes"
    files = [path for path in _pictures(place) if outlines not in path.parents]
    if not files:
        raise InputError(f"'{place}' holds no stimulus: pictures called like cat3-dog2.png are wanted")
    stimuli = [_stimulus(path, categories) for path in files]
    _refuse_twice(files)
    silhouettes = {path.stem.lower(): path for path in _pictures(outlines)}
    if silhouettes:
        missing = next((one for one in stimuli if one.exemplar not in silhouettes), None)
        if missing is not None:
            raise InputError(f"'{outlines}' has no silhouette '{missing.exemplar}.png' for '{missing.file.name}'")
    return Stimuli({one.file.stem: one for one in stimuli}, silhouettes)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def _stimulus(path: Path, categories: Collection[str]) -> Stimulus:
    said = NAME.fullmatch(path.stem.lower())
    if said is None:
        raise InputError(f"the stimulus name '{path.name}' in '{path.parent}' is not like 'cat3-dog2.png'")
    shape, texture = said["shape"], said["texture"]
    for cue, category in {"shape": shape, "texture": texture or shape}.items():
        if category not in categories:
            raise InputError(f"'{path.name}' has the {cue} '{category}', no category; {nearest(category, categories)}")
    return Stimulus(path, said["exemplar"], shape, texture or shape, plain=texture is None)


def _refuse_twice(files: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other != path:
            raise InputError(f"two stimuli are called '{path.stem}': '{other}' and '{path}'")
