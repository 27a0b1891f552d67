"""What every registered method promises, whoever wrote it: a new file in `methods/` is tested because it is there."""

from __future__ import annotations

import copy
import gc
import inspect
import itertools
import typing
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import Tensor, nn

import networks
import quick
from ambench import explanations, registry
from ambench.core import (
    AttributionMethod,
    Concepts,
    Directions,
    Heatmaps,
    InputError,
    Layer,
    Method,
    Model,
    Portraits,
    Predictions,
    ProbeMethod,
    Randomness,
    Scores,
    Skipped,
    SynthesisMethod,
)

VARIANTS = [
    "actmax:steps=6,parametrisation=pixel,objective=probability,restarts=2",
    "actmax:steps=4,parametrisation=raw,copies=2,schedule=cosine,style=1,diversity=1,contrast=1,energy=1,restarts=2",
    "actmax:steps=6,objective=channel",
    "actmax:steps=6,objective=neuron",
    "actmax:steps=6,objective=dotcos",
    "adversarial:steps=3,restarts=2,random_start=true",
    "actmax_free:search=protes,evaluations=25,population=10,elite=2,points=4,frequencies=1,restarts=2",
    "actmax_free:search=random,evaluations=25,objective=probability,restarts=2",
    "attention_rollout:gradient=true",
    "attention_rollout:heads=max",
    "cav:pooling=none",
    "cav:pooling=max",
    "cav:solver=svm",
    "cav:solver=sgd",
    "cav:solver=ridge",
    "combination_cav:variant=joint",
    "dataset_examples:examples=2,crop=1",
    "fp_cav:hard_negatives=true,fewest=5",
    "pattern_cav:pooling=none",
    "segmentation_cav:score=mean",
    "segmentation_cav:spatial=true",
    "gradcam:relu=false",
    "gradcam_pp:relu=false",
    "hirescam:relu=false",
    "layercam:relu=false",
    "xgradcam:relu=false",
    "integrated_gradients:steps=4,baseline=mean",
    "local_sensitivity:grid=2,delta=0.25,mode=signed,central=true",
    "occlusion:window=0.5,stride=0.8,baseline=blur",
    "random_direction:pooling=none",
    "random_map:grid=pixel",
    "saliency:mode=signed",
    "sequence_dreaming:mode=centred,steps=6,centre_weight=1,restarts=2",
    "sequence_dreaming:mode=border,steps=6,smoothing=gaussian,smooth_every=2",
    "smoothgrad:samples=3,moment=variance,mode=signed",
    "sobol:grid=2,designs=4,order=first,baseline=black",
]
WITH_GELU = {"transformer", "swin", "registered"}
UNFIT: dict[str, set[str]] = {  # networks, by their own name, that a method has no answer for and must say so
    "actmax_latent": {"grey", "series"},
    "attention_rollout": {"tiny", "grey", "swin", "series"},
    "cam": {"transformer", "registered"},
    "deconvnet": WITH_GELU,
    "guided_backprop": WITH_GELU,
    "guided_gradcam": WITH_GELU,
    "maco": {"series"},
    "sequence_dreaming": {"tiny", "grey", *WITH_GELU},
    "lrp": WITH_GELU,
}
NAMES = sorted(registry.names("methods"))
SPECS = sorted(quick.METHODS + VARIANTS)
MODELS = networks.every() | {"series": networks.series()}
FEW = ("in-place", "transformer", "series")
COUNT = 7
EXAMPLES = 48
UNITS = (3, 0, 4)

over_specs = pytest.mark.parametrize("spec", SPECS)
over_few = pytest.mark.parametrize("name", FEW)
over_models = pytest.mark.parametrize("name", sorted(MODELS))


def method(spec: str) -> Method:
    made: Method = registry.load("methods", spec)
    return made


def maps_images(spec: str) -> bool:
    return isinstance(method(spec), AttributionMethod)


