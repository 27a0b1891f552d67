"""Randomised networks: what is drawn anew and when, what maps that ignore the model score, ranks and entropies by scipy."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr
from torch import Tensor, nn
from torchvision.models import resnet18

import networks
import perturbed
from ambench import models, registry
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness, Trial, Values
from ambench.models import wrap

module = importlib.import_module("ambench.metrics.faithfulness._randomised")


GREY = Concepts((), torch.full((1, 3, 1, 1), 0.5), torch.zeros(1, 0, dtype=torch.bool))


def explained(spec: str, known: Model, count: int = 6, columns: int = 2, **more: Any) -> Trial[Any]:
    """The trial of a method on a network, which explains other networks too."""
    method = registry.load("methods", spec)

    def under(other: Model) -> Any:
        return lambda images, case: method.attribute(other, images, case.targets, GREY, Randomness((0,), case.ids))

    asked = perturbed.case(networks.images(known, count), networks.targets(count, columns) % 3)
    return perturbed.trial(known, asked, under(known), **({"under": under} | more))


def score(spec: str, given: Trial[Any]) -> Values:
    said = registry.load("metrics", spec).score(given)
    assert said is not None
    return said


def weights(known: Model) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in known.network.state_dict().items()}


# ------------------------------------------------------------------------------------------------ what is drawn


def test_stages_go_from_the_input_upwards_and_end_with_all_weights() -> None:
    known = wrap(networks.seeded(lambda: resnet18(num_classes=5)), "resnet", input_shape=(3, 32, 32))
    every = [name for name, part in known.network.named_modules() if any(True for _ in part.parameters(recurse=False))]
    found = module.stages(known, networks.images(known), 1000)
    order = found[-1]
    assert len(found) == len(every) == 41
    assert sorted(order) == sorted(every)
    assert order[0] == "conv1"
    assert order[-1] == "fc"
    assert order.index("layer1.1.bn2") < order.index("layer2.0.conv1") < order.index("layer4.0.conv1")
    coarse = module.stages(known, networks.images(known), 4)
    assert [len(names) for names in coarse] == [11, 21, 31, 41]
    assert all(names == order[: len(names)] for names in coarse)


def test_a_containers_own_weights_come_with_what_runs_first_inside() -> None:
    known = wrap(networks.transformer(), "vit", input_shape=(3, 16, 16))
    order = module.stages(known, networks.images(known), 1000)[-1]
    assert order[:3] == ("", "conv_proj", "encoder")  # class token, patches, positions
    attention = order.index("encoder.layers.encoder_layer_0.self_attention")
    assert order[attention + 1] == "encoder.layers.encoder_layer_0.self_attention.out_proj"  # runs inside, unseen
    assert order[-1] == "heads.head"


@pytest.mark.parametrize("key", ["module", "in-place", "transformer", "registered", "swin"])
def test_only_the_named_modules_change_and_the_model_stays_as_it_is(key: str) -> None:
    known = networks.every()[key]
    with torch.no_grad():
        for number, tensor in enumerate(known.network.parameters()):  # what was never learnt may begin as it was
            tensor.add_(0.1 * perturbed.noise(*tensor.shape, seed=number))
    before, state = weights(known), torch.get_rng_state()
    for names in module.stages(known, networks.images(known), 3):
        other = module.randomised(known, names, 0)
        after = weights(other)
        owners = {name: name.rpartition(".")[0] for name in before}
        moved = {owners[name] for name in before if not torch.equal(before[name], after[name])}
        assert moved == set(names)
        assert all(layer.module in list(other.network.modules()) for layer in other.layers.values())
        assert not any(layer.module in list(known.network.modules()) for layer in other.layers.values())
        assert not other.network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in known.network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_modules_draw_depends_on_its_name_and_number_alone() -> None:
    known = networks.cnn()
    every = module.stages(known, networks.images(known), 1)[0]
    whole, again, other = (weights(module.randomised(known, every, draw)) for draw in (0, 0, 1))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    part = weights(module.randomised(known, every[:1], 0))
    assert torch.equal(part["conv1.weight"], whole["conv1.weight"])
    assert not torch.equal(other["conv1.weight"], whole["conv1.weight"])
    tags = {module.randomised(known, names, draw).weights for names in (every, every[:1]) for draw in (0, 1)}
    assert len(tags) == 4


def test_a_module_without_a_beginning_of_its_own_keeps_mean_and_deviation() -> None:
    known = perturbed.model(perturbed.Additive(5 + 2 * perturbed.noise(3, 3, 30, 30)), (3, 30, 30))
    drawn = module.randomised(known, ("",), 0).network.weights
    assert drawn.mean().item() == pytest.approx(5, abs=0.1)
    assert drawn.std().item() == pytest.approx(2, abs=0.1)
    assert np.corrcoef(drawn.detach().flatten(), known.network.weights.detach().flatten())[0, 1] < 0.1


def test_a_network_without_weights_is_refused() -> None:
    known = perturbed.model(nn.Flatten(), (3, 1, 1))
    with pytest.raises(InputError, match="'known' has no weights"):
        module.stages(known, torch.rand(1, 3, 1, 1), 4)


# ------------------------------------------------------------------------------------------------ the two numbers


def test_similarity_is_spearmans_of_the_signed_maps() -> None:
    one = perturbed.noise(3, 2, 7, 5).round(decimals=1)
    two = (one + perturbed.noise(3, 2, 7, 5, seed=1)).round(decimals=1)
    found = module.similarity(one, two)
    for row in range(3):
        for column in range(2):
            expected = spearmanr(one[row, column].flatten(), two[row, column].flatten()).statistic
            assert found[row, column].item() == pytest.approx(expected, abs=1e-9)
    assert module.similarity(one, -one).flatten().tolist() == pytest.approx([-1] * 6, abs=1e-9)
    assert (module.similarity(one, one.clone()) == 1).all()


def test_complexity_is_the_entropy_of_numpys_histogram() -> None:
    maps = torch.cat([perturbed.noise(20, 2, 9, 11), perturbed.noise(20, 2, 9, 11, seed=1).relu()]).double()
    found = module.complexity(maps)
    for row in range(40):
        for column in range(2):
            expected = entropy(np.histogram(maps[row, column].numpy(), bins=100)[0])
            assert found[row, column].item() == pytest.approx(expected, abs=1e-9)
    assert module.complexity(torch.arange(100.0).view(1, 1, 10, 10)).item() == pytest.approx(np.log(100), abs=1e-12)
    assert module.complexity(torch.full((1, 1, 5, 5), 0.3)).item() == 0


@pytest.mark.parametrize("method", ["edges", "input_magnitude", "centre_gaussian", "random_map:grid=pixel"])
def test_maps_that_ignore_the_model_stay_what_they_are(method: str) -> None:
    given = explained(method, networks.cnn())
    similar, rise = score("randomisation", given), score("complexity_rise", given)
    assert (similar.values == 1).all()
    assert (rise.values == 0).all()
    assert similar.defined.all()
    assert rise.defined.all()


def test_maps_that_read_the_model_do_not() -> None:
    model = models.resolve("cnn")
    given = explained("saliency:mode=signed", model, count=4)
    assert score("randomisation", given).values.abs().max() < 0.2
    assert (score("complexity_rise", given).values != 0).all()


@pytest.mark.parametrize("key", ["module", "one channel", "48 x 80", "transformer"])
def test_the_values_are_those_of_a_loop(key: str) -> None:
    known = networks.every()[key]
    given = explained("saliency:mode=signed", known)
    alike, rise = score("randomisation:stages=3,draws=2", given), score("complexity_rise:draws=2", given)
    method, asked = registry.load("methods", "saliency:mode=signed"), given.case
    stages = module.stages(known, asked.images, 3)

    def maps(names: tuple[str, ...], draw: int, row: int, column: int) -> np.ndarray:
        other = module.randomised(known, names, draw)
        found = method.attribute(other, asked.images[[row]], asked.targets[[row]], None, Randomness((0,)))
        return found.values[0, column].numpy()

    for row, column in ((0, 1), (5, 0)):
        before = given.explanation.values[row, column].numpy()
        terms = [
            spearmanr(before.ravel(), maps(names, draw, row, column).ravel()).statistic
            for draw in range(2)
            for names in stages
        ]
        assert alike.values[row, column].item() == pytest.approx(np.mean(terms), abs=1e-4)
        bits = [entropy(np.histogram(maps(stages[-1], draw, row, column), bins=100)[0]) for draw in range(2)]
        start = entropy(np.histogram(before, bins=100)[0])
        assert rise.values[row, column].item() == pytest.approx((np.mean(bits) - start) / start, abs=2e-2)


def test_a_flat_map_never_gains() -> None:
    given = explained("saliency", networks.cnn())
    flat = replace(given, explanation=Heatmaps(given.explanation.scores, torch.zeros_like(given.explanation.values)))
    similar, rise = score("randomisation", flat), score("complexity_rise", flat)
    assert (similar.values == 1).all()
    assert (rise.values == 0).all()
    assert similar.flat.all()
    assert rise.flat.all()


def test_the_last_stage_is_explained_once_for_both_metrics() -> None:
    calls: list[str] = []
    known = networks.cnn()
    given = explained("edges", known)
    under = given.under
    counted = replace(given, under=lambda other: calls.append(other.weights) or under(other))
    score("randomisation:stages=3", counted)
    score("complexity_rise:draws=3", counted)
    assert len(calls) == len(set(calls)) == 3 + 2


class Mute(nn.Module):
    """A layer whose fresh weights are all zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 3))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) @ self.weight


