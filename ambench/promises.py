"""What every plugin promises whatever it computes, each as a question that is answered in the toy world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ambench import answer as answers
from ambench import judge, workbench
from ambench.answer import Answer
from ambench.core import (
    AttributionMethod,
    Concepts,
    Cost,
    Dataset,
    Directions,
    Explanation,
    Heatmaps,
    InputError,
    Method,
    Metric,
    Model,
    Portraits,
    ProbeMethod,
    Randomness,
    Scores,
    SynthesisMethod,
    Truth,
)
from ambench.plan import Cell, Given
from ambench.registry import Kind
from ambench.toy import COLOURS, Squares, network

Promise = Callable[[Any], str | None]  # what is wrong, if something is
FEW = 12  # images
TOLERANCE = 1e-5


def of(kind: Kind, plugin: Any) -> Sequence[Promise]:
    """Return what a plugin of this kind promises."""
    if kind == "datasets":
        return (same_images_twice, examples_hold_no_test_image)
    if kind == "metrics":
        known = {name for name, value in vars(next(iter(Squares())).truth).items() if value is not None}
        toy = "attribution" in plugin.families  # the oracle is no probe with rivals, and no synthesis
        judged = toy and plugin.reads is not Cost and plugin.better != "neither" and known.issuperset(plugin.needs)
        return (truth_beats_silence, stays_in_its_range) if judged else ()
    alone = (one_image_as_in_a_batch,) if isinstance(plugin, AttributionMethod) else ()
    return (same_seed_same_answer, leaves_the_network_as_found, answers_are_finite, *alone)


# ------------------------------------------------------------------------------------------------ methods


def same_seed_same_answer(method: Method) -> str | None:
    """The same randomness gives the same tensors to the bit."""
    one, two = (_tensors(_explain(method, network())) for _ in range(2))
    return _first(name for name in one if not torch.equal(one[name], two[name]))


def leaves_the_network_as_found(method: Method) -> str | None:
    """Hooks, gradients, flags, weights and torch's own random state are what they were."""
    model = network()
    before = _state(model.network)
    _explain(method, model)
    after = _state(model.network)
    return _first(name for name in before if before[name] != after[name])


def answers_are_finite(method: Method) -> str | None:
    """No NaN and no infinity."""
    tensors = _tensors(_explain(method, network()))
    return _first(name for name, tensor in tensors.items() if not torch.isfinite(tensor.double()).all())


def one_image_as_in_a_batch(method: Method) -> str | None:
    """An image's answer depends neither on its neighbours nor on their order."""
    model, order = network(), list(reversed(range(FEW)))
    whole = _tensors(_explain(method, model))
    alone = [_tensors(_explain(method, model, [row])) for row in order]
    joined = {name: torch.cat([part[name] for part in alone]) for name in whole}
    return _first(name for name in whole if not torch.allclose(joined[name], whole[name][order], atol=TOLERANCE))


def _explain(method: Method, model: Model, rows: Sequence[int] = range(FEW)) -> Explanation:
    dataset = Squares()
    randomness, concepts, units = Randomness((0, "promises")), dataset.concepts("fit"), torch.arange(len(COLOURS))
    quick: Any = replace(cast(Any, method), steps=4) if hasattr(method, "steps") else method
    if isinstance(quick, SynthesisMethod):
        return quick.synthesise(model, units, concepts, randomness)
    if isinstance(quick, ProbeMethod):
        return quick.fit(model, concepts, randomness)
    case = next(iter(dataset)).select(rows)
    answer: Scores = quick.attribute(model, case.images, case.targets, concepts, replace(randomness, ids=case.ids))
    return answer


def _tensors(explanation: Explanation) -> dict[str, Tensor]:
    return {name: value for name, value in vars(explanation).items() if isinstance(value, Tensor)}


def _state(module: nn.Module) -> dict[str, object]:
    parts = list(module.modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "hooks": [len(getattr(part, name)) for part in parts for name in hooks],
        "training flags": [part.training for part in parts],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "gradients": [p.grad is None for p in module.parameters()],
        "weights": [p.detach().tolist() for p in module.parameters()],
        "random state": torch.get_rng_state().tolist(),
    }


def _first(names: Iterator[str]) -> str | None:
    name = next(names, None)
    return None if name is None else f"{name} differ"


