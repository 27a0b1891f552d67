"""What lies in a dataset's folder: pictures, labels, masks by concept, examples by concept, and contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ambench.core import InputError, nearest
from ambench.datasets.files.labels import Row, read_labels

SUFFIXES = (".jpg", ".jpeg", ".png")
PARTS = ("images", "masks", "concepts", "contrast")
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of every JPEG and PNG file


@dataclass(frozen=True)
class Layout:
    """The files of a folder dataset, by what they are for.

    images: names in images/; rows: what labels.csv says, by name; masks: concept -> stem -> file;
    examples: concept -> files of concepts/; contrast: files of contrast/.
    """

    root: Path
    images: tuple[str, ...]
    rows: Mapping[str, Row]
    masks: Mapping[str, Mapping[str, Path]]
    examples: Mapping[str, tuple[Path, ...]]
    contrast: tuple[Path, ...]

    @property
    def concepts(self) -> tuple[str, ...]:
        """The names that have a folder of examples or of masks, sorted."""
        return tuple(sorted({*self.masks, *self.examples}))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the table's order."""
        return tuple(dict.fromkeys(row.label for row in self.rows.values()))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that decides the dataset's content."""
        table = self.root / "labels.csv"
        masks = [mask for of_concept in self.masks.values() for mask in of_concept.values()]
        taught = [example for of_concept in self.examples.values() for example in of_concept]
        tables = [table] if table.is_file() else []
        return tuple(
            sorted([*tables, *(self.root / "images" / n for n in self.images), *masks, *taught, *self.contrast])
        )


def read_layout(root: Path) -> Layout:
    """Return what lies in a folder; raises InputError for what is missing, empty, no picture or belongs to nothing."""
    _check_folder(root)
    images = tuple(path.name for path in _pictures(root / "images"))
    if not images:
        raise InputError(f"'{root / 'images'}' holds no picture: .jpg or .png files are wanted there")
    table = root / "labels.csv"
    layout = Layout(
        root,
        images,
        read_labels(table, images) if table.is_file() else {},
        {folder.name: _masks(folder, images) for folder in _folders(root / "masks")},
        {folder.name: _examples(folder) for folder in _folders(root / "concepts")},
        tuple(_pictures(root / "contrast")),
    )
    _check_asked(layout)
    return layout


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        beside = [path.name for path in _folders(root.parent)]
        raise InputError(f"there is no folder '{root}'; {nearest(root.name, beside)}")
    if not (root / "images").is_dir():
        found = [path.name for path in _folders(root)]
        raise InputError(f"'{root}' has no folder images/ with what is to be explained; it holds {found or 'none'}")
    for folder in _folders(root):
        hint = nearest(folder.name, PARTS)
        if folder.name not in PARTS and "did you mean" in hint:
            raise InputError(f"'{root}' has a folder '{folder.name}'; {hint}")
    for name in ("masks", "concepts"):
        loose = _pictures(root / name)
        if loose:
            raise InputError(f"'{loose[0]}' lies in no concept's folder: {name}/<concept>/{loose[0].name} is wanted")


def _check_asked(layout: Layout) -> None:
    """Refuse pictures of which nothing says what they show."""
    root, unmasked = layout.root, [name for name in layout.concepts if name not in layout.masks]
    if not layout.rows and (unmasked or not layout.concepts):
        wanted = f"labels.csv or masks/{unmasked[0]}/" if unmasked else "labels.csv, masks/ or concepts/"
        raise InputError(f"nothing in '{root}' says what its pictures show: {wanted} is wanted")
    for concept in unmasked:
        if concept not in layout.labels:
            raise InputError(f"no picture in '{root}' is labelled '{concept}'; {nearest(concept, layout.labels)}")
    wants_rows = unmasked or not layout.concepts or any(row.shape or row.texture for row in layout.rows.values())
    missing = next((name for name in layout.images if name not in layout.rows), None)
    if wants_rows and missing is not None:
        raise InputError(f"'images/{missing}' has no row in '{root / 'labels.csv'}', so nothing says what it shows")


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    found = sorted(path for path in files if path.is_file())
    for path in found:
        stat = path.stat()
        _check_start(path, stat.st_size, stat.st_mtime_ns)
    return found


@lru_cache(maxsize=1 << 18)
def _check_start(path: Path, size_bytes: int, changed_ns: int) -> None:
    """Refuse a file that is no picture at all; size and time of change keep a file from being opened twice."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from None
    if not start.startswith(_STARTS):
        raise InputError(f"'{path}' is no picture: neither JPEG nor PNG ({size_bytes} bytes)")


def _masks(folder: Path, images: tuple[str, ...]) -> dict[str, Path]:
    stems = [Path(name).stem for name in images]
    twice = next((stem for number, stem in enumerate(sorted(stems)[1:]) if stem == sorted(stems)[number]), None)
    if twice is not None:
        raise InputError(f"two pictures in images/ are called '{twice}', so a mask of that name would be of both")
    masks = {path.stem: path for path in _pictures(folder, (".png",))}
    for stem, path in masks.items():
        if stem not in stems:
            raise InputError(f"mask '{path}' belongs to no picture in images/; {nearest(stem, stems)}")
    if not masks:
        raise InputError(f"'{folder}' holds no mask: <picture's name>.png is wanted there")
    return masks


def _examples(folder: Path) -> tuple[Path, ...]:
    found = tuple(_pictures(folder))
    if not found:
        raise InputError(f"'{folder}' holds no picture: examples of '{folder.name}' are wanted there")
    return found
