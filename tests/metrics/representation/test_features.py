"""What is read of a network, by which labels it is judged, and that a cell's numbers are those of its features."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import davies_bouldin_score, silhouette_samples
from torch import Tensor, nn

import ambench
import trials
from ambench import features, models, registry
from ambench.core import InputError, Layer, Model, Predictions, Skipped, Truth

reading = import_module("ambench.metrics.representation._features")
DATASET = "shapes:fit=0,calibrate=0,test=48"


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Truth]:
    case = next(iter(registry.load("datasets", DATASET)))
    return case.images, case.truth


class TestPenultimate:
    def test_of_a_convolutional_network_it_is_the_mean_of_the_last_stage(self, pictures: tuple[Tensor, Truth]) -> None:
        model = models.resolve("cnn")
        found = reading.read(model, pictures[0], None, "mean")
        expected = features.read(model, pictures[0], ["layer4"])["layer4"].mean((2, 3))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)

    def test_of_a_transformer_it_is_the_class_token_that_the_head_reads(self, pictures: tuple[Tensor, Truth]) -> None:
        model = models.resolve("vit")
        found = reading.read(model, pictures[0], None, "mean")
        logits = found @ model.network.heads[-1].weight.T + model.network.heads[-1].bias
        torch.testing.assert_close(logits, features.logits(model, pictures[0]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found, reading.read(model, pictures[0], "encoder.ln", "class"), atol=1e-5, rtol=1e-5)

    def test_a_named_layer_is_pooled_as_told(self, pictures: tuple[Tensor, Truth]) -> None:
        model = models.resolve("cnn")
        grid = features.read(model, pictures[0], ["layer2"])["layer2"]
        torch.testing.assert_close(reading.read(model, pictures[0], "layer2", "max"), grid.amax((2, 3)))

    def test_without_a_linear_head_it_is_the_default_layer(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        layer = Layer("0", network[0], lambda grid: grid)
        model = Model("conv", "w", network, {"a": 0, "b": 1}, {"0": layer}, "0", (3, 8, 8), ("a", "b"))
        images = torch.rand(70, 3, 8, 8)
        torch.testing.assert_close(reading.read(model, images, None, "mean"), network[0](images).mean((2, 3)))
        with pytest.raises(Skipped, match="no linear head"):
            reading.outgoing(model)

    def test_outgoing_weights_are_the_heads_columns_of_the_classes(self) -> None:
        model = models.resolve("cnn")
        assert torch.equal(reading.outgoing(model), model.network.fc.weight[:8].T.double())

    def test_the_network_is_left_as_found(self, pictures: tuple[Tensor, Truth]) -> None:
        model = models.resolve("vit")
        reading.read(model, pictures[0][:3], None, "mean")
        assert not any(len(module._forward_hooks) for module in model.network.modules())
        assert all(parameter.requires_grad for parameter in model.network.parameters())


class TestLabels:
    def trial(self, **more: Any) -> Any:
        return trials.trial(trials.case(12), trials.predicted, **more)

    def test_they_are_of_the_cue_that_the_network_names(self) -> None:
        given = self.trial()
        assert torch.equal(reading.labels_of(given), given.case.truth.shape)
        twin = replace(given.model, classes=("x", "y", "z"))
        assert torch.equal(reading.labels_of(replace(given, model=twin)), given.case.truth.texture)
        assert torch.equal(reading.labels_of(given, "texture"), given.case.truth.texture)

    def test_one_question_an_image_is_its_label(self) -> None:
        asked = trials.case(12, columns=1)
        bare = replace(asked, truth=Truth(asked.truth.present))
        assert torch.equal(reading.labels_of(trials.trial(bare, trials.predicted)), asked.targets[:, 0])

    def test_without_classes_there_are_none(self) -> None:
        asked = trials.case(12)
        bare = replace(asked, truth=Truth(asked.truth.present))
        for name in ("silhouette", "davies_bouldin", "cosine_histogram:of=units", "dimensionality:of=units"):
            assert registry.load("metrics", name).score(trials.trial(bare, trials.predicted)) is None


class TestAccuracy:
    def test_it_equals_counting(self) -> None:
        given = trials.trial(trials.case(60), trials.predicted)
        values = registry.load("metrics", "class_accuracy").score(given)
        expected = given.explanation.logits.argmax(1) == given.case.truth.shape
        assert torch.equal(values.values[:, 0].bool(), expected)

    def test_equal_logits_share(self) -> None:
        given = trials.trial(trials.case(12), trials.predicted)
        answer = Predictions(given.explanation.scores, torch.zeros(12, 3))
        values = registry.load("metrics", "class_accuracy").score(replace(given, explanation=answer))
        assert values.values.flatten().tolist() == pytest.approx([1 / 3] * 24)
        assert values.flat.all()


@pytest.fixture(scope="module")
def records() -> dict[tuple[str, str], Any]:
    """The rows of both twins, judged in batches."""
    metrics = ["silhouette", "davies_bouldin", "cosine_histogram", "dimensionality", "dimensionality:of=units"]
    results = ambench.evaluate(
        ["cnn", "cnn-texture"], "prediction", DATASET, [*metrics, "class_accuracy"], jobs=0, batch_size=20
    )
    return {(r.model, r.metric): r for r in results.records if r.concept == "all"}


class TestInACell:
    @pytest.mark.parametrize(("model", "cue"), [("cnn", "shape"), ("cnn-texture", "texture")])
    def test_its_numbers_are_those_of_the_features(
        self, records: dict[tuple[str, str], Any], pictures: tuple[Tensor, Truth], model: str, cue: str
    ) -> None:
        images, truth = pictures
        found = reading.read(models.resolve(model), images, None, "mean").double().numpy()
        labels = getattr(truth, cue).numpy()
        silhouettes = silhouette_samples(found, labels)
        assert records[model, "silhouette"].value == pytest.approx(silhouettes.mean(), abs=1e-6)
        assert records[model, "davies_bouldin"].value == pytest.approx(davies_bouldin_score(found, labels), abs=1e-6)
        values = np.linalg.eigvalsh(np.cov(found.T))
        assert records[model, "dimensionality"].value == pytest.approx(values.sum() ** 2 / (values**2).sum(), abs=1e-5)
        for metric in ("silhouette", "davies_bouldin", "cosine_histogram", "dimensionality"):
            row = records[model, metric]
            assert row.n == 48
            assert row.ci_low < row.value < row.ci_high

    def test_what_depends_on_no_image_has_no_interval(self, records: dict[tuple[str, str], Any]) -> None:
        row = records["cnn", "dimensionality:of=units"]
        assert 0 < row.value <= 1
        assert row.ci_low is None

    def test_trained_networks_are_right_and_tell_their_classes_apart(self, records: dict[tuple[str, str], Any]) -> None:
        for model in ("cnn", "cnn-texture"):
            assert records[model, "class_accuracy"].value > 0.9
            assert records[model, "silhouette"].value > 0.1

    def test_features_that_are_not_finite_are_refused(self) -> None:
        model = models.resolve("cnn")
        with pytest.raises(InputError, match="features of model 'cnn' have NaN"):
            reading.read(model, torch.full((2, 3, 64, 64), torch.nan), None, "mean")
