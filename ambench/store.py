"""A run's folder: the manifest first, then one atomic write a cell; what a crash leaves behind does not count."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ambench import atomic
from ambench.core import InputError, nearest
from ambench.provenance import Manifest
from ambench.record import SCHEMA_VERSION, Record, Status

VALUE_COLUMNS = ("id", "concept", "metric", "value", "defined", "flat")
CELL_COLUMNS = ("model", "weights", "method", "settings", "dataset", "revision", "seed")
_NAMES = ("id", "concept", "metric")


@dataclass(frozen=True, eq=False)
class CellResult:
    """All that one cell leaves behind.

    `records` have no floors yet; `values` is the long table of per-image values with the columns `id, concept, metric,
    value, defined, flat`, one row for each image and concept (rows with the same id are one cluster: restarts of a
    portrait share theirs); `pictures` are uint8 [3, H, W] or [1, H, W]; `timings` are seconds by stage.
    """

    id: str
    records: Sequence[Record]
    values: pd.DataFrame = field(default_factory=lambda: no_values())
    pictures: Mapping[str, Tensor | NDArray[np.uint8]] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    status: Status = "ok"
    error: str | None = None


def no_values() -> pd.DataFrame:
    """Return an empty table of per-image values, with the types it would have."""
    kinds = {"id": "str", "concept": "str", "metric": "str", "value": "float64", "defined": "bool", "flat": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


@dataclass(frozen=True, eq=False)
class Store:
    """A run on disk: `manifest.json`, `cells/<id>.json`, `values/<id>.parquet`, `pictures/<id>/*.png`.

    A cell is finished when its JSON, which is written last, parses and its values have the digest noted there.
    """

    path: Path
    manifest: Manifest

    @staticmethod
    def create(path: str | Path, manifest: Manifest) -> Store:
        """Return the store of a run that begins, or goes on, in this folder; it sweeps up what a crash left behind.

        Raises InputError if the folder holds another run (one with another suite) or something else.
        """
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"'{folder}' is a file; a run is written into a folder")
        if (folder / "manifest.json").exists():
            manifest = _resumed(Store.open(folder).manifest, manifest, folder)
        elif folder.exists() and any(not atomic.is_temporary(entry) for entry in folder.iterdir()):
            raise InputError(f"'{folder}' holds files that are not a run; name a new or empty folder")
        atomic.sweep(folder)
        atomic.write(folder / "manifest.json", _json(asdict(manifest)))
        return Store(folder, manifest)

    @staticmethod
    def open(path: str | Path) -> Store:
        """Return the store of a run that exists; raises InputError if there is none or it cannot be read."""
        folder = Path(path)
        place = folder / "manifest.json"
        if not place.is_file():
            raise InputError(f"there is no run at '{folder}'; {_neighbours(folder)}")
        try:
            content = json.loads(place.read_bytes())
            schema = int(content["schema"])
            known = {f.name: content[f.name] for f in fields(Manifest) if f.name in content}
            manifest = Manifest(**known)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"the manifest of '{folder}' is half-written or damaged ({error})"
            raise InputError(f"{reason}; name another run, or remove that folder and run it again") from None
        if schema > SCHEMA_VERSION:
            raise InputError(
                f"'{folder}' was written by a newer ambench (schema {schema}, this one reads up to {SCHEMA_VERSION})"
            )
        return Store(folder, manifest)

    def finish(self, result: CellResult) -> None:
        """Write a cell: pictures, then values, then the JSON that makes it count; InputError if the disk is full."""
        name = file_name(result.id)
        table = _parquet(result.values)
        for picture, pixels in result.pictures.items():
            atomic.write(self.path / "pictures" / name / f"{file_name(picture)}.png", _png(pixels))
        atomic.write(self.path / "values" / f"{name}.parquet", table)
        cell = {
            "schema": SCHEMA_VERSION,
            "id": result.id,
            "status": result.status,
            "error": result.error,
            "timings": dict(result.timings),
            "values_sha256": hashlib.sha256(table).hexdigest(),
            "records": [record.to_dict() for record in result.records],
        }
        atomic.write(self.path / "cells" / f"{name}.json", _json(cell))

    def finished(self) -> set[str]:
        """Return the ids of the planned cells that are written whole, the failed ones among them."""
        return set(self.cells())

    def unfinished(self) -> list[str]:
        """Return the ids of the planned cells that are not there, in the order of the plan."""
        finished = self.finished()
        return [cell for cell in self.manifest.cells if cell not in finished]

    def cells(self) -> dict[str, dict[str, Any]]:
        """Return the content of each finished cell's JSON by id, in the order of the plan."""
        found = {cell: self._cell(cell) for cell in self.manifest.cells}
        return {cell: content for cell, content in found.items() if content is not None}

    def records(self) -> list[Record]:
        """Return the rows of all finished cells, in the order of the plan, without floors."""
        return [Record.from_dict(row) for content in self.cells().values() for row in content["records"]]

    def values(self) -> pd.DataFrame:
        """Return the per-image values of all finished cells, each with what its cell is (`CELL_COLUMNS`)."""
        cells = self.cells()
        described = {cell: content["records"][0] for cell, content in cells.items() if content["records"]}
        tables = [pq.read_table(self._values_path(cell), read_dictionary=list(_NAMES)) for cell in described]
        codes = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        frame = pa.concat_tables(tables).unify_dictionaries().to_pandas() if tables else no_values()
        frame["cell"] = _repeated(list(described), codes)
        for column in CELL_COLUMNS:
            frame[column] = _repeated([row[column] for row in described.values()], codes)
        return frame

    def pictures(self, cell: str) -> list[Path]:
        """Return the paths of a cell's pictures, by name."""
        return sorted((self.path / "pictures" / file_name(cell)).glob("*.png"))

    def _values_path(self, cell: str) -> Path:
        return self.path / "values" / f"{file_name(cell)}.parquet"

    def _cell(self, cell: str) -> dict[str, Any] | None:
        try:
            content = json.loads((self.path / "cells" / f"{file_name(cell)}.json").read_bytes())
            digest = hashlib.sha256(self._values_path(cell).read_bytes()).hexdigest()
        except (OSError, ValueError):  # not there yet, or cut off: not finished
            return None
        whole = isinstance(content, dict) and content.get("values_sha256") == digest
        return content if whole and content.get("id") == cell else None


