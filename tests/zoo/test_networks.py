"""The embedded networks are what their cards say, and good enough."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from functools import cache

import pytest
import torch
from safetensors import safe_open
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn
from torchvision.models import ResNet, VisionTransformer

from ambench import registry
from ambench.core import InputError

zoo = importlib.import_module("ambench.zoo")
files = importlib.import_module("ambench.zoo.files")
recipes = importlib.import_module("ambench.zoo.train")

TRAINED = ("cnn", "vit", "cnn-texture", "vit-texture")
OF_SERIES = ("series-cnn", "series-cnn-untrained")
OF_PICTURES = tuple(name for name in zoo.NAMES if name not in OF_SERIES)
REQUIRED = {"cnn": 0.96, "vit": 0.93, "cnn-texture": 0.92, "vit-texture": 0.92}
IMAGES = 1024


@cache
def test_part(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    cases = list(registry.load("datasets", f"{name}:test={IMAGES}"))
    fields = ("shape", "texture", "present")
    truth = (torch.cat([getattr(case.truth, field) for case in cases]) for field in fields)
    return torch.cat([case.images for case in cases]), *truth


test_part.__test__ = False  # type: ignore[attr-defined]


@cache
def answers(name: str, dataset: str) -> Tensor:
    network: nn.Module = zoo.network(name)
    with torch.inference_mode():
        return torch.cat([network(chunk) for chunk in test_part(dataset)[0].split(64)])


def card(name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((files.CARDS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def class_accuracy(name: str) -> float:
    _, shape, texture, _ = test_part("shapes")
    label = texture if "texture" in name else shape
    return (answers(name, "shapes")[:, :8].argmax(1) == label).double().mean().item()


@pytest.mark.parametrize("name", TRAINED)
def test_class_accuracy_is_the_required_one_and_the_cards(name: str) -> None:
    accuracy = class_accuracy(name)
    assert accuracy >= REQUIRED[name]
    stated = card(name)["measured"]["class_accuracy"]  # type: ignore[index]
    assert abs(accuracy - stated) < 4 * (stated * (1 - stated) / IMAGES) ** 0.5
    assert stated >= REQUIRED[name]


@pytest.mark.parametrize("name", TRAINED)
def test_mean_balanced_concept_accuracy_is_at_least_95_percent(name: str) -> None:
    present, said = test_part("shapes")[3], answers(name, "shapes")[:, 8:] > 0
    accuracy = [balanced_accuracy_score(present[:, k], said[:, k]) for k in range(4)]
    assert sum(accuracy) / 4 >= 0.95
    stated = card(name)["measured"]["concept_accuracy"]  # type: ignore[index]
    assert abs(sum(accuracy) / 4 - stated) < 0.015


@pytest.mark.parametrize("name", TRAINED)
def test_shape_networks_answer_by_shape_and_texture_networks_by_texture(name: str) -> None:
    _, shape, texture, _ = test_part("cue_conflict")
    answer = answers(name, "cue_conflict")[:, :8].argmax(1)
    by_shape, by_texture = int((answer == shape).sum()), int((answer == texture).sum())
    bias = by_shape / (by_shape + by_texture)
    assert bias < 0.05 if "texture" in name else bias > 0.95
    assert (by_shape + by_texture) / IMAGES > 0.9
    assert abs(bias - card(name)["measured"]["shape_bias"]) < 0.02  # type: ignore[index]


@pytest.mark.parametrize("name", [*TRAINED, "series-cnn"])
def test_the_file_is_fp16_smaller_than_a_megabyte_and_has_the_cards_digest(name: str) -> None:
    path = files.WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size <= 1_000_000
    with safe_open(path, framework="pt") as file:
        types = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 - it is no mapping
    assert types <= {torch.float16, torch.int64}
    assert card(name)["digest"] == zoo.digest(name)


@pytest.mark.parametrize("name", [*TRAINED, "series-cnn"])
def test_the_weights_come_from_the_recipe_as_it_is(name: str) -> None:
    assert card(name)["recipe"] == asdict(recipes.RECIPES[name])
    network = zoo.network(name)
    assert card(name)["parameters"] == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", ["cnn-untrained", "vit-untrained"])
def test_untrained_networks_are_at_chance_but_not_constant(name: str) -> None:
    assert abs(class_accuracy(name) - 1 / 8) < 0.06
    assert answers(name, "shapes").std(0).min() > 0


@pytest.mark.parametrize("name", OF_PICTURES)
def test_networks_are_in_eval_mode_with_twelve_outputs_and_a_torchvision_family(name: str) -> None:
    network = zoo.network(name)
    assert isinstance(network, ResNet if name.startswith("cnn") else VisionTransformer)
    assert not any(module.training for module in network.modules())
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 12)
    assert sorted(zoo.units(name).values()) == list(range(12))


def test_the_network_of_series_names_waveforms_and_events_as_well_as_its_card_says() -> None:
    cases = list(registry.load("datasets", f"series:test={IMAGES}"))
    values = torch.cat([case.images for case in cases])
    present = torch.cat([case.truth.present for case in cases])
    waveform = torch.cat([case.truth.shape for case in cases])
    with torch.inference_mode():
        logits = torch.cat([zoo.network("series-cnn")(chunk) for chunk in values.split(64)])
    named = (logits[:, :4].argmax(1) == waveform).double().mean().item()
    heard = [balanced_accuracy_score(present[:, k], logits[:, 4 + k] > 0) for k in range(3)]
    stated = card("series-cnn")["measured"]
    assert named >= 0.97
    assert min(heard) >= 0.97
    assert abs(named - stated["class_accuracy"]) < 4 * (0.03 * 0.97 / IMAGES) ** 0.5  # type: ignore[index]
    assert abs(sum(heard) / 3 - stated["concept_accuracy"]) < 0.01  # type: ignore[index]


def test_an_untrained_network_of_series_is_at_chance_but_not_constant() -> None:
    cases = list(registry.load("datasets", f"series:test={IMAGES}"))
    with torch.inference_mode():
        logits = zoo.network("series-cnn-untrained")(torch.cat([case.images for case in cases]))
    waveform = torch.cat([case.truth.shape for case in cases])
    assert abs((logits[:, :4].argmax(1) == waveform).double().mean().item() - 1 / 4) < 0.1
    assert logits.std(0).min() > 0


@pytest.mark.parametrize("name", OF_SERIES)
def test_networks_of_series_take_any_length_and_keep_a_cell_for_four_samples(name: str) -> None:
    network = zoo.network(name)
    assert not any(module.training for module in network.modules())
    assert network(torch.rand(2, 1, 128)).shape == (2, 7)
    assert network(torch.rand(2, 1, 150)).shape == (2, 7)
    stages = nn.Sequential(network.layer1, network.layer2, network.layer3, network.layer4)
    assert stages(torch.rand(2, 1, 128)).shape == (2, 64, 32)
    assert tuple(zoo.units(name)) == ("sine", "triangle", "square", "sawtooth", "spike", "burst", "plateau")


def test_all_networks_differ_and_digests_repeat() -> None:
    assert len({zoo.digest(name) for name in zoo.NAMES}) == len(zoo.NAMES)
    assert zoo.digest("vit-untrained") == zoo.digest("vit-untrained")


def test_the_last_stage_of_the_cnn_is_8_by_8_cells_of_96_channels() -> None:
    network = zoo.network("cnn")
    seen = []
    handle = network.layer4.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    network(torch.rand(1, 3, 64, 64))
    handle.remove()
    assert seen == [(1, 96, 8, 8)]


def test_loading_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    zoo.network("cnn-untrained")
    zoo.network("vit")
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    for ask in (zoo.network, zoo.units, zoo.digest):
        with pytest.raises(InputError, match="'cnn'"):
            ask("cnnn")
