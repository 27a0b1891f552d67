"""Dataset examples against a search through every window of every picture, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ambench
import networks
from ambench import features, registry, toy
from ambench.core import Concepts, InputError, Model, Portraits, Randomness, Skipped


def make(spec: str, model: Model, units: list[int], concepts: Concepts) -> Portraits:
    method = registry.load("methods", f"dataset_examples:{spec}")
    return method.synthesise(model, torch.tensor(units), concepts, Randomness((0,)))


def pictures(model: Model, count: int = 9) -> Concepts:
    images = networks.images(model, count, seed=5)
    present = torch.arange(count)[:, None] % torch.tensor([2, 3, 4]) == 0
    return Concepts(("twos", "threes", "fours"), images, present)


@pytest.mark.parametrize("name", ["module", "one channel", "48 x 80", "transformer", "swin"])
def test_the_best_windows_are_those_of_a_search_one_by_one(name: str) -> None:
    model = networks.every()[name]
    concepts = pictures(model)
    found = make("examples=3,crop=0.5,chunk=4", model, [3, 0], concepts)
    height, width = model.input_shape[1:]
    for place, unit in enumerate([3, 0]):
        ranked = []
        for number, image in enumerate(concepts.images):
            seen = [(logit(model, image, unit), (0, height, 0, width))]
            for down in (0, height // 4, height // 2):
                for right in (0, width // 4, width // 2):
                    window = (down, down + height // 2, right, right + width // 2)
                    cut = image[:, down : down + height // 2, right : right + width // 2]
                    enlarged = F.interpolate(cut[None], (height, width), mode="bilinear", align_corners=False)[0]
                    seen.append((logit(model, enlarged, unit), window))
            ranked.append((*max(seen), number))
        ranked = sorted(ranked, reverse=True)[:3]
        rows = slice(3 * place, 3 * place + 3)
        assert found.details["example"][rows].tolist() == [number for *_, number in ranked]
        assert found.details["window"][rows].flatten(1).tolist() == [list(window) for _, window, _ in ranked]
        assert found.history[rows, 0].tolist() == pytest.approx([value for value, *_ in ranked], abs=1e-5)
    again = features.logits(model, found.images).gather(1, found.units[:, None])
    torch.testing.assert_close(again, found.history, atol=1e-5, rtol=1e-5)


def logit(model: Model, image: Tensor, unit: int) -> float:
    return float(features.logits(model, image[None])[0, unit])


def test_a_small_bright_thing_is_cut_out_and_whole_pictures_are_left_whole() -> None:
    """The unit is the mean of a picture: one bright quarter beats evenly dim pixels only when it is cut out."""
    model = Model("mean", "none", Mean(), {}, {}, "", (1, 8, 8))
    images = torch.full((2, 1, 8, 8), 0.4)
    images[1] = 0
    images[1, 0, 2:6, 4:] = 0.9
    concepts = Concepts((), images, torch.zeros(2, 0, dtype=torch.bool))
    cut, whole = make("crop=0.5", model, [0], concepts), make("crop=1", model, [0], concepts)
    assert (cut.details["example"].tolist(), cut.details["window"].tolist()) == ([1], [[[2, 6], [4, 8]]])
    torch.testing.assert_close(cut.images, torch.full((1, 1, 8, 8), 0.9))
    assert whole.details["example"].tolist() == [0]
    assert torch.equal(whole.images, images[:1])


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))[:, None]


def test_series_are_cut_along_their_length() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 1, bias=False))
    network[1].weight.data.fill_(1.0)
    model = Model("series", "none", network, {}, {}, "", (1, 8))
    images = torch.tensor([[[0.0, 0, 1, 1, 1, 1, 0, 0]]])
    found = make("crop=0.5", model, [0], Concepts((), images, torch.zeros(1, 0, dtype=torch.bool)))
    assert found.details["window"].tolist() == [[[2, 6]]]
    assert found.history.item() == 8


def test_a_hidden_channel_has_examples_too_and_says_what_it_seeks() -> None:
    model = networks.cnn()
    concepts = pictures(model)
    found = make("objective=channel,layer=conv2,crop=1", model, [0, 1, 2], concepts)
    means = features.read(model, concepts.images, ["conv2"])["conv2"].mean((2, 3))  # [N, 7]
    assert found.seeks is not None
    channels = found.seeks.details["channel"]
    assert found.details["example"].tolist() == means[:, channels].argmax(0).tolist()


def test_a_unit_that_answers_everything_alike_is_dead() -> None:
    model = networks.cnn()
    model.network.fc.weight.data[1] = 0
    found = make("examples=2", model, [1, 2], pictures(model))
    assert found.alive.tolist() == [False, False, True, True]


def test_a_broken_picture_is_never_chosen() -> None:
    model = networks.cnn()
    concepts = pictures(model)
    best = int(make("crop=1", model, [2], concepts).details["example"])
    images = concepts.images.clone()
    images[best, 0, 3, 3] = torch.nan
    found = make("crop=1,examples=8", model, [2], replace(concepts, images=images))
    assert best not in found.details["example"].tolist()
    assert found.alive[0]


def test_the_best_whole_picture_is_the_maximum_of_natural_ones_and_cut_ones_go_beyond() -> None:
    names = ("python:ambench.toy:network", ["dataset_examples", "dataset_examples:crop=1"])
    frame = ambench.evaluate(*names, "python:ambench.toy:Squares", ["activation_gain", "iou"], jobs=0).to_frame()
    assert set(frame.status) == {"ok"}
    values = frame[frame.concept == "all"].set_index(["metric", "method"]).value
    assert values["activation_gain", "dataset_examples:crop=1.0"] == pytest.approx(1)
    assert values["activation_gain", "dataset_examples"] > 1.5
    assert values["iou", "dataset_examples"] > 0.2


def test_without_enough_examples_it_is_skipped() -> None:
    model, concepts = toy.network(), toy.Squares(count=4).concepts("fit")
    with pytest.raises(Skipped, match="5 pictures were asked of each unit, and there are 4"):
        make("examples=5", model, [0], concepts)


@pytest.mark.parametrize("spec", ["examples=0", "crop=0", "crop=1.5", "chunk=0"])
def test_settings_out_of_bounds_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match="dataset_examples"):
        registry.load("methods", f"dataset_examples:{spec}")


def test_a_unit_that_is_not_there_is_refused() -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match="no output unit 5"):
        make("crop=1", model, [5], pictures(model))