# ------------------------------------------------------------------------------------------------ datasets


def same_images_twice(dataset: Dataset) -> str | None:
    """Going through the test part again gives the same pixels, names and truth."""
    for one, two in zip(dataset, dataset, strict=True):
        truths = zip(_known(one.truth), _known(two.truth), strict=True)
        if one.ids != two.ids or not torch.equal(one.images, two.images) or not all(torch.equal(*t) for t in truths):
            return "another time, another answer"
    return None


def examples_hold_no_test_image(dataset: Dataset) -> str | None:
    """No test image is among the examples, and no example is in both parts."""
    parts = [dataset.concepts("fit").images, dataset.concepts("calibrate").images, *(case.images for case in dataset)]
    digests = [{image.numpy().tobytes() for image in part} for part in parts]
    together = set.union(*digests)
    return None if len(together) == sum(map(len, digests)) else "an image is in two parts"


def _known(truth: Truth) -> list[Tensor]:
    return [value for value in vars(truth).values() if value is not None]


# ------------------------------------------------------------------------------------------------ metrics


def truth_beats_silence(metric: Metric[Any]) -> str | None:
    """The true answer scores better than no answer, and no worse than its opposite (robustness knows no sign)."""
    upwards = 1 if metric.better == "higher" else -1
    truth, nothing, opposite = (_mean(metric, sign) for sign in (1, 0, -1))
    if truth is None:
        return "it says nothing of the true answer"
    better = nothing is None or upwards * (truth - nothing) > 0
    if better and (opposite is None or upwards * (truth - opposite) >= 0):
        return None
    return f"truth {truth:.3g}, nothing {nothing}, opposite {opposite}; {metric.better} is better"


def stays_in_its_range(metric: Metric[Any]) -> str | None:
    """No mean, of whatever answer, lies outside the range that the metric declares (weighted values may)."""
    low, high = metric.range
    means = [mean for sign in (1, 0, -1) if (mean := _mean(metric, sign)) is not None]
    outside = [mean for mean in means if not low - TOLERANCE <= mean <= high + TOLERANCE]
    return f"{outside[0]:.3g} is outside {low:g} to {high:g}" if outside else None


@dataclass(frozen=True)
class Oracle(AttributionMethod):
    """Reads the truth off the toy network's features (`sign` 1), says nothing (0), or the opposite (-1)."""

    sign: int = 1

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return how much each colour stands out at each place [B, T, H, W], and the most of it [B, T]."""
        with torch.no_grad():
            standing_out = model.at(None).module(images)  # [B, 3, H, W]
        maps = standing_out[torch.arange(len(images))[:, None], targets]
        return Heatmaps(self.sign * maps.flatten(2).amax(2), self.sign * maps)


def _mean(metric: Metric[Any], sign: int) -> float | None:
    """The mean of all defined values of the oracle's answer, through the harness itself."""
    given = Given(
        models={"toy": network(), "judge": network(2.0)},
        methods={"oracle": Oracle(sign)},
        datasets={"squares": Squares()},
        metrics={"metric": metric},
    )
    bench = workbench.load(Cell("quality", "toy", "oracle", "squares", ("metric",), panel=("judge",)), given)
    made: dict[type[Any], Callable[[int], Portraits | Directions]] = {Portraits: _portraits, Directions: _directions}
    found = Answer(made[metric.reads](sign), None, 0.0) if metric.reads in made else answers.answer(bench, None)
    verdict = judge.judge(bench, found)[0]
    if verdict.values is None:
        raise InputError(f"it gave no values: {verdict.reason}")
    defined = verdict.values.values[verdict.values.defined]
    return defined.mean().item() if len(defined) else None


def _portraits(sign: int) -> Portraits:
    """Pure colours, grey, or the other two colours."""
    pure = torch.eye(3)[:, :, None, None].expand(-1, -1, 16, 16)  # [3, 3, H, W]
    images = {1: pure, 0: torch.full_like(pure, 0.5), -1: 1 - pure}[sign]
    return Portraits(images, torch.arange(3), torch.ones(3, dtype=torch.bool), torch.zeros(3, 1))


def _directions(sign: int) -> Directions:
    return Directions(sign * torch.eye(3), torch.zeros(3), "features")
