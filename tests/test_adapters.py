"""Other people's explanations give what their own packages give, by name or object, and leave everything as found."""

from __future__ import annotations

import random
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import captum.attr
import numpy as np
import pytest
import pytorch_grad_cam
import torch
import torch.nn.functional as F
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

import ambench
import networks
from ambench import adapters, explanations, registry, toy
from ambench.core import Concepts, Heatmaps, InputError, Model, Randomness, Skipped
from ambench.plan import NOTHING_GIVEN
from ambench.suite import split_names

TOY = ("python:ambench.toy:network", "python:ambench.toy:Squares")
NAMES = ("a", "b", "c", "d")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum.*")


def examples(model: Model) -> Concepts:
    return Concepts(("a",), networks.images(model, 6, seed=9), torch.ones(6, 1, dtype=torch.bool))


def explain(method: object, model: Model, images: Tensor, targets: Tensor, seed: int = 0) -> Heatmaps:
    asked = registry.load("methods", method) if isinstance(method, str) else method
    return asked.attribute(model, images, targets, examples(model), Randomness((seed, "adapted"), NAMES[: len(images)]))


def question(name: str = "module") -> tuple[Model, Tensor, Tensor]:
    model = networks.every()[name]
    return model, networks.images(model), networks.targets()


def by_column(targets: Tensor, one: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([one(targets[:, column]).detach() for column in range(targets.shape[1])], 1)


# ------------------------------------------------------------------------------------------------ captum


PIXELS = {
    "captum:Saliency,abs=false": lambda net, x, t: captum.attr.Saliency(net).attribute(x, t, abs=False).sum(1),
    "captum:Saliency,reduce=largest": lambda net, x, t: captum.attr.Saliency(net).attribute(x, t).amax(1),
    "captum:InputXGradient": lambda net, x, t: captum.attr.InputXGradient(net).attribute(x, t).sum(1),
    "captum:DeepLift,multiply_by_inputs=false": lambda net, x, t: (
        captum.attr.DeepLift(net, multiply_by_inputs=False).attribute(x, 0 * x[:1], t).sum(1)
    ),
    "captum:IntegratedGradients,n_steps=7,method=riemann_right": lambda net, x, t: (
        captum.attr.IntegratedGradients(net).attribute(x, 0 * x, t, n_steps=7, method="riemann_right").sum(1)
    ),
    "captum:Occlusion,sliding_window_shapes=3+5+4,strides=3+3+2": lambda net, x, t: (
        captum.attr.Occlusion(net).attribute(x, (3, 5, 4), (3, 3, 2), target=t).sum(1)
    ),
    "captum:GuidedBackprop": lambda net, x, t: captum.attr.GuidedBackprop(net).attribute(x, t).sum(1),
}


@pytest.mark.parametrize("spec", PIXELS)
def test_captums_attributions_are_those_of_captum(spec: str) -> None:
    model, images, targets = question()
    expected = by_column(targets, lambda t: PIXELS[spec](model.network, images.clone().requires_grad_(), t))
    answer = explain(spec, model, images, targets)
    torch.testing.assert_close(answer.values, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(answer.scores, explanations.top_share(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["module", "48 x 80", "one channel", "transformer", "swin"])
def test_through_the_adapter_captum_says_what_the_method_of_ours_says(name: str) -> None:
    model, images, targets = question(name)
    for theirs, ours in [("captum:Saliency,abs=false", "saliency:mode=signed"), ("captum:InputXGradient", None)]:
        found = explain(theirs, model, images, targets).values
        signed = explain("saliency:mode=signed", model, images, targets).values
        assert found.shape == signed.shape
        if ours is not None:
            torch.testing.assert_close(found, signed, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("captum:LayerGradCam,relu_attributions=true", "gradcam"),
        ("captum:LayerGradientXActivation", "hirescam:relu=false"),
    ],
)
def test_attributions_at_a_layer_become_maps_of_its_cells(theirs: str, ours: str) -> None:
    model, images, targets = question()
    for layer in ("conv1", "relu2"):
        found = explain(f"{theirs},layer={layer}", model, images, targets).values
        expected = explain(f"{ours}{',' if ':' in ours else ':'}layer={layer}", model, images, targets).values
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_tokens_become_a_grid_and_are_refused_where_captum_would_mistake_them_for_channels() -> None:
    model, images, targets = question("transformer")
    found = explain("captum:LayerGradientXActivation", model, images, targets).values
    torch.testing.assert_close(found, explain("hirescam:relu=false", model, images, targets).values, atol=1e-6, rtol=0)
    with pytest.raises(Skipped, match="takes the second axis for channels"):
        explain("captum:LayerGradCam", model, images, targets)
    with pytest.raises(Skipped, match="takes the second axis for channels"):
        explain("captum:GuidedGradCam", model, images, targets)


def test_baselines_are_black_or_the_mean_of_the_examples() -> None:
    model, images, targets = question()
    mean = examples(model).images.mean((0, 2, 3)).view(1, 3, 1, 1)
    reference = captum.attr.FeatureAblation(model.network)
    for name, baseline in (("black", torch.zeros(1, 3, 1, 1)), ("mean", mean)):
        start = baseline.expand(1, 3, 16, 16)
        mask = torch.arange(4).view(2, 2).repeat_interleave(8, 0).repeat_interleave(8, 1)[None, None]
        expected = by_column(
            targets, lambda t, b=start, m=mask: reference.attribute(images, b, t, feature_mask=m).sum(1)
        )
        found = explain(f"captum:FeatureAblation,cells=2,baselines={name}", model, images, targets).values
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_distribution_of_baselines_is_the_examples_unless_told() -> None:
    model, images, targets = question()
    reference = captum.attr.DeepLiftShap(model.network)
    expected = by_column(targets, lambda t: reference.attribute(images, examples(model).images, t).sum(1))
    answer = explain("captum:DeepLiftShap", model, images, targets)
    torch.testing.assert_close(answer.values, expected, atol=1e-5, rtol=1e-5)
    black = explain("captum:DeepLiftShap,baselines=black", model, images, targets).values
    torch.testing.assert_close(black, explain("captum:DeepLift", model, images, targets).values, atol=1e-5, rtol=1e-5)
    nobody = Concepts((), torch.zeros(0, 3, 16, 16), torch.zeros(0, 0, dtype=torch.bool))
    method = registry.load("methods", "captum:DeepLiftShap")
    with pytest.raises(Skipped, match="wants examples for baselines"):
        method.attribute(model, images, targets, nobody, Randomness((0,), NAMES))


# ------------------------------------------------------------------------------------------------ pytorch-grad-cam


@pytest.mark.parametrize("name", ["module", "48 x 80", "transformer"])
@pytest.mark.parametrize("class_name", ["GradCAM", "EigenGradCAM", "GradCAMElementWise", "EigenCAM"])
def test_pytorch_grad_cams_maps_are_its_own(class_name: str, name: str) -> None:
    model, images, targets = question(name)
    layer = model.at(None)
    cam = getattr(pytorch_grad_cam, class_name)(model.network, [layer.module], reshape_transform=layer.as_grid)
    expected = by_column(
        targets,
        lambda t: torch.from_numpy(cam(images.clone(), [ClassifierOutputTarget(unit) for unit in t.tolist()])),
    )
    cam.activations_and_grads.release()
    model.network.zero_grad()
    found = explain(f"grad-cam:{class_name}", model, images, targets).values
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)
    assert found.std() > 0.01


def test_settings_reach_pytorch_grad_cam() -> None:
    model, images, targets = question()
    plain, smooth, early = (
        explain(f"grad-cam:GradCAM{more}", model, images, targets).values
        for more in ("", ",eigen_smooth=true", ",layer=conv1")
    )
    assert not torch.allclose(plain, smooth)
    assert not torch.allclose(plain, early)


# ------------------------------------------------------------------------------------------------ functions


FUNCTION = """
    import numpy as np
    import torch

    def gradient(network, inputs, targets, power: int = 1, sign: bool = True, kind: str = "tensor"):
        inputs = inputs.detach().requires_grad_()
        logits = network(inputs).gather(1, targets[:, None]).sum()
        slopes = torch.autograd.grad(logits, inputs)[0] ** power
        slopes = slopes if sign else slopes.abs()
        return slopes.detach().numpy() if kind == "array" else slopes

    def two(network, inputs):
        return inputs
"""


@pytest.fixture
def written(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(FUNCTION), encoding="utf-8")
    return f"python:{path}"


def test_a_function_in_a_file_is_a_method_with_its_arguments_as_settings(written: str) -> None:
    model, images, targets = question()
    expected = explain("saliency:mode=signed", model, images, targets).values
    for more in ("", ",kind=array"):
        found = explain(f"{written}:gradient{more}", model, images, targets)
        torch.testing.assert_close(found.values, expected, atol=1e-6, rtol=0)
    squared = explain(f"{written}:gradient,power=2", model, images, targets).values
    assert not torch.allclose(squared, expected)
    method = registry.load("methods", f"{written}:gradient,power=3,sign=false")
    assert (method.power, method.sign, method.kind, method.reduce) == (3, False, "tensor", "sum")


def test_its_code_counts(written: str) -> None:
    before = registry.code_digest(registry.load("methods", f"{written}:gradient"))
    path = Path(written.removeprefix("python:"))
    path.write_text(path.read_text() + "\n# changed\n")
    assert registry.code_digest(registry.load("methods", f"{written}:gradient")) != before


def test_maps_of_cells_are_enlarged_and_maps_of_pixels_are_not() -> None:
    model, images, targets = question("48 x 80")

    def cells(network: nn.Module, inputs: Tensor, units: Tensor) -> Tensor:
        return F.avg_pool2d(inputs, 8)

    def joined(network: nn.Module, inputs: Tensor, units: Tensor) -> np.ndarray:
        return F.avg_pool2d(inputs, 8).detach().sum(1).numpy()

    expected = explanations.upsample(F.avg_pool2d(images, 8).sum(1, keepdim=True), (48, 80))
    for function in (cells, joined):
        found = explain(adapters.adapt(function), model, images, targets).values
        torch.testing.assert_close(found, expected.expand_as(found), atol=1e-6, rtol=0)


def test_tables_keep_their_columns() -> None:
    model = Model("table", "none", networks.seeded(lambda: nn.Linear(5, 2)), {}, {}, "", (5,))
    images = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    found = explain("captum:InputXGradient", model, images, torch.tensor([[0, 1]] * 3))
    torch.testing.assert_close(found.values, images[:, None] * model.network.weight.detach())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: None, "NoneType"),
        (lambda x: x[:1], r"\[1, 3, 16, 16\]"),
        (lambda x: x.flatten(1), r"\[4, 768\]"),
        (lambda x: torch.zeros(4, 1, 3, 16, 16), r"\[4, 1, 3, 16, 16\]"),
    ],
)
def test_an_answer_that_is_no_map_of_the_images_is_refused(answer: Callable[[Tensor], object], said: str) -> None:
    def mine(network: nn.Module, inputs: Tensor, units: Tensor) -> object:
        return answer(inputs)

    model, images, targets = question()
    with pytest.raises(InputError, match=f"returns {said} for inputs"):
        explain(adapters.adapt(mine), model, images, targets)


