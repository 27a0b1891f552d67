"""Networks as observers of stimuli: their answers beside people's, and units for the sixteen categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ambench import decisions, models, naming, workbench
from ambench.categories import sixteen
from ambench.core import InputError, Model
from ambench.observer import network_trials
from ambench.plan import Cell

FACTORY = """
import torch
from torch import nn

class Reds(nn.Module):
    '''The red of the first pixel, in 255ths, is the ImageNet class that it names; the green one is half as likely.'''

    input_shape = (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images):
        red, green = ((images[:, channel, 0, 0] * 255).round().long() for channel in (0, 1))
        logits = nn.functional.one_hot(red, 1000) + 0.5 * nn.functional.one_hot(green, 1000)
        return 20 * self.weight * logits.float()

def factory():
    return Reds()
"""


@pytest.fixture
def stimuli(tmp_path: Path) -> Path:
    (tmp_path / "network.py").write_text(FACTORY)
    # ImageNet's 11 and 12 are finches, 200 and 250 dogs
    reds = {"bird1-dog1": 11, "bird2-dog1": 200, "dog3-bird1": 250, "dog4-bird2": 0, "bird5-bird5": 11}
    for name, red in reds.items():
        Image.new("RGB", (8, 8), (red, 12, 0)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_networks_answers_are_trials_like_peoples(stimuli: Path) -> None:
    trials = network_trials(f"python:{stimuli}/network.py:factory", stimuli)
    said = dict(zip(trials["exemplar"] + trials["texture"], trials["response"], strict=True))
    assert said == {
        "bird1dog": "bird",
        "bird2dog": "dog",
        "dog3bird": "dog",
        "dog4bird": "bird",  # class 0 is no member of any category, so the green pixel decides
        "bird5bird": "bird",
    }
    (row,) = decisions.bias_of(trials).to_dict("records")
    assert [row[key] for key in ("group", "trials", "conflicts", "shape", "texture")] == ["networks", 5, 4, 2, 2]
    assert row["accuracy"] == 1.0


def test_an_embedded_network_answers_with_its_own_classes(tmp_path: Path) -> None:
    names = models.resolve("cnn").classes
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{names[number]}{number}-{names[number + 1]}1.png")
    trials = network_trials("cnn", tmp_path)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    expected = models.resolve("cnn").network(images)[:, :8].argmax(1)
    said = dict(zip(trials["exemplar"], trials["response"], strict=True))
    assert said == {f"{names[n]}{n}": names[k] for n, k in enumerate(expected.tolist())}


def test_batches_change_no_answer(stimuli: Path) -> None:
    name = f"python:{stimuli}/network.py:factory"
    assert network_trials(name, stimuli, batch_size=2).equals(network_trials(name, stimuli))


def test_stimuli_of_other_categories_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "tree1-house2.png")
    with pytest.raises(InputError, match="has the shape 'tree', no category"):
        network_trials("cnn-untrained", tmp_path)


# ------------------------------------------------------------------------------------------------ categories as units


class _Passing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images


def imagenet() -> Model:
    names = tuple(f"class {i}" for i in range(1000))
    return Model("wide", "w", _Passing(), {n: i for i, n in enumerate(names)}, {}, "", (1000,), names)


def test_category_units_are_in_the_order_of_the_mean_probabilities() -> None:
    model = models.with_categories(imagenet(), list(sixteen()))
    logits = 3 * torch.randn(50, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer = model.network(logits)
    assert answer.shape == (50, 1016)
    assert torch.equal(answer[:, :1000], logits)
    found = answer[:, [model.units[name] for name in sixteen()]]
    means = np.stack([logits.softmax(1).numpy()[:, list(members)].mean(1) for members in sixteen().values()], 1)
    shift = found.numpy() - np.log(means)
    np.testing.assert_allclose(shift, shift[:, :1].repeat(16, 1), atol=1e-10)  # one number an image
    assert (found.argmax(1).numpy() == means.argmax(1)).all()


def test_a_cell_of_stimuli_gets_category_units_and_one_with_examples_a_probe(stimuli: Path) -> None:
    name = f"python:{stimuli}/network.py:factory"
    bench = workbench.load(Cell("quality", name, "prediction", f"cue_conflict_folder:{stimuli}", ("shape_bias",)))
    assert bench.model.units["cat"] == 1000 + bench.dataset.names.index("cat")
    assert bench.model.weights.endswith(")")
    assert "+categories(airplane" in bench.model.weights


@pytest.mark.parametrize("how", ["mean", "sum", "max"])
def test_aggregates_equal_numpys(how: naming.Aggregate) -> None:
    probabilities = torch.rand(5, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    groups = list(sixteen().values())
    expected = np.stack([getattr(probabilities.numpy()[:, list(group)], how)(1) for group in groups], 1)
    np.testing.assert_allclose(naming.aggregate(probabilities, groups, how).numpy(), expected, atol=1e-15)