def file_name(name: str) -> str:
    """Return a name that is one path component: anything unusual becomes `_`, and then a digest keeps names apart.

    >>> file_name("cnn-gradcam-0"), file_name("../../etc/passwd")
    ('cnn-gradcam-0', '_.._etc_passwd-3754d6cb')
    """
    plain = re.sub(r"[^A-Za-z0-9._=+-]", "_", name).lstrip(".")[:100]
    return plain if plain == name != "" else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _resumed(old: Manifest, new: Manifest, folder: Path) -> Manifest:
    """The old manifest with the new plan: cells whose id changed, because their code did, are no longer of this run."""
    before, after = json.loads(_json(dict(old.suite))), json.loads(_json(dict(new.suite)))
    if before != after:
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        raise InputError(
            f"'{folder}' holds another run, with other {', '.join(changed)}; name a new folder, or repeat its command"
        )
    start = {"started": new.started, "command": new.command, "commit": new.commit, "dirty": new.dirty}
    same_code = replace(old, cells=new.cells, resumed=[*old.resumed, start])
    return replace(same_code, versions=new.versions, devices=new.devices)


def _neighbours(folder: Path) -> str:
    parent = folder.parent
    runs = [p.parent.name for p in parent.glob("*/manifest.json")] if parent.is_dir() else []
    return nearest(folder.name, runs) if runs else "a run is a folder with a manifest.json"


def _repeated(names: list[Any], codes: NDArray[np.int64]) -> pd.Categorical:
    """One name a cell, spread over the cell's rows: kept as numbers, since there are millions of rows."""
    places, categories = pd.factorize(pd.Series(names, dtype=object))
    return pd.Categorical.from_codes(places[codes], categories=categories)


def _json(content: Any) -> bytes:
    text = json.dumps(content, indent=1, allow_nan=False, default=lambda scalar: scalar.item())
    return text.encode()


def _parquet(values: pd.DataFrame) -> bytes:
    missing = [name for name in VALUE_COLUMNS if name not in values]
    if missing:
        raise InputError(f"a cell's values lack the column {missing[0]}; wanted: {', '.join(VALUE_COLUMNS)}")
    types = dict.fromkeys(_NAMES, "str") | {"value": "float64", "defined": "bool", "flat": "bool"}
    buffer = io.BytesIO()
    values[list(VALUE_COLUMNS)].astype(types).to_parquet(buffer, compression="zstd", index=False)
    return buffer.getvalue()


def _png(pixels: Tensor | NDArray[np.uint8]) -> bytes:
    picture = pixels.cpu().numpy() if isinstance(pixels, Tensor) else pixels
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise InputError(f"a picture is uint8 [3, H, W] or [1, H, W]; this one is {picture.dtype} {[*picture.shape]}")
    buffer = io.BytesIO()
    Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()