def test_stages_at_which_the_network_says_nothing_are_left_out() -> None:
    network = nn.Sequential(networks.seeded(lambda: nn.Conv2d(3, 3, 3)), Mute())
    known = perturbed.model(network, (3, 8, 8))
    asked = perturbed.case(perturbed.images(4, 3, (8, 8)))
    maps = iter([perturbed.noise(4, 1, 8, 8), perturbed.noise(4, 1, 8, 8, seed=1), perturbed.noise(4, 1, 8, 8, seed=2)])
    answers = {}

    def under(other: Model) -> Any:
        answers[other.weights] = next(maps)
        return lambda images, case: Heatmaps(torch.zeros(4, 1), answers[other.weights])

    given = perturbed.trial(known, asked, perturbed.noise(4, 1, 8, 8), under=under)
    similar, rise = score("randomisation:stages=2", given), score("complexity_rise:draws=1", given)
    assert torch.equal(similar.values, module.similarity(given.explanation.values, next(iter(answers.values()))))
    assert similar.defined.all()
    assert not rise.defined.any()  # all weights anew, and all logits zero


def test_more_images_than_a_batch_score_what_they_score_alone() -> None:
    given = explained("saliency", networks.cnn(), count=70)
    for spec in ("randomisation:stages=2", "complexity_rise:draws=2"):
        whole = score(spec, given).values
        for row in (0, 69):
            alone = given.case.select([row])
            part = replace(given, case=alone, explanation=given.explanation.select(torch.tensor([row])), shared={})
            found = score(spec, part).values
            torch.testing.assert_close(found, whole[[row]], rtol=0, atol=2e-2 if "rise" in spec else 1e-4)
        assert whole.unique().numel() > 100


def test_series_and_single_outputs() -> None:
    network = networks.seeded(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 1))
    )
    known = wrap(network, "series", input_shape=(2, 40))
    method = registry.load("methods", "saliency")
    asked = perturbed.case(networks.images(known, 5))

    def under(other: Model) -> Any:
        return lambda images, case: method.attribute(other, images, case.targets, None, Randomness((0,)))

    given = perturbed.trial(known, asked, under(known), under=under)
    assert score("randomisation", given).defined.all()
    assert (score("randomisation", given).values < 1).all()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("randomisation:stages=0", "1 stage and 1 draw"),
        ("randomisation:draws=0", "1 stage"),
        ("complexity_rise:draws=0", "1 draw"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_a_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        registry.load("metrics", spec)


def test_a_trial_that_knows_no_other_network_says_so() -> None:
    given = replace(explained("edges", networks.cnn()), under=None)
    with pytest.raises(InputError, match="cannot explain another network"):
        score("randomisation", given)
