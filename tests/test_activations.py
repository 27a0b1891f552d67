"""Activations are what the layers say, are read in one forward, and are kept by what they are made of alone."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

import networks
from ambench import activations, registry
from ambench.activations import Activations, Filed, Held, Read, keeping, read
from ambench.core import Concepts, InputError, Layer, Model, Randomness
from ambench.models import wrap

POOLED = {"mean": lambda z: z.mean((2, 3)), "max": lambda z: z.amax((2, 3)), "none": lambda z: z}
MODELS = networks.every()


def output_by_hand(model: Model, layer: str, images: Tensor) -> Tensor:
    """What a module of the network returns, by a hook of our own."""
    seen: list[Tensor] = []
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    handle = model.at(layer).module.register_forward_hook(lambda module, given, output: seen.append(output.clone()))
    with torch.no_grad():
        model.network(images)
    handle.remove()
    torch.backends.mha.set_fastpath_enabled(fast)
    return seen[0]


@contextmanager
def counted(module: nn.Module) -> Iterator[list[int]]:
    """The number of images in each of a module's turns."""
    sizes: list[int] = []
    handle = module.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    yield sizes
    handle.remove()


def values(
    model: Model, images: Tensor, wanted: Sequence[Read], folder: Path | None = None, **more: Any
) -> list[Tensor]:
    """Everything that is read, whole; kept in a folder if there is one."""
    if folder is None:
        return [one.whole() for one in read(model, images, wanted, **more).values()]
    with keeping(folder):
        return [one.whole() for one in read(model, images, wanted, **more).values()]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("kept", [False, True], ids=["read", "kept"])
@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_activations_are_what_the_layer_says(name: str, pooling: Any, kept: bool, tmp_path: Path) -> None:
    model = MODELS[name]
    images = networks.images(model, 5)
    expected = POOLED[pooling](model.at(None).as_grid(output_by_hand(model, model.layer, images)))
    (found,) = values(model, images, [Read(model.layer, pooling)], tmp_path if kept else None, chunk=5)
    assert found.shape == expected.shape
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kept", [False, True], ids=["read", "kept"])
@pytest.mark.parametrize("name", ["transformer", "registered"])
def test_the_class_token_is_the_first_of_a_transformers_tokens(name: str, kept: bool, tmp_path: Path) -> None:
    model = MODELS[name]
    images = networks.images(model, 5)
    for layer in model.layers:
        if model.at(layer).as_class is None:
            continue
        (found,) = values(model, images, [Read(layer, "class")], tmp_path if kept else None, chunk=5)
        assert torch.equal(found, output_by_hand(model, layer, images)[:, 0])
    assert model.at(None).as_class is not None


@pytest.mark.parametrize("kept", [False, True], ids=["read", "kept"])
@pytest.mark.parametrize(("name", "layer"), [("module", "conv2"), ("swin", None), ("transformer", "conv_proj")])
def test_a_layer_without_a_class_token_is_refused(name: str, layer: str, kept: bool, tmp_path: Path) -> None:
    model = MODELS[name]
    with pytest.raises(InputError, match=f"'{layer or model.layer}' has no class token"):
        values(model, networks.images(model), [Read(layer, "class")], tmp_path if kept else None)
    assert files(tmp_path) == set()


def test_an_unnamed_layer_is_the_models_own_and_a_wrong_one_is_refused() -> None:
    model = MODELS["module"]
    found = read(model, networks.images(model), [Read(None, "mean"), Read(model.layer, "mean")])  # type: ignore[arg-type]
    assert list(found) == [Read(model.layer, "mean")]
    with pytest.raises(InputError, match="did you mean 'conv2'"):
        read(model, networks.images(model), [Read("conv22", "mean")])


@pytest.mark.parametrize("kept", [False, True], ids=["read", "kept"])
def test_chunks_change_no_value_beyond_rounding(kept: bool, tmp_path: Path) -> None:
    model = MODELS["functional"]
    images, wanted = networks.images(model, 7), [Read("conv2", "none")]
    whole = values(model, images, wanted)[0]
    for chunk in (1, 3, 7):
        (found,) = values(model, images, wanted, tmp_path if kept else None, chunk=chunk)
        torch.testing.assert_close(found, whole)


