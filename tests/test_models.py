"""A name becomes the right model, or a sentence that says what was wrong."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.transforms.functional import center_crop, to_tensor

import networks
from ambench import features, zoo
from ambench.core import Concepts, InputError, Model, Randomness, Skipped
from ambench.models import resolve, with_probe_units, wrap

REAL = Path(os.environ.get("AMBENCH_REAL", "nowhere"))
HERE = Path(__file__).parent
SMALL = "squeezenet1_1"
real = pytest.mark.skipif(not REAL.is_dir(), reason="AMBENCH_REAL names no folder of real networks")


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return networks.seeded(lambda: get_model(SMALL), seed=3)


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", zoo.NAMES)
def test_embedded_names_give_the_embedded_networks(name):
    model = resolve(name)
    x = networks.images(model, 2)
    torch.testing.assert_close(features.logits(model, x), zoo.network(name)(x), rtol=1e-6, atol=1e-5)
    names = zoo.units(name)
    assert model.units == names | {str(unit): unit for unit in names.values()}  # an output's number is a name too
    of_series = "series" in name
    assert len(model.classes) == (4 if of_series else 8)
    assert features.read(model, x)[model.layer].shape == ((2, 64, 32) if of_series else (2, 96, 8, 8))
    assert features.gradients(model, x, torch.tensor([[0], [5]])).gradients[model.layer].any()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cnnn", "there is no model 'cnnn'; did you mean 'cnn'?"),
        ("torchvision:resnet81", "torchvision has no classifier 'resnet81'; did you mean 'resnet1"),
        ("torchvision:resnet18@IMAGENET1K_V7", "has no weights 'IMAGENET1K_V7'; did you mean 'IMAGENET1K_V1'"),
        ("torchvision:resnet18@nowhere.safetensors", "there is no weights file 'nowhere.safetensors'"),
        ("python:nowhere_at_all:factory", "'nowhere_at_all' cannot be imported"),
        ("python:ambench.toy:networc", "has no function 'networc'; did you mean 'network'?"),
        ("python:math:floor", "factory 'python:math:floor' failed: TypeError"),
        ("something:else", "there is no model 'something:else'"),
        ("torchvision:", "there is no model 'torchvision:'"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest_valid_one(name, sentence):
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")) as refused:
        resolve(name)
    assert "\n" not in str(refused.value)


def test_timm_missing_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"'timm:resnet18' needs timm, which is not installed; .*ambench\[timm\]"):
        resolve("timm:resnet18")


@pytest.mark.parametrize(
    ("name", "layer", "grid"),
    [
        ("vit_tiny_patch16_224", "blocks.11.norm1", (192, 14, 14)),
        ("vit_little_patch16_reg4_gap_256", "blocks.13.norm2", (320, 16, 16)),
        ("swin_tiny_patch4_window7_224", "norm", (768, 7, 7)),
        ("resnet18", "layer4", (512, 7, 7)),
    ],
)
def test_timm_networks_have_their_layers(name, layer, grid):
    pytest.importorskip("timm", reason="timm is an extra")
    model = resolve(f"timm:{name}")
    assert model.layer == layer
    assert features.read(model, networks.images(model, 1))[layer].shape == (1, *grid)


def test_weights_that_cannot_be_fetched_are_said_so(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "nowhere-at-all")
    monkeypatch.setattr("os.makedirs", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"could not be fetched .*no route to host.*; name a file instead"):
        resolve(f"torchvision:{SMALL}@DEFAULT")


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta"])
def test_devices_that_are_not_there_are_refused(device):
    with pytest.raises(InputError, match=f"there is no device '{device}' on this machine; "):
        resolve("cnn-untrained", device)


def test_a_python_file_may_hold_the_factory(tmp_path):
    place = tmp_path / "mine.py"
    place.write_text(
        "from torch import nn\n"
        "def bare():\n"
        "    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))\n"
        "    net.input_shape = (1, 9, 9)\n"
        "    return net\n"
        "def wrong():\n"
        "    return 3\n"
    )
    model = resolve(f"python:{place}:bare")
    assert model.name == f"python:{place}:bare"
    assert dict(model.units) == {"0": 0, "1": 1}
    assert features.logits(model, torch.zeros(2, 1, 9, 9)).shape == (2, 2)
    with pytest.raises(InputError, match=r"returns a int; a torch\.nn\.Module or an ambench Model is wanted"):
        resolve(f"python:{place}:wrong")


# ------------------------------------------------------------------------------------------------ torchvision


def test_torchvision_weights_are_read_from_safetensors_and_pth_alike(tmp_path, small):
    save_file(small.state_dict(), tmp_path / "w.safetensors")
    torch.save(small.state_dict(), tmp_path / "w.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in small.state_dict().items()}}, tmp_path / "w.pt")
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    transform = get_model_weights(SMALL).DEFAULT.transforms()
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (transform.mean, transform.std))
    with torch.no_grad():
        expected = small((x - mean) / deviation)
    for file in ("w.safetensors", "w.pth", "w.pt"):
        model = resolve(f"torchvision:{SMALL}@{tmp_path / file}")
        torch.testing.assert_close(features.logits(model, x), expected, rtol=0, atol=1e-5)
        assert len(model.weights) == 12  # a digest
        assert not model.network.training


def test_class_names_are_torchvisions_and_numbers_are_names_too():
    model = resolve(f"torchvision:{SMALL}")
    names = get_model_weights(SMALL).DEFAULT.meta["categories"]
    assert model.weights == "random"
    assert model.classes == tuple(names)
    assert model.class_units == tuple(range(1000))
    assert model.units["zebra"] == model.units["340"] == 340


def test_random_weights_are_the_same_every_time_and_leave_the_random_state():
    before = torch.get_rng_state()
    first, second = (resolve(f"torchvision:{SMALL}").network.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"w": print}))


def write_module(path: Path) -> None:
    torch.save(nn.Linear(2, 2), path)


def write_half(path: Path) -> None:
    torch.save({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:700])


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("file", "write", "sentence"),
    [
        ("w.pth", write_pickle, "weights_only refused it"),
        ("w.pt", write_module, "weights_only refused it"),
        ("w.pth", write_half, "is no weights file, or only part of one"),
        ("w.pth", lambda path: path.write_bytes(b"not weights"), "is no weights file, or only part of one"),
        ("w.pth", lambda path: path.write_bytes(b""), "is no weights file, or only part of one"),
        ("w.safetensors", lambda path: path.write_bytes(b"\x10" * 40), "is no safetensors file, or only part of one"),
        ("w.pth", lambda path: torch.save([1, 2], path), "holds no state dict"),
        ("w.bin", lambda path: path.write_bytes(b"x"), "is no weights file; a .safetensors, .pth or .pt"),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path, file, write, sentence):
    write(tmp_path / file)
    with pytest.raises(InputError, match=sentence) as refused:
        resolve(f"torchvision:{SMALL}@{tmp_path / file}")
    assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="weights_only refused it"):
        resolve(f"torchvision:{SMALL}@{tmp_path / 'w.pth'}")
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_architecture_are_refused_with_the_first_wrong_keys(tmp_path, small):
    save_file(networks.transformer().state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(
        InputError, match=r"another architecture: 'features.0.weight' is missing, 'class_token' is unexp"
    ):
        resolve(f"torchvision:{SMALL}@{tmp_path / 'other.safetensors'}")
    state = {**small.state_dict(), "classifier.1.weight": torch.zeros(7, 512, 1, 1)}
    save_file(state, tmp_path / "narrow.safetensors")
    with pytest.raises(InputError, match=r"'classifier.1.weight' is \[7, 512, 1, 1\] instead of \[1000, 512, 1, 1\]"):
        resolve(f"torchvision:{SMALL}@{tmp_path / 'narrow.safetensors'}")


# ------------------------------------------------------------------------------------------------ your own network


def test_two_outputs_of_one_name_are_told_apart():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model = wrap(network, input_shape=(1, 2, 2), names=("crane", "gate", "crane"))
    assert model.classes == ("crane", "gate", "crane (2)")
    assert model.class_units == (0, 1, 2)


def test_digit_names_mean_what_they_say():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model = wrap(network, input_shape=(1, 2, 2), names=("2", "0", "1"))
    assert dict(model.units) == {"2": 0, "0": 1, "1": 2}


def test_wrong_descriptions_of_a_network_are_refused():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(InputError, match="2 names were given for 3 output units"):
        wrap(network, input_shape=(1, 4, 4), names=("a", "b"))
    with pytest.raises(InputError, match=r"does not take inputs \[B, 3, 4, 4\]"):
        wrap(network, input_shape=(3, 4, 4))
    with pytest.raises(InputError, match="has no layer 'conv'"):
        wrap(network, input_shape=(1, 4, 4), layer="conv")
    with pytest.raises(InputError, match=r"returns \[2, 3, 2, 2\] for two images, but logits"):
        wrap(network[0], input_shape=(1, 4, 4))


# ------------------------------------------------------------------------------------------------ probe units


def examples(model: Model, count: int = 40) -> Concepts:
    """Images some of which are brighter on the left (spot) or redder (tint)."""
    x = networks.images(model, count, seed=5)
    present = torch.stack([torch.arange(count) % 2 == 0, torch.arange(count) % 3 == 0], 1)
    x[present[:, 0], :, :, : x.shape[-1] // 2] *= 0.2
    x[present[:, 1], 0] *= 0.5
    return Concepts(("spot", "tint"), x, present)


@pytest.mark.parametrize(
    "name", ["module", "functional", "in-place", "transformer", "swin", "registered", "1 x 1 grid"]
)
def test_probe_units_equal_a_scikit_learn_pipeline(name):
    model = networks.every()[name]
    concepts = examples(model)
    grafted = with_probe_units(model, concepts, ["tint", "spot"], Randomness((0, "probe")))
    with torch.no_grad():
        pooled = features.read(model, concepts.images)[model.layer].mean((2, 3)).double().numpy()
    x = networks.images(model, 6)
    asked = features.read(model, x)[model.layer].mean((2, 3)).double().numpy()
    answer = features.logits(grafted, x)
    torch.testing.assert_close(answer[:, :5], features.logits(model, x), rtol=0, atol=1e-6)
    for column, concept in enumerate(["tint", "spot"]):
        centre, scale = pooled.mean(0), np.std(pooled - pooled.mean(0), ddof=1)
        standardise = FunctionTransformer(lambda z, centre=centre, scale=scale: (z - centre) / scale)
        probe = make_pipeline(standardise, LogisticRegression(C=1, class_weight="balanced", max_iter=1000))
        probe.fit(pooled, concepts.present[:, concepts.names.index(concept)].numpy())
        expected = torch.from_numpy(probe.decision_function(asked)).float()
        assert grafted.units[concept] == 5 + column
        torch.testing.assert_close(answer[:, 5 + column], expected, rtol=1e-4, atol=1e-4)


def test_probe_units_can_be_explained_like_any_other():
    model = networks.cnn("in-place")
    grafted = with_probe_units(model, examples(model), ["spot"], Randomness((0,)))
    x = networks.images(model)
    units = torch.tensor([[2, 5]]).expand(4, -1)
    taps = features.gradients(grafted, x, units)
    cells = taps.grids[model.layer][0, 0].numel()
    weight = grafted.network.weight[0]
    expected = (weight / cells)[None, :, None, None].expand_as(taps.gradients[model.layer][:, 1])
    torch.testing.assert_close(taps.gradients[model.layer][:, 1], expected, rtol=1e-6, atol=1e-9)
    both = features.input_gradients(grafted, x, units)[1]
    assert both[:, 1].any()
    alone = features.input_gradients(model, x, units[:, :1])[1]
    torch.testing.assert_close(both[:, :1], alone, rtol=1e-5, atol=1e-7)


def test_a_grafted_network_runs_once_and_keeps_no_hook():
    model = networks.cnn()
    grafted = with_probe_units(model, examples(model), ["spot"], Randomness((0,)))
    runs: list[int] = []
    handle = model.network.register_forward_hook(lambda *_: runs.append(1))
    x = networks.images(model)
    grafted.network(x)
    assert len(runs) == 1
    with pytest.raises(RuntimeError):
        grafted.network(x[:, :2])
    handle.remove()
    assert not any(module._forward_hooks for module in grafted.network.modules())
    assert "probes(spot)" in grafted.weights
    assert grafted.weights.startswith(model.weights)
    assert not any(parameter.grad is not None for parameter in grafted.network.parameters())


def test_concepts_without_examples_are_skipped_with_the_reason():
    model = networks.cnn()
    known = examples(model)
    reason = "concept 'wing' has no output unit in model 'tiny' and no examples to fit a probe"
    with pytest.raises(Skipped, match=reason):
        with_probe_units(model, known, ["wing"], Randomness((0,)))
    nothing = Concepts(("wing",), known.images[:0], known.present[:0, :1])
    with pytest.raises(Skipped, match=reason):
        with_probe_units(model, nothing, ["wing"], Randomness((0,)))
    few = Concepts(("wing",), known.images[:8], torch.arange(8)[:, None] < 2)
    with pytest.raises(Skipped, match="2 examples with and 6 without"):
        with_probe_units(model, few, ["wing"], Randomness((0,)))


# ------------------------------------------------------------------------------------------------ trained by others


@pytest.mark.real
@real
def test_squeezenet_answers_as_published():
    model = resolve(f"torchvision:squeezenet1_0@{REAL / 'squeezenet1_0.safetensors'}")
    files = sorted((REAL / "imagenet").glob("*.jpg"))
    photographs = torch.stack([center_crop(to_tensor(Image.open(file).convert("RGB")), [224, 224]) for file in files])
    classes = torch.tensor([int(file.name[:4]) for file in files])
    answer = features.logits(model, photographs, chunk=20)
    zebra = answer[classes == 340][0]
    assert zebra[model.units["zebra"]] == pytest.approx(28.591, abs=2e-3)
    assert zebra.topk(2).values[1] == pytest.approx(15.798, abs=2e-3)
    assert int((answer.argmax(1) == classes).sum()) >= 36
    assert features.read(model, photographs[:1], ["features.12"])["features.12"].shape == (1, 512, 13, 13)


@pytest.mark.real
@real
def test_mnist_transformer_answers_as_published():
    model = resolve(f"python:{HERE / 'real' / 'mnist_vit.py'}:factory")
    with np.load(REAL / "mnist_500.npz") as file:
        x, y = torch.from_numpy(file["x"])[:, None].float() / 255, torch.from_numpy(file["y"])
    published = [-30.2014, -1.1634, -3.7255, -3.3122, -14.8541, -24.3139, -73.8416, 20.1888, -23.5850, 1.2591]
    answer = features.logits(model, x)
    torch.testing.assert_close(answer[0], torch.tensor(published), rtol=0, atol=1e-3)
    assert abs(int((answer.argmax(1) == y).sum()) - 492) <= 1
    assert model.units["7"] == 7
    grid = features.read(model, x[:2])[model.layer]
    assert grid.shape == (2, 64, 4, 4)
    assert features.gradients(model, x[:2], y[:2, None]).gradients[model.layer].any()
