"""`ambench check` finds what is broken and lets pass what is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from ambench import check, promises, registry
from ambench.core import (
    AttributionMethod,
    Better,
    Concepts,
    Dataset,
    Heatmaps,
    InputError,
    Metric,
    Model,
    Randomness,
    Skipped,
    Trial,
    Values,
)
from ambench.toy import Squares, network


class Forgetful(promises.Oracle):
    """Leaves a hook behind."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return the truth."""
        model.network.register_forward_hook(lambda *_: None)
        return super().attribute(model, images, targets, concepts, randomness)


class Sociable(promises.Oracle):
    """Looks at an image's neighbours."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return the truth less the mean over the batch."""
        found = super().attribute(model, images, targets, concepts, randomness)
        return replace(found, values=found.values - found.values.mean(0))


class Moody(promises.Oracle):
    """Draws from torch's own stream."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return the truth and noise."""
        found = super().attribute(model, images, targets, concepts, randomness)
        return replace(found, values=found.values + torch.randn(found.values.shape))


class Undefined(promises.Oracle):
    """Divides by zero."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return the truth over itself."""
        found = super().attribute(model, images, targets, concepts, randomness)
        return replace(found, values=found.values / found.values)


@dataclass(frozen=True)
class Inside(Metric[Heatmaps]):
    """The map's mean inside the mask less that outside."""

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    sign: int = 1
    scale: float = 0.1

    def score(self, trial: Trial[Heatmaps]) -> Values:
        """Return one value for each pair that has a mask."""
        masks = trial.case.truth.masks
        assert masks is not None
        maps = trial.explanation.values
        inside = (maps * masks).flatten(2).sum(2) / masks.flatten(2).sum(2).clamp_min(1)
        return Values.of(self.sign * self.scale * inside, masks.flatten(2).any(2))


class Same(Squares):
    """Tests on what it taught."""

    def _draw(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        return super()._draw("fit")


class Changing(Squares):
    """Draws anew each time."""

    drawn: ClassVar[list[int]] = []

    def _draw(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        self.drawn.append(1)
        return super()._draw(f"{part} {len(self.drawn)}")


def broken(plugin: Any, kind: Any) -> set[str]:
    return {promise.__name__ for promise in promises.of(kind, plugin) if promise(plugin) is not None}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (promises.Oracle(), set()),
        (Forgetful(), {"leaves_the_network_as_found"}),
        (Sociable(), {"one_image_as_in_a_batch"}),
        (Moody(), {"same_seed_same_answer", "leaves_the_network_as_found", "one_image_as_in_a_batch"}),
        (Undefined(), {"same_seed_same_answer", "answers_are_finite", "one_image_as_in_a_batch"}),  # NaN is not itself
    ],
)
def test_a_method_is_caught_at_what_it_does_wrong(method: AttributionMethod, names: set[str]) -> None:
    assert broken(method, "methods") == names


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (Inside(), set()),
        (Inside(sign=-1), {"truth_beats_silence"}),
        (Inside(scale=0.0), {"truth_beats_silence"}),
        (Inside(scale=10.0), {"stays_in_its_range"}),
    ],
)
def test_a_metric_is_caught_at_what_it_does_wrong(metric: Metric[Heatmaps], names: set[str]) -> None:
    assert broken(metric, "metrics") == names


@pytest.mark.parametrize(
    ("dataset", "names"),
    [(Squares(), set()), (Same(), {"examples_hold_no_test_image"}), (Changing(), {"same_images_twice"})],
)
def test_a_dataset_is_caught_at_what_it_does_wrong(dataset: Dataset, names: set[str]) -> None:
    assert broken(dataset, "datasets") == names


def test_a_promise_that_raises_is_broken_and_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(plugin: object) -> str | None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(promises, "of", lambda kind, plugin: (raises,))
    faults = [finding.fault for finding in check.check(["saliency"])]
    assert faults == [None, "ZeroDivisionError: by nothing"]


def test_a_method_that_the_toy_network_does_not_fit_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(plugin: object) -> str | None:
        raise Skipped("it has no attention")

    monkeypatch.setattr(promises, "of", lambda kind, plugin: (refuses,))
    text = check.told(check.check(["saliency"]))
    assert "not tried: it has no attention" in text
    assert text.endswith("2 promises checked, 0 broken")


def test_wrong_examples_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    saliency = registry.find("methods", "saliency")
    monkeypatch.setattr(saliency, "__doc__", "Two sums.\n\n>>> 1 + 1\n3\n")
    first = next(iter(check.check(["saliency"])))
    assert first.fault is not None
    assert "Expected: 3 Got: 2" in first.fault
    assert "1 broken" in check.told([first])


def test_an_unknown_plugin_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'saliency'"):
        list(check.check(["salience"]))


def test_the_toy_network_is_right_about_the_toy_squares() -> None:
    case = next(iter(Squares(count=64)))
    assert torch.equal(network().network(case.images) > 0, case.truth.present)
