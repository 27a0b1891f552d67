"""TCAV against captum, scipy and `cav`, and what its p-values say of labels that mean nothing."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.concept import TCAV, Concept
from captum.concept._utils.classifier import Classifier as CaptumClassifier
from torch import Tensor, nn

import networks
from ambench import registry
from ambench.core import Concepts, Directions, InputError, Layer, Model, Randomness, Skipped


def module(name: str) -> Any:
    return importlib.import_module(f"ambench.methods.probes.{name}")


sensitivities = module("_sensitivity").sensitivities
welch, holm, at_chance, shuffled_p, farthest = (
    getattr(module("_significance"), name) for name in ("welch", "holm", "at_chance", "shuffled_p", "farthest")
)
tcav_scores = module("tcav").tcav_scores
DETAILS = [
    "accuracy",
    "chance",
    "score",
    "magnitude",
    "sensitivity",
    "p",
    "p_adjusted",
    "effect",
    "effect_interval",
    "permutation_p",
    "permutation_p_family",
    "images",
]


def classed(model: Model) -> Model:
    return replace(
        model, units={f"class {unit}": unit for unit in range(5)}, classes=tuple(f"class {u}" for u in range(5))
    )


def examples(model: Model, count: int = 60) -> Concepts:
    """Noise of many brightnesses; a bright row shows `row`, `luck` is shown by nothing."""
    images = networks.images(model, count) * torch.linspace(0.1, 0.75, count)[:, None, None, None]
    random = torch.Generator().manual_seed(1)
    present = torch.rand(count, 2, generator=random) < torch.tensor([0.5, 0.4])
    images[present[:, 0], :, 1] += 0.25
    return Concepts(("row", "luck"), images, present, ids=tuple(f"example-{i}" for i in range(count)))


def spread(model: Model) -> Model:
    """The same network, its classes moved so that each is named somewhere."""
    with torch.no_grad():
        answer = model.network(examples(model).images)
        model.network.get_submodule("fc").bias -= answer.mean(0)
        model.network.get_submodule("fc").weight *= 20
        model.network.get_submodule("fc").bias *= 20
    return classed(model)


def fit(spec: str, model: Model, concepts: Concepts, seed: int = 0) -> Directions:
    return registry.load("methods", spec).fit(model, concepts, Randomness((seed, "tcav")))


# ------------------------------------------------------------------------------------------------ derivatives


class Fixed(CaptumClassifier):
    """Learns nothing: its weights are given."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def train_and_eval(self, dataloader: object, **more: object) -> dict[str, object]:
        return {}

    def weights(self) -> Tensor:
        return self.vectors

    def classes(self) -> list[int]:
        return list(range(len(self.vectors)))


def captum_counts(model: Model, layer: str, images: Tensor, unit: int, vectors: Tensor, folder: Path) -> list[int]:
    """How many images have a positive derivative along each vector [K, F] of the layer's own output."""
    module_name = next(name for name, part in model.network.named_modules() if part is model.at(layer).module)
    concepts = [Concept(k, f"concept-{k}", [images[:2]]) for k in range(len(vectors))]
    tcav = TCAV(model.network, module_name, classifier=Fixed(vectors), save_path=str(folder))
    found = tcav.interpret(images, [concepts], target=unit)
    (counts,) = (scores[module_name]["sign_count"] for scores in found.values())
    return [round(count) for count in (counts * len(images)).tolist()]


def as_output(model: Model, layer: str, vectors: Tensor, shape: Sequence[int]) -> Tensor:
    """Vectors of a grid [K, C, *cells] as vectors of the layer's own output [K, F], 0 where it is no part of the grid."""
    places = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64).reshape(1, *shape)
    order = model.at(layer).as_grid(places).flatten().long() - 1
    flat = torch.zeros(len(vectors), places.numel())
    flat[:, order] = vectors.flatten(1)
    return flat


CASES = {"module": ("conv1", (6, 8, 8)), "functional": ("conv2", (7, 4, 4)), "transformer": (None, (17, 12))}