MAPPING = [spec for spec in SPECS if maps_images(spec)]
FITTING = [spec for spec in SPECS if not maps_images(spec)]
OF_UNITS = ("logit", "probability")  # what portraits can seek without a layer
READING = [spec for spec in SPECS if hasattr(method(spec), "layer") and "grid=pixel" not in spec]
ALWAYS_READING = [spec for spec in READING if getattr(method(spec), "objective", "") not in OF_UNITS]
over_mapping = pytest.mark.parametrize("spec", MAPPING)


@dataclass(frozen=True)
class Question:
    """What a method is asked here: seven images with three targets each, and examples of three concepts."""

    model: Model
    images: Tensor
    targets: Tensor
    concepts: Concepts
    ids: tuple[str, ...]
    seed: int = 0

    @staticmethod
    def about(model: Model) -> Question:
        images, examples = networks.images(model, COUNT), networks.images(model, EXAMPLES, seed=1)
        number = torch.arange(EXAMPLES)[:, None]
        present = number // torch.tensor([1, 2, 4]) % 2 == 0
        examples[present[:, 0]] *= 0.5
        extent = model.input_shape[1:]
        masks = torch.rand(EXAMPLES, 3, *extent, generator=torch.Generator().manual_seed(2)) < 0.5
        masks[:, :, 0] = True  # on a row of every picture, so that no concept is nowhere
        masks &= present.view(EXAMPLES, 3, *[1] * len(extent))
        contexts = number // torch.tensor([2, 4, 1]) % 2 == 0
        ids = tuple(f"example-{i}" for i in range(EXAMPLES))
        concepts = Concepts(("dark", "pairs", "fours"), examples, present, masks, ids, contexts=contexts)
        return Question(model, images, networks.targets(COUNT), concepts, tuple(f"image-{i}" for i in range(COUNT)))

    def rows(self, rows: Sequence[int]) -> Question:
        index = torch.tensor(list(rows))
        ids = tuple(self.ids[row] for row in rows)
        return replace(self, images=self.images[index], targets=self.targets[index], ids=ids)

    def of(self, model: Model) -> Question:
        return replace(self, model=model)

    def double(self) -> Question:
        network = copy.deepcopy(self.model.network).double()
        modules = dict(network.named_modules())
        names = {module: name for name, module in self.model.network.named_modules()}
        layers = {n: replace(at, module=modules[names[at.module]]) for n, at in self.model.layers.items()}
        concepts = replace(self.concepts, images=self.concepts.images.double())
        model = replace(self.model, network=network, layers=layers)
        return replace(self, model=model, images=self.images.double(), concepts=concepts)


def fits(spec: str, model: Model) -> bool:
    return model.name not in UNFIT.get(registry.name_of(method(spec)), set())


def at_home(spec: str, name: str) -> Model:
    """The network of this name, or another that the method fits."""
    return next(MODELS[other] for other in (name, "transformer", "module", "series") if fits(spec, MODELS[other]))


def ask(spec: str, question: Question) -> Portraits | Directions | Scores:
    """Return the answer; a method that has none for this network, and is known not to, ends the test here."""
    try:
        answer = explain(spec, question)
    except Skipped as reason:
        if fits(spec, question.model):
            raise
        pytest.skip(str(reason))
    assert fits(spec, question.model), f"{spec} answers for '{question.model.name}', but UNFIT says that it cannot"
    return answer


def explain(spec: str, question: Question) -> Portraits | Directions | Scores:
    asked = method(spec)
    key = (question.seed, registry.name_of(asked))
    if isinstance(asked, AttributionMethod):
        randomness = Randomness(key, question.ids)
        return asked.attribute(question.model, question.images, question.targets, question.concepts, randomness)
    if isinstance(asked, ProbeMethod):
        return asked.fit(question.model, question.concepts, Randomness(key))
    assert isinstance(asked, SynthesisMethod)
    units = torch.tensor(UNITS, device=question.images.device)
    return asked.synthesise(question.model, units, question.concepts, Randomness(key))


