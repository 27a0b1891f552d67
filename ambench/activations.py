"""A layer's pooled features of many images: read in one pass for all who ask, kept on disk by what they are made of.

An entry's name is a digest of the network's weights, modules and answers, of the layer's, the pooling and the images'
bytes. No name that a person chose decides it, so no network and no layer can be served another's features.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ambench import features
from ambench.core import Model, Pooling
from ambench.forward import Forward

NAME = "activations"  # of the one tensor in a file
BLOCK = 1 << 22  # numbers that are in memory at a time
HELD = 1 << 26  # numbers up to which an entry is read whole, where blocks are not asked for
FINGERPRINT_IMAGES = 2


class Read(NamedTuple):
    """What is read of an image: a layer, and how its grid becomes features."""

    layer: str
    pooling: Pooling


class Activations(ABC):
    """Pooled features of N images, of `shape` (N, C) or (N, C, *cells), in the network's own precision."""

    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def width(self) -> int:
        """How many numbers an image has."""
        return int(torch.Size(self.shape[1:]).numel())

    @abstractmethod
    def cut(self, rows: slice, columns: slice) -> Tensor:
        """Return some numbers of some images [n, f], flattened after the first axis."""

    def rows(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all numbers, some images at a time [n, F]."""
        for part in _slices(len(self), max(1, BLOCK // max(1, self.width))):
            yield part, self.cut(part, slice(None))

    def columns(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all numbers, some of every image at a time [N, f]."""
        for part in _slices(self.width, max(1, BLOCK // max(1, len(self)))):
            yield part, self.cut(slice(None), part)

    def whole(self) -> Tensor:
        """Return everything at once [N, *features]."""
        return self.cut(slice(None), slice(None)).reshape(self.shape)


class Held(Activations):
    """Activations in memory.

    >>> held = Held(torch.arange(6.0).view(2, 3))
    >>> held.shape, [block.tolist() for _, block in held.rows()]
    ((2, 3), [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]])
    """

    def __init__(self, values: Tensor) -> None:
        self.shape = tuple(values.shape)
        self._values = values.flatten(1)

    def cut(self, rows: slice, columns: slice) -> Tensor:
        """Return a view of them."""
        return self._values[rows, columns]


class Filed(Activations):
    """Activations in a safetensors file, of which only what is asked for is read.

    It is read, not mapped: mapped pages count as this process's memory until the file is closed.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path, self._device = path, device
        with safe_open(path, "pt") as file:  # refuses one that is torn
            self.shape = tuple(json.loads(file.metadata()["shape"]))
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(length))[NAME]
        self._start = 8 + length + entry["data_offsets"][0]
        self._dtype = _DTYPES[entry["dtype"]]

    def cut(self, rows: slice, columns: slice) -> Tensor:
        """Return what is asked for, on the device that it was computed on."""
        start, stop, _ = rows.indices(len(self))
        left, right, _ = columns.indices(self.width)
        cut = torch.empty(max(0, stop - start), max(0, right - left), dtype=self._dtype)
        step = self.width * self._dtype.itemsize
        length = cut.numel() if right - left == self.width else cut.shape[1]  # whole rows lie one after another
        with self._path.open("rb", buffering=0) as file:
            for place, part in enumerate(_split(_bytes(cut), length * self._dtype.itemsize)):
                file.seek(self._start + (start + place) * step + left * self._dtype.itemsize)
                _fill(file, part)
        return cut.to(self._device)


def _split(whole: memoryview, length: int) -> Iterator[memoryview]:
    for start in range(0, len(whole), max(1, length)):
        yield whole[start : start + length]


def _fill(file: FileIO, part: memoryview) -> None:
    """Read bytes from where the file stands."""
    while part:
        count = file.readinto(part)
        if not count:
            raise EOFError(f"{file.name} ends early")
        part = part[count:]


# ------------------------------------------------------------------------------------------------ reading


def read(model: Model, images: Tensor, wanted: Sequence[Read], chunk: int = 64) -> dict[Read, Activations]:
    """Return the pooled features of images [N, *input] for all that is wanted, from one forward over them.

    The forward ends after the deepest layer, `chunk` images at a time. Inside `keeping` what is there already is read
    from disk, and what is computed is written there chunk by chunk, so that memory does not grow with what is wanted.

    >>> from ambench.toy import network
    >>> found = read(network(), torch.rand(5, 3, 16, 16), [Read("features", "mean"), Read("features", "none")])
    >>> [activations.shape for activations in found.values()]
    [(5, 3), (5, 3, 16, 16)]
    """
    wanted = [Read(model.at(layer).name, pooling) for layer, pooling in dict.fromkeys(wanted)]
    store = _store.get()
    if store is None or not len(images):
        parts: dict[Read, list[Tensor]] = {one: [] for one in wanted}
        for found in _chunks(model, images, wanted, chunk):
            for one, values in found.items():
                parts[one].append(values)
        return {one: Held(torch.cat(values)) for one, values in parts.items()}
    return store.read(model, images, wanted, chunk)


def _chunks(model: Model, images: Tensor, wanted: Sequence[Read], chunk: int) -> Iterator[dict[Read, Tensor]]:
    layers = list(dict.fromkeys(one.layer for one in wanted))
    with torch.no_grad(), Forward(model, layers, stop=True) as forward:
        for part in torch.split(images, chunk):
            outputs, _ = forward(part)
            yield {one: features.pooled(model.at(one.layer), outputs[one.layer], one.pooling) for one in wanted}


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


# ------------------------------------------------------------------------------------------------ keeping


@dataclass(frozen=True)
class Keeper:
    """A folder of activations; what is in `also` and fits the network is read along whenever a forward is due."""

    folder: Path
    also: tuple[Read, ...] = ()

    def read(self, model: Model, images: Tensor, wanted: Sequence[Read], chunk: int) -> dict[Read, Activations]:
        """Return what is wanted; what is not there yet is computed, along with all that will be wanted later."""
        also = [one for one in self.also if one.layer in model.layers and _has(model, one)]
        keys = keys_of(model, images, list(dict.fromkeys([*wanted, *also])), chunk)
        missing = {one: key for one, key in keys.items() if self._there(key, images.device) is None}
        if any(one in missing for one in wanted):
            self._write(missing, model, images, chunk)
        found = {one: self._there(keys[one], images.device) for one in wanted}
        return {one: _light(activations) for one, activations in found.items() if activations is not None}

    def _path(self, key: str) -> Path:
        """Return an entry's file."""
        return self.folder / f"{key}.safetensors"

    def _there(self, key: str, device: torch.device) -> Filed | None:
        path = self._path(key)
        try:
            return Filed(path, device) if path.is_file() else None
        except (SafetensorError, OSError, KeyError, TypeError):
            return None  # torn by a crash: made again

    def _write(self, missing: Mapping[Read, str], model: Model, images: Tensor, chunk: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {one: _Growing(self._path(key), len(images)) for one, key in missing.items()}
        try:
            for found in _chunks(model, images, list(missing), chunk):
                for one, values in found.items():
                    files[one].add(values)
            for file in files.values():
                file.finish()
        finally:
            for file in files.values():
                file.discard()


_store: ContextVar[Keeper | None] = ContextVar("ambench activations", default=None)


@contextmanager
def keeping(folder: Path, also: Iterable[Read] = ()) -> Iterator[None]:
    """Keep all activations that are read in this block in a folder, and read `also` along with the first of them."""
    token = _store.set(Keeper(folder, tuple(dict.fromkeys(also))))
    try:
        yield
    finally:
        _store.reset(token)


@contextmanager
def not_keeping() -> Iterator[None]:
    """Keep nothing that is read in this block: of networks that nobody will ask again."""
    token = _store.set(None)
    try:
        yield
    finally:
        _store.reset(token)


def keys_of(model: Model, images: Tensor, wanted: Sequence[Read], chunk: int) -> dict[Read, str]:
    """Return the digest of all that decides each of the activations.

    What the layers say of the first two images is part of it: a name may be given to another module or view of it.
    """
    total = digest(model, images)
    total.update(f"{chunk}:".encode())
    (said,) = _chunks(model, images[:FINGERPRINT_IMAGES], wanted, FINGERPRINT_IMAGES)
    return {one: _key(total, one, said[one]) for one in wanted}


def digest(model: Model, images: Tensor) -> hashlib._Hash:
    """Return the digest of a network and of images.

    What the network says of the first two images is part of it: it tells what neither weights nor modules do, such as a
    normalisation written into `forward`.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        total.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        total.update(_bytes(tensor))
    total.update(f"{model.network!r}:{images.dtype}:{tuple(images.shape)}:{images.device.type}:".encode())
    total.update(_bytes(features.logits(model, images[:FINGERPRINT_IMAGES])))
    total.update(_bytes(images))
    return total


def _key(total: hashlib._Hash, one: Read, said: Tensor) -> str:
    whole = total.copy()
    whole.update(f"{one.layer}:{one.pooling}:{tuple(said.shape)}:".encode())
    whole.update(_bytes(said))
    return whole.hexdigest()[:32]


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _has(model: Model, one: Read) -> bool:
    return one.pooling != "class" or model.at(one.layer).as_class is not None


def _light(activations: Filed) -> Activations:
    """Small ones are read once, so that nobody opens their file again and again."""
    return Held(activations.whole()) if len(activations) * activations.width <= HELD else activations


class _Growing:
    """A safetensors file that grows chunk by chunk: its header is written as soon as a row's shape is known."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        # The process is part of its name: forks put their objects at the same addresses.
        self._unfinished = path.with_suffix(f".{os.getpid()}-{id(self):x}.part")
        self._file: IO[bytes] | None = None

    def add(self, values: Tensor) -> None:
        """Append the next images' features [n, *features]."""
        if self._file is None:
            self._file = self._unfinished.open("wb")
            self._file.write(_header((self._count, *values.shape[1:]), values.dtype))
        self._file.write(_bytes(values))

    def finish(self) -> None:
        """Give the whole file its name."""
        if self._file is not None:
            self._file.close()
            self._unfinished.replace(self._path)

    def discard(self) -> None:
        """Leave nothing unfinished behind."""
        if self._file is not None:
            self._file.close()
            self._unfinished.unlink(missing_ok=True)


_TYPES: Mapping[torch.dtype, str] = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}
_DTYPES: Mapping[str, torch.dtype] = {name: dtype for dtype, name in _TYPES.items()}


def _header(shape: tuple[int, ...], dtype: torch.dtype) -> bytes:
    """The head of a safetensors file with one matrix [N, F]; the shape of the features is in its metadata."""
    rows, width = shape[0], int(torch.Size(shape[1:]).numel())
    end = rows * width * dtype.itemsize
    entry = {"dtype": _TYPES[dtype], "shape": [rows, width], "data_offsets": [0, end]}
    text = json.dumps({"__metadata__": {"shape": json.dumps(list(shape))}, NAME: entry}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