@pytest.mark.parametrize("name", sorted(CASES))
def test_sign_counts_are_those_of_captum(name: str, tmp_path: Path) -> None:
    model, (layer, shape) = networks.every()[name], CASES[name]
    layer = model.at(layer).name
    images = networks.images(model, 40)
    grid = model.at(layer).as_grid(torch.zeros(1, *shape)).shape[1:]
    vectors = torch.randn(3, *grid, generator=torch.Generator().manual_seed(2))
    q = sensitivities(model, images, torch.arange(5), {layer: vectors}, 16)[layer]  # [B, 5, 3]
    everyone = torch.ones(40, 1, dtype=torch.bool)
    mixed = False
    for unit in range(5):
        counts = captum_counts(
            model, layer, images, unit, as_output(model, layer, vectors, shape), tmp_path / str(unit)
        )
        assert (tcav_scores(q[:, unit], everyone)[:, 0] * 40).tolist() == counts
        mixed |= any(0 < count < 40 for count in counts)
    assert mixed


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradients_are_those_of_captum(name: str) -> None:
    model, (layer, shape) = networks.every()[name], CASES[name]
    layer, images = model.at(layer).name, networks.images(model, 6)
    grid = model.at(layer).as_grid(torch.zeros(1, *shape)).shape[1:]
    axes = torch.eye(grid.numel()).reshape(-1, *grid)
    own = torch.tensor([0, 1, 2, 3, 4, 0])[:, None]
    mine = sensitivities(model, images, own, {layer: axes})[layer][:, 0]
    for row in range(6):
        (slope,), _ = compute_layer_gradients_and_eval(
            model.network, model.at(layer).module, images[row : row + 1], int(own[row])
        )
        theirs = model.at(layer).as_grid(slope.detach()).flatten()
        torch.testing.assert_close(mine[row].float(), theirs, atol=1e-6, rtol=1e-6)


def test_several_layers_in_one_pass_are_as_each_alone() -> None:
    model, images = networks.cnn(), networks.images(networks.cnn(), 10)
    random = torch.Generator().manual_seed(0)
    vectors = {
        "conv1": torch.randn(2, 6, generator=random),
        "conv2": torch.randn(4, 7, 4, 4, generator=random),
        "relu2": torch.randn(3, 7, generator=random),
    }
    seen: list[int] = []
    handle = model.network.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    together = sensitivities(model, images, torch.arange(5), vectors, chunk=4)
    handle.remove()
    assert seen == [4, 4, 2]
    for layer, along in vectors.items():
        alone = sensitivities(model, images, torch.arange(5), {layer: along})[layer]
        torch.testing.assert_close(together[layer], alone, atol=1e-7, rtol=1e-6)


def test_a_vector_without_cells_moves_all_of_them() -> None:
    model, images = networks.cnn(), networks.images(networks.cnn(), 5)
    vectors = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    everywhere = vectors[:, :, None, None].expand(-1, -1, 4, 4)
    one, other = (sensitivities(model, images, torch.arange(5), {"conv2": v})["conv2"] for v in (vectors, everywhere))
    torch.testing.assert_close(one, other)


def test_vectors_that_do_not_fit_and_broken_images_are_refused() -> None:
    model, images = networks.cnn(), networks.images(networks.cnn(), 5)
    with pytest.raises(InputError, match=r"vectors \[2, 6\] do not fit layer 'conv2'"):
        sensitivities(model, images, torch.arange(5), {"conv2": torch.ones(2, 6)})
    with torch.no_grad():
        model.network.get_submodule("fc").weight[0] = torch.inf
    with pytest.raises(InputError, match="not finite"):
        sensitivities(model, images, torch.arange(5), {"conv2": torch.ones(2, 7)})


def test_before_a_linear_head_a_derivative_is_one_number_and_a_score_0_or_1() -> None:
    model = spread(networks.cnn())
    concepts = examples(model)
    found = fit("tcav:layer=relu2,pooling=mean,refits=5", model, concepts)
    weights = model.network.get_submodule("fc").weight.detach()
    expected = found.vectors.double() @ weights.T.double()  # [K, N]; the mean over cells moves as much as each of them
    named = found.details["images"] > 0
    assert named.sum() >= 3
    torch.testing.assert_close(found.details["sensitivity"][:, named], expected[:, named], atol=1e-5, rtol=1e-5)
    assert torch.equal(found.details["score"][:, named], (expected[:, named] > 0).double())
    assert torch.equal(found.details["magnitude"][:, named], (expected[:, named] > 0).double())
    assert (found.details["permutation_p"] == 1).all()  # a shuffled label's score is 0 or 1 too