def tensors(explanation: object) -> dict[str, Tensor]:
    found = {name: value for name, value in vars(explanation).items() if isinstance(value, Tensor)}
    details = getattr(explanation, "details", {})
    timeless = {name: value for name, value in details.items() if not name.endswith("seconds")}
    return found | timeless


def assert_equal(one: object, other: object, tolerance: float = 0.0) -> None:
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(
            value, second[name], atol=tolerance, rtol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def differ(one: object, other: object) -> bool:
    first, second = tensors(one), tensors(other)
    return any(not torch.equal(value, second[name]) for name, value in first.items())


@contextmanager
def unlocked(network: nn.Module, frozen: bool) -> Iterator[None]:
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
    try:
        yield
    finally:
        for parameter in network.parameters():
            parameter.requires_grad_(True)


# ------------------------------------------------------------------------------------------------ what comes back


@over_models
@over_specs
def test_a_method_returns_its_kind_with_shapes_and_finite_numbers(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    model, answer = question.model, ask(spec, question)
    assert all(value.isfinite().all() for value in tensors(answer).values())
    if isinstance(answer, Portraits):
        count = len(UNITS) * getattr(method(spec), "restarts", getattr(method(spec), "examples", 1))
        assert answer.images.shape == (count, *model.input_shape)
        assert answer.units.tolist() == [unit for unit in UNITS for _ in range(count // len(UNITS))]
        assert answer.alive.shape == (count,)
        assert answer.history.shape[0] == count
    elif isinstance(answer, Directions):
        grid = model.at(answer.layer).as_grid
        assert callable(grid)
        assert answer.vectors.shape[0] == 3
        assert answer.vectors.ndim == (2 if answer.pooling != "none" else 1 + len(model.input_shape))
        assert answer.bias.shape == (3,)
        lengths = answer.vectors.flatten(1).norm(dim=1)
        assert ((lengths - 1).abs() < 1e-5).logical_or(lengths == 0).all()
        assert not lengths[list(answer.missing)].any()
        assert all(question.concepts.names[number] in why for number, why in answer.missing.items())
    else:
        assert isinstance(answer, Heatmaps | Predictions)
        assert answer.scores.shape == (COUNT, 3)
        if isinstance(answer, Heatmaps):
            assert answer.values.shape == (COUNT, 3, *model.input_shape[1:])
            assert answer.values.dtype == torch.float32
            assert answer.values.is_contiguous()


@over_specs
def test_a_method_says_who_it_is(spec: str) -> None:
    asked = method(spec)
    assert asked.citation
    assert asked.supervision
    assert isinstance(asked.control, bool)
    assert isinstance(asked.stochastic, bool)
    assert type(asked).__name__ == "".join(word.capitalize() for word in registry.name_of(asked).split("_"))


# ------------------------------------------------------------------------------------------------ same question, same answer


@over_few
@over_specs
def test_the_seed_decides_and_global_chance_stays_out_of_it(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    before = torch.get_rng_state()
    first = ask(spec, question)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert_equal(ask(spec, question), first)
    assert differ(ask(spec, replace(question, seed=1)), first) == method(spec).stochastic


@over_models
@over_mapping
def test_answers_are_the_same_in_any_batch_and_order(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    whole = ask(spec, question)
    assert isinstance(whole, Scores)
    for rows in ([0], [6, 5], [2, 4, 0], [3, 6, 1, 0, 2, 5, 4]):
        assert_equal(ask(spec, question.rows(rows)), whole.select(torch.tensor(rows)), tolerance=1e-5)


@over_few
@pytest.mark.parametrize("spec", [spec for spec in FITTING if isinstance(method(spec), ProbeMethod)])
def test_the_order_of_examples_changes_no_direction(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    order = torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(4))
    mixed = question.concepts.select(order)
    assert_equal(ask(spec, replace(question, concepts=mixed)), ask(spec, question), tolerance=1e-5)


@over_few
@pytest.mark.parametrize("spec", [spec for spec in SPECS if hasattr(method(spec), "chunk")])
def test_the_chunk_changes_nothing(spec: str, name: str) -> None:
    question = Question.about(MODELS[name]).double()
    plain = ask(spec, question)
    for chunk in (1, 2, 5):
        separator = "," if ":" in spec else ":"
        assert_equal(ask(f"{spec}{separator}chunk={chunk}", question), plain, tolerance=1e-5)


def reads_concepts(asked: Method) -> bool:
    """Whether a portrait depends on which examples show its concept, not on its unit alone."""
    hidden = getattr(asked, "objective", "logit") not in OF_UNITS
    return hidden or registry.name_of(asked) in ("adversarial", "deepdream")


def of_one(concepts: Concepts, number: int) -> Concepts:
    masks, contexts = concepts.masks, concepts.contexts
    return replace(
        concepts,
        names=concepts.names[number : number + 1],
        present=concepts.present[:, number : number + 1],
        masks=None if masks is None else masks[:, number : number + 1],
        contexts=None if contexts is None else contexts[:, number : number + 1],
    )


@over_few
@pytest.mark.parametrize("spec", [spec for spec in FITTING if isinstance(method(spec), SynthesisMethod)])
def test_a_portrait_does_not_depend_on_the_other_units(spec: str, name: str) -> None:
    question, asked = Question.about(MODELS[name]).double(), method(spec)
    assert isinstance(asked, SynthesisMethod)
    together = ask(spec, question)
    assert isinstance(together, Portraits)
    for concept, unit in enumerate(UNITS):
        key = Randomness((0, registry.name_of(asked)))
        concepts = of_one(question.concepts, concept) if reads_concepts(asked) else question.concepts
        alone = asked.synthesise(question.model, torch.tensor([unit]), concepts, key)
        nearly = 2e-4 if reads_concepts(asked) else 1e-7  # other contrast images, other scales, which Adam hides
        torch.testing.assert_close(together.images[together.units == unit], alone.images, atol=nearly, rtol=0)


@pytest.mark.parametrize("spec", [s for s in SPECS if not isinstance(method(s), SynthesisMethod)])
def test_single_precision_agrees_with_double(spec: str) -> None:
    question = Question.about(at_home(spec, "transformer"))
    single, double = ask(spec, question), ask(spec, question.double())
    for name, value in tensors(single).items():
        scale = float(value.double().abs().max()) + 1e-6
        torch.testing.assert_close(value.double(), tensors(double)[name].double(), atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.gpu
@over_specs
def test_a_gpu_agrees_with_the_processor(spec: str) -> None:
    question = Question.about(at_home(spec, "transformer")).double()
    here = ask(spec, question)
    network = copy.deepcopy(question.model.network).cuda()
    modules, names = dict(network.named_modules()), {m: n for n, m in question.model.network.named_modules()}
    layers = {n: replace(at, module=modules[names[at.module]]) for n, at in question.model.layers.items()}
    there = replace(
        question,
        model=replace(question.model, network=network, layers=layers),
        images=question.images.cuda(),
        targets=question.targets.cuda(),
        concepts=question.concepts.to("cuda"),
    )
    tolerance = 1e-3 if isinstance(method(spec), SynthesisMethod) else 1e-5  # each step adds to what rounding did
    for name, value in tensors(ask(spec, there)).items():
        assert name in getattr(here, "details", {}) or value.is_cuda  # details are for the files
        torch.testing.assert_close(value.cpu(), tensors(here)[name], atol=tolerance, rtol=tolerance)


# ------------------------------------------------------------------------------------------------ everything as found


def state(network: nn.Module) -> list[object]:
    return [
        [len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in network.modules()],
        [parameter.grad is None for parameter in network.parameters()],
        [parameter.requires_grad for parameter in network.parameters()],
        [module.training for module in network.modules()],
        torch.get_rng_state().tolist(),
        [float(value.double().sum()) for value in network.state_dict().values()],
        torch.is_grad_enabled(),
    ]


@over_few
@over_specs
def test_the_network_and_the_images_are_left_as_found(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    before, images, examples = state(question.model.network), question.images.clone(), question.concepts.images.clone()
    ask(spec, question)
    assert state(question.model.network) == before
    assert torch.equal(question.images, images)
    assert torch.equal(question.concepts.images, examples)
    assert not question.images.requires_grad


@over_few
@over_specs
def test_the_network_is_left_as_found_after_an_error_in_it(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    network = question.model.network
    calls = itertools.count()

    def fail(module: nn.Module, given: object) -> None:
        if next(calls) >= 1:  # the first forward passes: errors in the middle count too
            raise ZeroDivisionError("injected")

    handle = question.model.at(None).module.register_forward_pre_hook(fail)
    before = state(network)
    try:
        ask(spec, question)
        ask(spec, question)
    except ZeroDivisionError:
        pass
    else:
        assert next(calls) < 2, "the error was swallowed"
    finally:
        after = state(network)
        handle.remove()
    assert after == before


def test_training_flags_are_left_as_found_and_change_nothing() -> None:
    for spec in SPECS:
        question = Question.about(at_home(spec, "in-place"))
        calm = ask(spec, question)
        question.model.network.train()
        try:
            assert_equal(ask(spec, question), calm)  # with dropout on, it would differ
            assert all(module.training for module in question.model.network.modules())
        finally:
            question.model.network.eval()


def test_repeated_calls_leave_nothing_behind() -> None:
    questions = {spec: Question.about(at_home(spec, "in-place")) for spec in SPECS}

    def living_after(calls: int) -> int:
        for spec in SPECS * calls:
            ask(spec, questions[spec])
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    assert living_after(10) <= living_after(2)


# ------------------------------------------------------------------------------------------------ how it is called


@over_few
@over_specs
def test_frozen_networks_and_no_grad_change_nothing(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    plain = ask(spec, question)
    with unlocked(question.model.network, frozen=True):
        assert_equal(ask(spec, question), plain)
    with torch.no_grad():
        assert_equal(ask(spec, question), plain)


@over_specs
def test_inference_mode_and_wrapped_networks_are_refused_or_harmless(spec: str) -> None:
    question = Question.about(at_home(spec, "in-place"))
    plain = ask(spec, question)
    parallel = question.of(replace(question.model, network=nn.DataParallel(question.model.network)))
    cases: list[tuple[AbstractContextManager[object], Question]] = [
        (torch.inference_mode(), question),
        (nullcontext(), parallel),
    ]
    for mode, asked in cases:
        with mode:
            try:
                answer = ask(spec, asked)
            except InputError as error:
                reason = str(error)
            else:
                assert_equal(answer, plain)
                continue
            assert "inference_mode" in reason or "wrapped" in reason


@pytest.mark.parametrize("spec", [spec for spec in MAPPING if not method(spec).control])
@pytest.mark.parametrize(
    "targets",
    [torch.full((COUNT, 1), 5), torch.full((COUNT, 1), -1), torch.zeros(COUNT - 1, 1, dtype=torch.long)],
    ids=["above", "below", "too few"],
)
def test_targets_that_are_not_there_are_refused(spec: str, targets: Tensor) -> None:
    with pytest.raises(InputError, match=r"unit|\[7, T\]|B = 7"):
        ask(spec, replace(Question.about(at_home(spec, "module")), targets=targets))


@pytest.mark.parametrize("spec", [spec for spec in MAPPING if not method(spec).stochastic])
def test_each_target_is_answered_in_its_column(spec: str) -> None:
    question = Question.about(at_home(spec, "transformer"))
    whole = tensors(ask(spec, question))
    for column in range(3):
        alone = tensors(ask(spec, replace(question, targets=question.targets[:, column : column + 1])))
        for name in {"values", "scores"} & whole.keys():
            torch.testing.assert_close(whole[name][:, column], alone[name][:, 0], atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ networks of every make


@over_specs
def test_in_place_and_functional_relus_give_the_answer_of_modules(spec: str) -> None:
    """The layer is one that a module ReLU leaves alone and an in-place one writes over."""
    questions = [
        Question.about(replace(networks.cnn(relu), layer="conv2")) for relu in ("module", "functional", "in-place")
    ]
    plain, *others = [ask(spec, question) for question in questions]
    for other in others:
        assert_equal(other, plain)


@pytest.mark.parametrize("name", ["transformer", "registered"])
@over_mapping
def test_no_map_of_a_token_network_is_silently_zero(spec: str, name: str) -> None:
    answer = ask(spec, Question.about(MODELS[name]))
    if isinstance(answer, Heatmaps):
        assert answer.values.flatten(2).any(2).float().mean() > 0.5


@over_specs
def test_two_networks_share_nothing(spec: str) -> None:
    first = networks.cnn()
    second = networks.cnn()
    for parameter in second.network.parameters():
        parameter.data.neg_().mul_(0.7)
    alone = ask(spec, Question.about(second))
    ask(spec, Question.about(first))
    assert_equal(ask(spec, Question.about(second)), alone)
    if not method(spec).control:
        assert differ(ask(spec, Question.about(first)), alone)


# ------------------------------------------------------------------------------------------------ awkward inputs


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@over_few
@over_mapping
def test_constant_images_have_finite_answers(spec: str, name: str, level: float) -> None:
    question = Question.about(MODELS[name])
    answer = ask(spec, replace(question, images=torch.full_like(question.images, level)))
    assert all(value.isfinite().all() for value in tensors(answer).values())


@over_mapping
def test_a_dead_unit_has_a_flat_map_beside_living_ones(spec: str) -> None:
    question = Question.about(networks.cnn())
    question.model.network.get_submodule("fc").weight.data[2] = 0
    answer = ask(spec, question)
    assert all(value.isfinite().all() for value in tensors(answer).values())
    if isinstance(answer, Heatmaps) and not method(spec).control:
        dead = answer.values[question.targets == 2].flatten(1)
        assert (dead == dead[:, :1]).all()
        assert answer.values[question.targets != 2].any()


@over_mapping
def test_a_network_of_zeros_has_flat_maps(spec: str) -> None:
    question = Question.about(networks.cnn())
    for parameter in question.model.network.parameters():
        parameter.data.zero_()
    answer = ask(spec, question)
    assert all(value.isfinite().all() for value in tensors(answer).values())
    if isinstance(answer, Heatmaps) and not method(spec).control:
        assert not answer.values.any()


@over_few
@over_mapping
def test_nan_stays_in_its_image_and_is_not_hidden(spec: str, name: str) -> None:
    question = Question.about(MODELS[name])
    plain = ask(spec, question)
    broken = replace(question, images=question.images.clone())
    broken.images[2, 0].flatten()[3] = torch.nan
    answer = ask(spec, broken)
    others = [0, 1, 3, 4, 5, 6]
    assert isinstance(answer, Scores)
    assert isinstance(plain, Scores)
    assert_equal(answer.select(torch.tensor(others)), plain.select(torch.tensor(others)), tolerance=1e-5)
    hidden = all(value[2].isfinite().all() for value in tensors(answer).values())
    reads_images = differ(ask(spec, replace(question, images=question.images.flip(0))), plain)
    assert not (hidden and reads_images)


# ------------------------------------------------------------------------------------------------ one method, one column


def column(spec: str, question: Question) -> Tensor:
    """Return the maps of a method through the lifts, or its scores where it has none."""
    answer = ask(spec, question)
    targets = torch.arange(3).expand(COUNT, -1)
    if isinstance(answer, Portraits):
        answer = explanations.directions(question.model, answer, torch.tensor(UNITS), question.concepts)
    if isinstance(answer, Directions):
        answer = explanations.localise(question.model, answer, question.images, targets)
    assert isinstance(answer, Scores)
    if not isinstance(answer, Heatmaps):
        return answer.scores
    return torch.cat([answer.values.flatten(2), answer.scores[..., None]], 2)  # the same map may be scored in two ways


def test_as_many_methods_as_columns() -> None:
    questions = [Question.about(MODELS[name]) for name in ("transformer", "module", "series")]
    compared = set()
    for question in questions:
        columns = {spec: column(spec, question) for spec in SPECS if fits(spec, question.model)}
        for pair in set(itertools.combinations(columns, 2)) - compared:
            one, other = (columns[spec] for spec in pair)
            assert one.shape != other.shape or not torch.allclose(one, other), pair
        compared |= set(itertools.combinations(columns, 2))


@over_specs
def test_masks_reach_only_those_who_say_so(spec: str) -> None:
    question = Question.about(at_home(spec, "module"))
    assert question.concepts.masks is not None
    other = replace(question.concepts, masks=question.concepts.masks.flip(-1))
    assert differ(ask(spec, replace(question, concepts=other)), ask(spec, question)) == (
        "mask" in method(spec).supervision
    )


@over_specs
def test_contexts_reach_only_those_who_say_so(spec: str) -> None:
    question = Question.about(at_home(spec, "module"))
    assert question.concepts.contexts is not None
    other = replace(question.concepts, contexts=~question.concepts.contexts)
    assert differ(ask(spec, replace(question, concepts=other)), ask(spec, question)) == (
        "context" in method(spec).supervision
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_method_asks_for_the_truth(name: str) -> None:
    kind = registry.names("methods")[name]
    call = next(getattr(kind, verb) for verb in ("attribute", "fit", "synthesise") if hasattr(kind, verb))
    allowed = {"self", "model", "images", "targets", "units", "concepts", "randomness"}
    assert set(inspect.signature(call).parameters) <= allowed


# ------------------------------------------------------------------------------------------------ settings


def other_values(annotation: object) -> list[str]:
    """Return texts that a setting of this type may take."""
    choices = [str(a) for a in typing.get_args(annotation) if isinstance(a, str)]
    nested = [value for part in typing.get_args(annotation) for value in other_values(part)]
    plain = {bool: ["true", "false"], int: ["4", "8"], float: ["0.3", "0.7"], str: ["conv2"]}
    return choices + nested + plain.get(annotation, [])  # type: ignore[call-overload]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_recorded_and_read_back(name: str) -> None:
    kind = registry.names("methods")[name]
    types = typing.get_type_hints(kind)
    specs = {registry.spec_of(method(name))}
    for setting in fields(kind):
        values = [value for value in other_values(types[setting.name]) if value != str(setting.default).lower()]
        assert values, f"{setting.name} has a type that no text describes"
        changed = method(f"{name}:{setting.name}={values[0]}")
        specs.add(registry.spec_of(changed))
        assert method(registry.spec_of(changed)) == changed
        assert registry.settings_of(changed) != registry.settings_of(method(name))
    assert len(specs) == 1 + len(fields(kind))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no setting 'colour_of_paint'"):
        method(f"{name}:colour_of_paint=3")


@pytest.mark.parametrize("spec", READING)
def test_an_unknown_layer_is_refused_with_the_nearest_name(spec: str) -> None:
    separator = "," if ":" in spec else ":"
    with pytest.raises(InputError, match="did you mean 'conv2'"):
        ask(f"{spec}{separator}layer=conv22", Question.about(MODELS["module"]))


@pytest.mark.parametrize("spec", ALWAYS_READING)
def test_a_layer_that_never_runs_is_refused(spec: str) -> None:
    model = networks.cnn()
    idle = Layer("idle", nn.Conv2d(3, 3, 1), lambda grid: grid)
    with pytest.raises(InputError, match="never runs"):
        ask(spec, Question.about(replace(model, layers={**model.layers, "idle": idle}, layer="idle")))