# ------------------------------------------------------------------------------------------------ promises


def noisy(network: nn.Module, inputs: Tensor, units: Tensor) -> Tensor:
    """Draws from all three."""
    return inputs + torch.rand_like(inputs) + np.random.rand() + random.random()


@pytest.mark.parametrize(
    "method", [noisy, "captum:GradientShap,stdevs=0.3", "captum:ShapleyValueSampling,cells=2,n_samples=3"]
)
def test_what_draws_depends_on_the_image_and_the_seed_and_on_nothing_else(method: object) -> None:
    model, images, targets = question()
    asked = adapters.adapt(method) if callable(method) else method
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    whole = explain(asked, model, images, targets).values
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (np.random.get_state()[1].tolist(), random.getstate())
    torch.rand(3)
    part = registry.load("methods", asked) if isinstance(asked, str) else asked
    some = part.attribute(model, images[2:], targets[2:], examples(model), Randomness((0, "adapted"), NAMES[2:]))
    torch.testing.assert_close(some.values, whole[2:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(explain(asked, model, images, targets, seed=1).values, whole)


@pytest.mark.parametrize("spec", ["captum:Saliency", "captum:GuidedBackprop", "grad-cam:GradCAM", "grad-cam:XGradCAM"])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_network_is_left_as_found(spec: str, frozen: bool) -> None:
    model, images, targets = question("transformer" if "grad-cam" in spec else "module")
    parameters = list(model.network.parameters())
    for parameter in parameters:
        parameter.requires_grad_(not frozen)
    parameters[0].grad = torch.ones_like(parameters[0])
    plain = explain(spec, networks.every()[model.name if model.name in networks.every() else "module"], images, targets)
    with torch.no_grad():
        answer = explain(spec, model, images, targets)
    torch.testing.assert_close(answer.values, plain.values, atol=1e-6, rtol=0)
    assert [parameter.grad is None for parameter in parameters] == [False] + [True] * (len(parameters) - 1)
    assert torch.equal(parameters[0].grad, torch.ones_like(parameters[0]))
    assert {parameter.requires_grad for parameter in parameters} == {not frozen}
    assert not any(module._forward_hooks or module._backward_hooks for module in model.network.modules())
    assert not images.requires_grad


@pytest.mark.parametrize("spec", ["captum:Saliency", "grad-cam:GradCAM"])
@pytest.mark.parametrize("targets", [torch.full((4, 1), 5), torch.zeros(1, 1, dtype=torch.long)])
def test_targets_that_are_not_there_are_refused(spec: str, targets: Tensor) -> None:
    model, images, _ = question()
    with pytest.raises(InputError, match=r"unit|B = 4"):
        explain(spec, model, images, targets)


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("captum:Salliency", "captum has no attribution 'Salliency'; did you mean 'Saliency'?"),
        ("captum:Saliency,abbs=false", "'captum:Saliency' has no setting 'abbs'; did you mean 'abs'?"),
        ("captum:IntegratedGradients,n_steps=many", "setting n_steps='many' is not right"),
        ("captum:Occlusion", "'captum:Occlusion' needs the setting 'sliding_window_shapes'"),
        ("captum:NoiseTunnel", "'captum:NoiseTunnel' takes no target"),
        ("captum:LimeBase", "'captum:LimeBase' needs 'interpretable_model', which no setting describes"),
        ("captum:NeuronConductance", "'captum:NeuronConductance' needs the setting 'neuron_selector'"),
        ("captum:LayerActivation", "takes no target, so it cannot explain an output unit"),
        ("grad-cam:GradCAMM", "pytorch-grad-cam has no class 'GradCAMM'; did you mean 'GradCAM'?"),
        ("grad-cam:GradCAM,smooth=true", "has no setting 'smooth'"),
        ("WRITTEN:gradien", "did you mean 'gradient'?"),
        ("WRITTEN:two", "takes (network, inputs); a function that explains takes (network, inputs, targets)"),
        ("WRITTEN:gradient,powr=2", "did you mean 'power'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(spec: str, sentence: str, written: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.load("methods", spec.replace("WRITTEN", written))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(InputError, match=r"not installed; python -m pip install 'ambench\[grad-cam\]'"):
        registry.load("methods", "grad-cam:HiResCAM,eigen_smooth=false")


@pytest.mark.parametrize(
    "spec",
    ["captum:Saliency", "captum:Saliency,abs=false", "grad-cam:GradCAM,layer=conv1", "captum:KernelShap,cells=4"],
)
def test_a_name_is_written_in_one_way_and_read_back(spec: str) -> None:
    method = registry.load("methods", spec)
    assert registry.spec_of(method) == spec
    assert registry.load("methods", registry.spec_of(method)) == method
    assert NOTHING_GIVEN.canonical("methods", f"{spec},reduce=sum") == spec
    assert split_names(f"gradcam,{spec},saliency") == ("gradcam", spec, "saliency")
    assert registry.code_digest(method) != "none"


# ------------------------------------------------------------------------------------------------ in the table


def test_names_and_objects_enter_the_table_beside_methods_of_ours(written: str) -> None:
    def dark(network: nn.Module, inputs: Tensor, units: Tensor) -> Tensor:
        return -inputs.detach()

    methods = ["captum:InputXGradient", "grad-cam:GradCAM", f"{written}:gradient", dark, captum.attr.Saliency]
    results = ambench.evaluate(TOY[0], [*methods, pytorch_grad_cam.HiResCAM, "gradcam"], TOY[1], "pixel_auroc", jobs=0)
    frame = results.to_frame()
    values = frame[frame.concept == "all"].set_index("method").value
    assert set(frame.status) == {"ok"}
    assert {"captum:InputXGradient", "grad-cam:GradCAM", f"{written}:gradient"} <= set(values.index)
    assert {"captum:Saliency", "grad-cam:HiResCAM", "gradcam"} <= set(values.index)
    assert len(values) == 7
    assert values["captum:InputXGradient"] > 0.8 > 0.5 > values[next(n for n in values.index if "dark" in n)]


def test_workers_ask_by_name(tmp_path: Path, written: str) -> None:
    methods = ["captum:InputXGradient", f"{written}:gradient,power=3"]
    apart = ambench.evaluate(TOY[0], methods, TOY[1], "pixel_auroc", jobs=1, out=tmp_path / "run").to_frame()
    here = ambench.evaluate(TOY[0], methods, TOY[1], "pixel_auroc", jobs=0).to_frame()
    assert apart.value.tolist() == here.value.tolist()


def test_an_instance_explains_the_network_that_it_was_made_for_and_no_other() -> None:
    model, other = toy.network(), toy.network(2.0)
    for made in (
        captum.attr.LayerGradCam(model.network, model.at(None).module),
        pytorch_grad_cam.GradCAM(model.network, [model.at(None).module]),
    ):
        results = ambench.evaluate(model, made, TOY[1], "pixel_auroc").to_frame()
        assert results[results.concept == "all"].value.item() > 0.8
        with pytest.raises(InputError, match="made for another network than 'toy'"):
            explain(adapters.adapt(made), other, torch.rand(4, 3, 16, 16), torch.zeros(4, 1, dtype=torch.long))


def test_what_explains_nothing_is_refused() -> None:
    for thing in (3, toy.Squares(), nn.Linear):
        with pytest.raises(InputError, match="one of the methods is a"):
            ambench.evaluate(TOY[0], thing, TOY[1], "iou")