# ------------------------------------------------------------------------------------------------ directions


@pytest.mark.parametrize("settings", ["", "pooling=mean", "solver=logistic", "pooling=max,solver=svm", "solver=sgd"])
def test_directions_are_those_of_cav(settings: str) -> None:
    model = spread(networks.cnn())
    concepts = examples(model)
    mine = fit(f"tcav:layer=conv2,refits=2,{settings}", model, concepts)
    with_defaults = ",".join(filter(None, ["layer=conv2,pooling=none,solver=ridge", settings]))
    spec = "cav:" + ",".join(f"{k}={v}" for k, v in dict(p.split("=") for p in with_defaults.split(",")).items())
    theirs = fit(spec, model, concepts)
    assert torch.equal(mine.vectors, theirs.vectors)
    assert torch.equal(mine.bias, theirs.bias)
    assert torch.equal(mine.details["accuracy"], theirs.details["accuracy"])
    assert list(mine.details) == DETAILS
    counts = torch.randint(0, 3, (3, 60), generator=torch.Generator().manual_seed(0))
    pairs = [registry.load("methods", s).refit(model, concepts, counts, Randomness((0,))) for s in (spec, f"t{spec}")]
    assert all(torch.equal(one.vectors, other.vectors) for one, other in zip(*pairs, strict=True))


@pytest.mark.parametrize("width", [8, 90])
@pytest.mark.parametrize("solver", ["ridge", "logistic", "svm", "sgd"])
def test_nulls_are_fits_to_what_was_drawn(solver: str, width: int) -> None:
    sample = toy_sample(40, width, concepts=2)
    design, classifier = sample.design(), module("_classifier").Classifier(solver)
    nulls = module("_nulls").Nulls.of(classifier, design, sample, 3, 2)
    present = sample.present
    centred = sample.activations.whole().double() - design.centre
    for kind in ("refits", "splits", "shuffled"):
        drawn = labels_drawn(sample, kind)  # [N, K, S] labels, and which examples were used
        for k in range(2):
            for s in range(len(getattr(nulls, kind))):
                label, used = (part[:, k, s] for part in drawn)
                solved = classifier.solve(design, label[:, None], used[:, None], resampled=True).restored()[0][0]
                mine = getattr(nulls, kind)[s, k] @ centred
                assert torch.nn.functional.cosine_similarity(mine, solved, dim=0) > 1 - 1e-9
                assert (label <= used).all()
                if kind == "refits":
                    assert torch.equal(label, present[:, k])
                    assert used.sum() == present[:, k].sum() + (~present[:, k]).sum() - (~present[:, k]).sum() // 2
                if kind == "splits":
                    assert torch.equal(used, ~present[:, k])
                    assert label.sum() == (~present[:, k]).sum() // 2
                if kind == "shuffled":
                    assert used.all()
                    assert label.sum() == present[:, k].sum()
                    assert not torch.equal(label, present[:, k])