# ------------------------------------------------------------------------------------------------ one forward


@pytest.mark.parametrize("kept", [False, True], ids=["read", "kept"])
def test_several_reads_are_one_forward_that_stops_after_the_deepest_layer(kept: bool, tmp_path: Path) -> None:
    """Once a first, whole forward has shown that each layer runs once."""
    model = networks.cnn()
    images = networks.images(model, 9)
    wanted = [Read(layer, pooling) for layer in ("conv1", "conv2") for pooling in ("mean", "max", "none")]  # type: ignore[arg-type]
    read(model, images[:2], wanted)
    with counted(model.network) as all_of, counted(model.network.conv1) as first, counted(model.network.fc) as last:  # type: ignore[arg-type]
        values(model, images, wanted, tmp_path if kept else None, chunk=3)
    assert [size for size in all_of if size > 2] == [3, 3, 3]
    assert [size for size in first if size > 2] == [3, 3, 3]
    assert [size for size in last if size > 2] == []
    assert len(all_of) == 3 or kept


def test_reading_leaves_no_hook_behind() -> None:
    model = networks.cnn()
    read(model, networks.images(model), [Read("conv1", "mean")])
    assert not any(module._forward_hooks for module in model.network.modules())


# ------------------------------------------------------------------------------------------------ keeping


def test_a_second_read_runs_the_network_on_two_images_at_most(tmp_path: Path) -> None:
    model = networks.cnn()
    images, wanted = networks.images(model, 9), [Read("conv1", "mean"), Read("conv2", "none")]
    plain = values(model, images, wanted, chunk=4)
    first = values(model, images, wanted, tmp_path, chunk=4)
    with counted(model.network) as sizes:
        second = values(model, images, wanted, tmp_path, chunk=4)
    assert max(sizes) == 2
    for one, other, bare in zip(first, second, plain, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, bare)
        assert one.dtype == bare.dtype
    assert len(files(tmp_path)) == 2


def test_a_part_that_is_there_is_not_read_again(tmp_path: Path) -> None:
    model = networks.cnn()
    images = networks.images(model, 6)
    values(model, images, [Read("conv1", "mean")], tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    values(model, images, [Read("conv1", "mean"), Read("conv2", "mean")], tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(after) == 2
    assert before.items() <= after.items()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_is_kept_to_the_bit(kind: torch.dtype, tmp_path: Path) -> None:
    model = networks.cnn()
    model = replace(model, network=model.network.to(kind))
    images, wanted = networks.images(model, 5), [Read("conv2", "none")]
    expected = values(model, images, wanted)[0]
    assert expected.dtype == kind
    for _ in range(2):
        (found,) = values(model, images, wanted, tmp_path)
        assert found.dtype == kind
        assert torch.equal(found, expected)


class Normalised(nn.Module):
    """Weights and modules say nothing of the mean that its forward takes away."""

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x - self.mean).mean((2, 3)))


def _same(output: Tensor) -> Tensor:
    return output


def _turned(output: Tensor) -> Tensor:
    return output.flip(1)


def normalised(mean: float = 0.0, seed: int = 0, view: Callable[[Tensor], Tensor] = _same) -> Model:
    network = networks.seeded(lambda: Normalised(mean), seed)
    layers = {"conv": Layer("conv", network.conv, view)}  # type: ignore[arg-type]
    return Model("same name", "same tag", network, {}, layers, "conv", (3, 8, 8))


def _wider(model: Model) -> Model:
    """The same weights in a network that is built otherwise, and answers the same."""
    network = nn.Sequential(model.network, nn.Identity())
    return replace(model, network=network)


def _two_layers(first: bool) -> Model:
    """A layer's name is a person's choice, and may be given to another module."""
    network = networks.seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()))
    layers = {"conv": Layer("conv", network[0 if first else 1], _same)}
    return Model("same name", "same tag", network, {}, layers, "conv", (3, 8, 8))


IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CHANGED = IMAGES.clone()
CHANGED[-1, -1, -1, -1] += 1e-6  # the last number of the last image
OTHERS: dict[str, tuple[Model, Tensor, Read]] = {
    "other weights": (normalised(seed=1), IMAGES, Read("conv", "mean")),
    "another normalisation in its forward": (normalised(0.5), IMAGES, Read("conv", "mean")),
    "another network": (_wider(normalised()), IMAGES, Read("conv", "mean")),
    "other images": (normalised(), CHANGED, Read("conv", "mean")),
    "fewer images": (normalised(), IMAGES[:5], Read("conv", "mean")),
    "another order of images": (normalised(), IMAGES.flip(0), Read("conv", "mean")),
    "another pooling": (normalised(), IMAGES, Read("conv", "max")),
    "another view of the layer": (normalised(view=_turned), IMAGES, Read("conv", "mean")),
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_what_is_made_of_something_else_never_shares_a_file(name: str, tmp_path: Path) -> None:
    """The names of the models, of their weights and of their layers are all the same."""
    model, images, one = OTHERS[name]
    values(normalised(), IMAGES, [Read("conv", "mean")], tmp_path)
    before = files(tmp_path)
    (found,) = values(model, images, [one], tmp_path)
    assert torch.equal(found, values(model, images, [one])[0])
    assert len(before) == 1
    assert len(files(tmp_path)) == 2


class Threshold(nn.Module):
    """Its layer says the same of dark images, whatever its mean, weights and activation are; not so its answer."""

    def __init__(self, mean: float = 0.0, weight: float = 1.0, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.conv, self.activation, self.mean = nn.Conv2d(3, 4, 1), activation(), mean
        nn.init.constant_(self.conv.weight, weight)
        nn.init.constant_(self.conv.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        dark = x.amax((1, 2, 3), keepdim=True) <= 0
        seen = self.activation(self.conv(torch.where(dark, x, x - self.mean)))
        return seen.mean((2, 3)) + self.mean


def threshold(**settings: Any) -> Model:
    network = Threshold(**settings).eval()
    layers = {"activation": Layer("activation", network.activation, _same)}
    return Model("same name", "same tag", network, {}, layers, "activation", (3, 8, 8))


@pytest.mark.parametrize("settings", [{"mean": 2.0}, {"weight": -1.0}, {"activation": nn.Identity}])
def test_what_the_first_images_do_not_tell_of_a_layer_is_told_otherwise(settings: Any, tmp_path: Path) -> None:
    """By the network's answer, by its weights or by its modules."""
    images = IMAGES.clone()
    images[:2] = 0
    images[2] = -1
    wanted = [Read("activation", "mean")]
    (first,) = values(threshold(), images, wanted, tmp_path)
    (second,) = values(threshold(**settings), images, wanted, tmp_path)
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first, second)
    assert torch.equal(second, values(threshold(**settings), images, wanted)[0])
    assert len(files(tmp_path)) == 2


def test_layers_of_one_name_and_other_modules_never_share_a_file(tmp_path: Path) -> None:
    for first in (True, False):
        model = _two_layers(first)
        (found,) = values(model, IMAGES, [Read("conv", "none")], tmp_path)
        assert torch.equal(found, values(model, IMAGES, [Read("conv", "none")])[0])
    assert len(files(tmp_path)) == 2


def test_every_layer_and_pooling_has_a_file_of_its_own(tmp_path: Path) -> None:
    model = wrap(networks.transformer(), "transformer", input_shape=(3, 16, 16))
    tokens = [name for name, layer in model.layers.items() if layer.as_class is not None]
    wanted = [Read(layer, pooling) for layer in tokens for pooling in ("mean", "max", "none", "class")]  # type: ignore[arg-type]
    values(model, networks.images(model), wanted, tmp_path)
    assert len(files(tmp_path)) == len(wanted) > 8


def test_the_same_thing_under_other_names_is_served(tmp_path: Path) -> None:
    first, second = (replace(normalised(), name=name, weights=name) for name in ("a", "b"))
    values(first, IMAGES, [Read("conv", "mean")], tmp_path)
    with counted(second.network) as sizes:
        values(second, IMAGES, [Read("conv", "mean")], tmp_path)
    assert max(sizes) == 2
    assert len(files(tmp_path)) == 1


def test_what_others_want_is_read_along_in_the_same_forward(tmp_path: Path) -> None:
    """But for layers that this network lacks, and class tokens that a layer lacks."""
    model = networks.cnn()
    images = networks.images(model, 9)
    also = [Read("conv2", "none"), Read("nowhere", "mean"), Read("conv2", "class"), Read("conv1", "mean")]
    with keeping(tmp_path, also), counted(model.network) as sizes:
        found = read(model, images, [Read("conv1", "mean")])
    assert list(found) == [Read("conv1", "mean")]
    assert [size for size in sizes if size > 2] == [9]
    assert len(files(tmp_path)) == 2
    with counted(model.network) as sizes:
        (later,) = values(model, images, [Read("conv2", "none")], tmp_path)
    assert max(sizes) == 2
    assert torch.equal(later, values(model, images, [Read("conv2", "none")])[0])


def test_what_others_want_starts_no_forward(tmp_path: Path) -> None:
    model = networks.cnn()
    images = networks.images(model, 9)
    values(model, images, [Read("conv1", "mean")], tmp_path)
    with keeping(tmp_path, [Read("conv2", "none")]), counted(model.network) as sizes:
        read(model, images, [Read("conv1", "mean")])
    assert max(sizes) == 2
    assert len(files(tmp_path)) == 1


def test_probes_of_one_layer_and_pooling_share_a_reading(tmp_path: Path) -> None:
    model = networks.cnn()
    images = networks.images(model, 40)
    concepts = Concepts(("even",), images, (torch.arange(40) % 2 == 0)[:, None])
    methods = [
        registry.load("methods", name) for name in ("cav", "pattern_cav", "cav:pooling=none", "cav:solver=ridge")
    ]
    plain = [method.fit(model, concepts, Randomness((0,))) for method in methods]
    also = [one for method in methods for one in method.reads(model)]
    with keeping(tmp_path, also), counted(model.network) as sizes:
        kept = [method.fit(model, concepts, Randomness((0,))) for method in methods]
    assert [size for size in sizes if size > 2] == [40]
    assert len(files(tmp_path)) == 2
    for one, other in zip(plain, kept, strict=True):
        assert torch.equal(one.vectors, other.vectors)


def test_keeping_ends_with_its_block_and_gives_way_to_another_inside(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    wanted = [Read("conv", "mean")]
    with keeping(outer):
        with keeping(inner):
            read(normalised(), IMAGES, wanted)
        assert (len(files(outer)), len(files(inner))) == (0, 1)
        read(normalised(seed=1), IMAGES, wanted)
    assert (len(files(outer)), len(files(inner))) == (1, 1)
    read(normalised(seed=2), IMAGES, wanted)
    assert (len(files(outer)), len(files(inner))) == (1, 1)


def test_no_images_at_all_have_no_activations_and_make_no_file(tmp_path: Path) -> None:
    (found,) = values(normalised(), IMAGES[:0], [Read("conv", "mean")], tmp_path)
    assert found.shape == (0, 4)
    assert files(tmp_path) == set()


# ------------------------------------------------------------------------------------------------ files


def _cut(content: bytes) -> bytes:
    return content[:-4]


def _headless(content: bytes) -> bytes:
    return content[:30]


def _empty(content: bytes) -> bytes:
    return b""


def _nonsense(content: bytes) -> bytes:
    return b"\xff" * len(content)


@pytest.mark.parametrize("tear", [_cut, _headless, _empty, _nonsense])
def test_a_torn_file_is_made_again(tear: Callable[[bytes], bytes], tmp_path: Path) -> None:
    wanted = [Read("conv", "none")]
    (expected,) = values(normalised(), IMAGES, wanted, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(tear(whole))
    (found,) = values(normalised(), IMAGES, wanted, tmp_path)
    assert torch.equal(found, expected)
    assert path.read_bytes() == whole


def test_an_exception_in_the_network_leaves_no_file_behind(tmp_path: Path) -> None:
    model = networks.cnn()
    images, wanted = networks.images(model, 9), [Read("conv1", "mean"), Read("conv2", "none")]
    turns: list[set[str]] = []

    def fail(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if len(given[0]) == 4:
            turns.append(files(tmp_path))
            if len(turns) == 2:
                raise RuntimeError("out of patience")

    handle = model.network.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="patience"):
        values(model, images, wanted, tmp_path, chunk=4)
    handle.remove()
    assert len(turns[1]) == 2  # there was something unfinished
    assert files(tmp_path) == set()
    found = values(model, images, wanted, tmp_path, chunk=4)
    assert torch.equal(found[1], values(model, images, wanted, chunk=4)[1])
    assert {Path(name).suffix for name in files(tmp_path)} == {".safetensors"}


def test_two_processes_never_write_to_one_unfinished_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks of one process have the same seed, and put their objects at the same addresses."""
    seen: list[set[str]] = []
    monkeypatch.setattr(activations, "id", lambda thing: 7, raising=False)
    for number in (1, 2):
        model, folder = networks.cnn(), tmp_path / str(number)
        model.network.register_forward_pre_hook(lambda *turn, at=folder: seen.append(files(at)))
        monkeypatch.setattr("os.getpid", lambda number=number: number)
        torch.manual_seed(0)
        values(model, networks.images(model, 6), [Read("conv1", "mean")], folder, chunk=3)
        monkeypatch.undo()
        monkeypatch.setattr(activations, "id", lambda thing: 7, raising=False)
    one, other = (names for names in seen if names)
    assert one
    assert not one & other


def test_a_file_is_plain_safetensors_and_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("something was pickled")

    for place, name in ((pickle, "dump"), (pickle, "dumps"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(place, name, refuse)
    for name in ("save", "load"):
        monkeypatch.setattr(torch, name, refuse)
    (found,) = values(normalised(), IMAGES, [Read("conv", "none")], tmp_path)
    values(normalised(), IMAGES, [Read("conv", "none")], tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".safetensors"
    (kept,) = load_file(path).values()
    assert torch.equal(kept.reshape(found.shape), found)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["shape"]) == [6, 4, 6, 6]
    content = path.read_bytes()
    head = int.from_bytes(content[:8], "little")
    assert content[8 + head :] == found.numpy().tobytes()


# ------------------------------------------------------------------------------------------------ blocks


def blocks(name: str, folder: Path) -> Activations:
    """The same features, in memory or in a file."""
    wanted = Read("conv", "none")
    with keeping(folder):
        found = read(normalised(), IMAGES, [wanted])[wanted]
    return Held(found.whole()) if name == "held" else found


@pytest.mark.parametrize("block", [1, 10, 150, 1 << 22])
@pytest.mark.parametrize("name", ["held", "filed"])
def test_blocks_of_rows_and_columns_are_the_whole(
    name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "HELD", 0)
    monkeypatch.setattr(activations, "BLOCK", block)
    found = blocks(name, tmp_path)
    assert isinstance(found, Filed if name == "filed" else Held)
    expected = values(normalised(), IMAGES, [Read("conv", "none")])[0]
    flat = expected.flatten(1)
    assert (len(found), found.width, found.shape) == (6, 144, (6, 4, 6, 6))
    assert torch.equal(found.whole(), expected)
    rows, columns = list(found.rows()), list(found.columns())
    assert torch.equal(torch.cat([part for _, part in rows]), flat)
    assert torch.equal(torch.cat([part for _, part in columns], 1), flat)
    assert all(torch.equal(part, flat[place]) for place, part in rows)
    assert all(torch.equal(part, flat[:, place]) for place, part in columns)
    assert all(part.numel() <= max(block, 144) for _, part in rows)
    assert all(part.numel() <= max(block, 6) for _, part in columns)
    assert torch.equal(found.cut(slice(2, 4), slice(5, 100)), flat[2:4, 5:100])
    assert torch.equal(found.cut(slice(None), slice(143, 144)), flat[:, 143:])


def test_what_is_small_is_read_from_its_file_once(tmp_path: Path) -> None:
    found = blocks("filed", tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    assert isinstance(found, Held)
    assert torch.equal(found.whole(), values(normalised(), IMAGES, [Read("conv", "none")])[0])