def labels_drawn(sample: Any, kind: str) -> tuple[Tensor, Tensor]:
    nulls, present = module("_nulls"), sample.present
    hidden, everyone = ~present, torch.ones_like(present)
    count = hidden.sum(0)
    if kind == "refits":
        used = present[..., None] | nulls.lowest(nulls.lots(sample, "tcav refit", 3), hidden, count - count // 2)
        return present[..., None].expand_as(used), used
    if kind == "splits":
        sides = nulls.lowest(nulls.lots(sample, "tcav split", 3), hidden, count // 2)
        return sides, hidden[..., None].expand_as(sides)
    mixed = nulls.lowest(nulls.lots(sample, "tcav shuffle", 2), everyone, present.sum(0))
    return mixed, torch.ones_like(mixed)


def toy_sample(count: int, width: int, concepts: int = 1, seed: int = 0) -> Any:
    """Normal features, and labels that have nothing to do with them."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=random)
    present = torch.rand(count, concepts, generator=random).argsort(0) < count // 2
    ids = tuple(f"{seed}-{i}" for i in range(count))
    given = Concepts(tuple(f"concept {k}" for k in range(concepts)), features, present, ids=ids)
    return module("_probe").Sample(
        given, importlib.import_module("ambench.activations").Held(features), "0", Randomness((seed,))
    )


# ------------------------------------------------------------------------------------------------ classes


def test_classes_are_those_that_the_network_names_and_images_are_limited() -> None:
    model = spread(networks.cnn())
    concepts = examples(model)
    named = model.network(concepts.images).argmax(1).bincount(minlength=5)
    assert torch.equal(fit("tcav:refits=2", model, concepts).details["images"], named)
    assert torch.equal(fit("tcav:refits=2,images=4", model, concepts).details["images"], named.clamp_max(4))
    some = replace(model, classes=("class 4", "class 1"))
    pair = model.network(concepts.images)[:, [4, 1]].argmax(1).bincount(minlength=2)
    assert torch.equal(fit("tcav:refits=2", some, concepts).details["images"], pair)


def test_scores_are_means_over_the_images_of_a_class() -> None:
    model = spread(networks.cnn())
    concepts = examples(model)
    found = fit("tcav:layer=conv2,refits=2,images=60", model, concepts)
    q = sensitivities(model, concepts.images, torch.arange(5), {"conv2": found.vectors})["conv2"]
    named = model.network(concepts.images).argmax(1)
    for unit in named.unique().tolist():
        own = q[named == unit, unit]  # [b, K]
        torch.testing.assert_close(found.details["score"][:, unit], (own > 0).double().mean(0))
        torch.testing.assert_close(found.details["sensitivity"][:, unit], own.mean(0))
        torch.testing.assert_close(found.details["magnitude"][:, unit], own.clamp_min(0).sum(0) / own.abs().sum(0))
    assert ((found.details["score"] > 0.1) & (found.details["score"] < 0.9)).any()


def test_a_class_without_images_is_absent_and_no_test() -> None:
    model = spread(networks.cnn())
    with torch.no_grad():
        model.network.get_submodule("fc").bias[2] -= 1e6
    found = fit("tcav:refits=4", model, examples(model)).details
    assert found["images"][2] == 0
    assert (found["images"][[0, 1, 3, 4]] > 0).sum() >= 3
    assert found["score"][:, 2].tolist() == found["magnitude"][:, 2].tolist() == [0.5, 0.5]
    assert found["p"][:, 2].tolist() == found["p_adjusted"][:, 2].tolist() == [1, 1]
    assert not found["sensitivity"][:, 2].any()
    named = found["images"] > 0
    assert torch.equal(found["p_adjusted"][:, named].flatten(), holm(found["p"][:, named].flatten()))
    assert all(value.isfinite().all() for value in found.values())


def test_a_class_that_nothing_moves_scores_as_a_coin() -> None:
    model = classed(networks.cnn())
    with torch.no_grad():
        model.network.get_submodule("fc").weight[2] = 0
        model.network.get_submodule("fc").bias[2] += 1e6
    found = fit("tcav:refits=4", model, examples(model)).details
    assert found["images"].tolist() == [0, 0, 50, 0, 0]
    assert found["score"].eq(0.5).all()
    assert found["magnitude"].eq(0.5).all()
    assert found["p"].eq(1).all()
    assert found["permutation_p"].eq(1).all()


def test_a_concept_that_nothing_shows_is_at_chance() -> None:
    model = spread(networks.cnn())
    found = fit("tcav:refits=2,layer=conv2", model, examples(model)).details
    assert found["chance"].tolist() == [False, True]


def test_constant_features_are_at_chance_everywhere() -> None:
    model = spread(networks.cnn())
    concepts = examples(model)
    same = replace(concepts, images=torch.full_like(concepts.images, 0.4))
    found = fit("tcav:refits=2", model, same)
    assert not found.vectors.any()
    assert found.details["chance"].all()
    assert found.details["score"].eq(0.5).all()
    assert found.details["p"].eq(1).all()


def test_models_without_classes_and_class_tokens_are_skipped() -> None:
    model = networks.cnn()
    with pytest.raises(Skipped, match="no classes"):
        fit("tcav", replace(model, classes=()), examples(model))
    transformer = classed(networks.every()["transformer"])
    with pytest.raises(Skipped, match="class token"):
        fit("tcav:pooling=class", transformer, examples(transformer))


@pytest.mark.parametrize("setting", ["refits=1", "images=0", "chunk=0", "inverse_penalty=0"])
def test_settings_that_mean_nothing_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.partition("=")[0]):
        registry.load("methods", f"tcav:{setting}")


@pytest.mark.parametrize("name", ["functional", "transformer"])
def test_the_seed_decides_and_neither_order_nor_chunk(name: str) -> None:
    model = classed(networks.every()[name])
    concepts = examples(model)
    plain, again = (fit("tcav:refits=5,images=7", model, concepts) for _ in range(2))
    assert all(torch.equal(plain.details[key], again.details[key]) for key in DETAILS)
    other = fit("tcav:refits=5,images=7", model, concepts, seed=1)
    assert torch.equal(plain.vectors, other.vectors)
    assert not torch.equal(plain.details["p"], other.details["p"])
    mixed = concepts.select(torch.randperm(60, generator=torch.Generator().manual_seed(3)))
    turned = fit("tcav:refits=5,images=7,chunk=9", model, mixed)
    for key in DETAILS:
        torch.testing.assert_close(plain.details[key], turned.details[key], atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ significance


def test_holm_in_the_textbook() -> None:
    assert holm(torch.tensor([0.01, 0.04, 0.03], dtype=torch.float64)).tolist() == pytest.approx([0.03, 0.06, 0.06])
    p = torch.tensor([[0.01, 0.9], [0.04, 0.03]], dtype=torch.float64)
    tested = torch.tensor([[True, False], [True, True]])
    assert holm(p, tested).flatten().tolist() == pytest.approx([0.03, 1, 0.06, 0.06])
    assert holm(p, torch.zeros(2, 2, dtype=torch.bool)).flatten().tolist() == [1, 1, 1, 1]
    assert holm(torch.tensor([0.9, 0.8])).max() == 1


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_welch_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(20, 3, 4)), random.normal(0.3, 2, size=(15, 3, 4))
    found, theirs = welch(torch.tensor(one), torch.tensor(other)), scipy.stats.ttest_ind(one, other, equal_var=False)
    np.testing.assert_allclose(found.p, theirs.pvalue, rtol=1e-12)
    np.testing.assert_allclose(found.effect, one.mean(0) - other.mean(0), rtol=1e-12)
    interval = theirs.confidence_interval(0.95)
    np.testing.assert_allclose(found.interval, np.stack([interval.low, interval.high], -1), rtol=1e-12)
    one[:, 0] = 0.7  # one group alone may be still
    found, theirs = welch(torch.tensor(one), torch.tensor(other)), scipy.stats.ttest_ind(one, other, equal_var=False)
    np.testing.assert_allclose(found.p, theirs.pvalue, rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (4, 4), (5, 3)])
def test_groups_that_do_not_vary_have_the_p_of_the_exact_permutation_test(n: int, m: int) -> None:
    def apart(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    for low, high in ((0.0, 1.0), (0.3, 0.1), (0.3, 0.3)):
        groups = np.full(n, low), np.full(m, high)
        exact = scipy.stats.permutation_test(groups, apart, n_resamples=np.inf, vectorized=True).pvalue
        found = welch(*map(torch.tensor, groups))
        assert float(found.p) == pytest.approx(exact)
        assert found.interval.tolist() == pytest.approx([low - high] * 2)


def test_a_coin_and_a_good_probe_are_told_apart() -> None:
    present = torch.arange(100)[:, None] < 50
    random = torch.Generator().manual_seed(0)
    coins = torch.randn(100, 400, generator=random)
    assert at_chance(coins, present.expand(-1, 400)).double().mean() > 0.95
    good = torch.where(present, 1.0, -1.0) + torch.randn(100, 400, generator=random)
    assert not at_chance(good, present.expand(-1, 400)).any()
    assert at_chance(-good, present.expand(-1, 400)).all()  # worse than a coin is no probe either
    assert at_chance(torch.zeros(100, 1), present).all()


def toy_network(width: int) -> Model:
    """Two classes that features sway, now this way and now that."""
    network = networks.seeded(lambda: nn.Sequential(nn.Identity(), nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 2)))
    with torch.no_grad():
        network[1].weight *= 6
    layer = Layer("0", network[0], lambda features: features)
    return Model("toy", "none", network, {"a": 0, "b": 1}, {"0": layer}, "0", (width,), ("a", "b"))


def test_p_of_random_directions_against_random_directions_is_uniform() -> None:
    model, found = toy_network(8), []
    classifier, everyone = module("_classifier").Classifier("ridge"), torch.ones(40, 1, dtype=torch.bool)
    for seed in range(300):
        sample = toy_sample(40, 8, seed=seed)
        features = sample.activations.whole()
        along = sensitivities(model, features, torch.tensor([0]), {"0": features})["0"][:, 0]
        shares = module("_nulls").Nulls.of(classifier, sample.design(), sample, 40, 1).splits[:, 0]  # [40, N]
        scores = tcav_scores((along - along.mean(1, keepdim=True)) @ shares.T, everyone)[:, 0]
        found.append(float(welch(scores[:20], scores[20:]).p))
    assert scipy.stats.kstest(found, "uniform").pvalue > 0.01


def test_of_labels_that_mean_nothing_the_shuffled_p_is_uniform_and_that_of_refits_is_not() -> None:
    model, shuffled, refitted = toy_network(8), [], []
    for seed in range(300):
        found = fit(
            "tcav:pooling=mean,images=200,refits=5", model, toy_sample(150, 8, seed=seed).concepts, seed
        ).details
        shuffled.append(float(found["permutation_p"][0, 0]))
        refitted.append(float(found["p"][0, 0]))
    assert scipy.stats.kstest(shuffled, "uniform").pvalue > 0.01
    assert np.mean(np.array(shuffled) <= 0.05) < 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert np.mean(np.array(refitted) <= 0.05) > 0.2  # the positives are shared: the docstring says so


def test_a_concept_that_a_class_is_made_of_is_found() -> None:
    model, sample = toy_network(64), toy_sample(200, 64)
    first, last = model.network[1].weight.detach(), model.network[3].weight.detach()
    shift = nn.functional.normalize((last[0] - last[1]) @ first, dim=0)  # of features, that raises class a against b
    images = sample.concepts.images + 3 * (sample.present.float() - 0.5) * shift
    found = fit("tcav:pooling=mean", model, replace(sample.concepts, images=images)).details
    assert not found["chance"].any()
    assert found["score"][0, 0] > 0.8
    assert found["score"][0, 1] < 0.2
    assert (found["p_adjusted"] < 1e-3).all()
    assert (found["permutation_p"] < 0.1).all()  # random directions alone score up to 1
    assert (found["effect_interval"][0, 0] > 0).all()
    assert (found["effect_interval"][0, 1] < 0).all()


def test_a_shuffled_p_counts_the_score_itself() -> None:
    shuffled = torch.tensor([[0.5], [0.2], [0.9], [0.6]], dtype=torch.float64)
    assert shuffled_p(torch.tensor([0.8], dtype=torch.float64), shuffled).tolist() == [3 / 5]  # .2 is as far from .5
    assert shuffled_p(torch.tensor([1.0], dtype=torch.float64), shuffled).tolist() == [1 / 5]


def test_the_farthest_of_many_shuffled_scores_holds_the_level_of_all_of_them() -> None:
    """A table of 12 scores that mean nothing: one p of many below .05 is common, one of the family's is not."""
    random = torch.Generator().manual_seed(0)
    tested = torch.ones(3, 4, dtype=torch.bool)
    single = family = 0
    for _ in range(300):
        scores = torch.rand(101, 3, 4, generator=random, dtype=torch.float64)
        mine, shuffled = scores[0], scores[1:]
        single += bool((shuffled_p(mine, shuffled) <= 0.05).any())
        family += bool((shuffled_p(mine, farthest(shuffled, tested)[:, None, None]) <= 0.05).any())
    assert single / 300 > 0.3
    assert 0.02 < family / 300 < 0.09
    assert farthest(shuffled, torch.zeros_like(tested)).tolist() == [0.5] * 100
