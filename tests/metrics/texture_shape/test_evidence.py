"""Evidence on the outline against scipy's erosion and dilation, and twins that are told apart, or the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

import ambench
from ambench import registry
from ambench.core import (
    Case,
    Concepts,
    Heatmaps,
    InputError,
    Model,
    Randomness,
    Scores,
    Skipped,
    Trial,
    Truth,
    Twin,
    Values,
)

outlines = import_module("ambench.metrics.texture_shape._outline")


def blob(seed: int, extent: tuple[int, int] = (64, 64)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=extent), min(extent) / 8)
    return noise > np.quantile(noise, 0.6)


def case(objects: Tensor, shape: Tensor | None = None, texture: Tensor | None = None) -> Case:
    """Images [n] whose first row of pixels says which class each of two networks names."""
    count, columns = len(objects), 2
    shape = torch.arange(count) % 3 if shape is None else shape
    texture = (shape + 1) % 3 if texture is None else texture
    images = torch.zeros(count, 3, *objects.shape[1:])
    targets = torch.zeros(count, columns).long()
    truth = Truth(targets == 0, object=objects, shape=shape, texture=texture)
    return Case(images, targets, truth, tuple(f"image-{i}" for i in range(count)))


def evidence(maps: Tensor, objects: Tensor) -> Values:
    """Maps [n, H, W], the same for both concepts asked."""
    asked = case(objects)
    answer = Heatmaps(torch.zeros(len(maps), 2), maps[:, None].expand(-1, 2, *maps.shape[1:]))
    concepts = Concepts(("a",), asked.images[:0], torch.zeros(0, 1).bool())
    values = registry.load("metrics", "shape_evidence").score(
        Trial(None, asked, answer, concepts, None, None)  # type: ignore[arg-type]
    )
    assert values is not None
    return values


class TestOutline:
    @pytest.mark.parametrize("extent", [(64, 64), (48, 80), (32, 32), (224, 224)])
    def test_band_and_inside_equal_scipys(self, extent: tuple[int, int]) -> None:
        for seed in range(5):
            mask = blob(seed, extent)
            steps = max(1, round(3 * min(extent) / 64))
            eroded = ndimage.binary_erosion(mask, iterations=steps, border_value=1)
            dilated = ndimage.binary_dilation(mask, iterations=steps)
            found = outlines.outline(torch.from_numpy(mask)[None])
            assert np.array_equal(found.inside[0].numpy(), eroded)
            assert np.array_equal(found.band[0].numpy(), dilated & ~eroded)
            assert found.defined.item()

    def test_thin_objects_and_pictures_full_of_one_are_undefined(self) -> None:
        thin, full, square = torch.zeros(3, 64, 64, dtype=torch.bool)
        thin[30:36] = True  # six pixels wide: nothing is left inside
        full[:] = True
        square[10:21, 10:21] = True  # 5 x 5 are left
        assert outlines.outline(torch.stack([thin, full, square])).defined.tolist() == [False, False, True]
        square[10:21, 20] = False  # 5 x 4 = 20 are left, then 5 x 3
        assert outlines.outline(square[None]).defined.item()
        square[10:21, 19] = False
        assert not outlines.outline(square[None]).defined.item()

    def test_the_pictures_edge_is_no_outline(self) -> None:
        half = torch.zeros(1, 64, 64, dtype=torch.bool)
        half[:, :, :32] = True
        found = outlines.outline(half)
        assert found.band[0].any(0).nonzero().flatten().tolist() == [29, 30, 31, 32, 33, 34]


class TestShapeEvidence:
    def test_the_band_is_1_the_inside_0_and_the_same_everywhere_even(self) -> None:
        objects = torch.from_numpy(np.stack([blob(seed) for seed in range(6)]))
        found = outlines.outline(objects)
        for maps, value in ((found.band.float(), 1.0), (found.inside.float(), 0.0), (torch.ones(6, 64, 64), 0.5)):
            values = evidence(maps, objects)
            assert values.values.tolist() == [[value] * 2] * 6
            assert values.defined.all()

    def test_random_maps_equal_numpys(self) -> None:
        objects = np.stack([blob(seed, (48, 80)) for seed in range(8)])
        maps = np.random.default_rng(0).normal(size=objects.shape)
        values = evidence(torch.from_numpy(maps), torch.from_numpy(objects)).values[:, 0]
        for value, mask, heat in zip(values.tolist(), objects, maps, strict=True):
            eroded = ndimage.binary_erosion(mask, iterations=2, border_value=1)
            band = ndimage.binary_dilation(mask, iterations=2) & ~eroded
            on, inside = (np.maximum(heat[where], 0).mean() for where in (band, eroded))
            assert value == pytest.approx(on / (on + inside), abs=1e-12)

    def test_maps_without_evidence_are_flat_and_even(self) -> None:
        objects = torch.from_numpy(np.stack([blob(0)] * 3))
        nothing, against, elsewhere = torch.zeros(3, 64, 64)
        against[:] = -1
        found = outlines.outline(objects[:1])
        elsewhere[~(found.band | found.inside)[0]] = 1.0
        values = evidence(torch.stack([nothing, against, elsewhere]), objects)
        assert values.values.tolist() == [[0.5] * 2] * 3
        assert values.flat.all()

    def test_scale_changes_nothing_and_what_is_negative_counts_for_nothing(self) -> None:
        objects = torch.from_numpy(np.stack([blob(seed) for seed in range(4)]))
        maps = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(0))
        values = evidence(maps, objects).values
        torch.testing.assert_close(evidence(1000 * maps, objects).values, values)
        assert torch.equal(evidence(maps.clamp_min(0), objects).values, values)

    def test_maps_of_another_size_are_refused(self) -> None:
        with pytest.raises(InputError, match="do not lie on objects"):
            evidence(torch.zeros(1, 32, 32), torch.from_numpy(blob(0))[None])


# ------------------------------------------------------------------------------------------------ twins


class _Says(nn.Module):
    """Logits [B, 3] read off a channel of the first three pixels."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, images: Tensor) -> Tensor:
        return images[:, self.channel, 0, :3]


SHAPES, TEXTURES = ("circle", "square", "star"), ("striped", "dotted", "plain")
Maps = Callable[[Tensor], Tensor]  # units [B, 1] -> maps [B, 1, H, W]


def network(classes: tuple[str, ...], channel: int) -> Model:
    units = {name: i for i, name in enumerate(classes)}
    return Model(classes[0], "w", _Says(channel), units, {}, "", (3, 64, 64), classes)


def answering(asked: Case, by_shape: Tensor, by_texture: Tensor) -> Case:
    """The case whose images make the first network name `by_shape` [B] and the second `by_texture` [B]."""
    images = asked.images.clone()
    for channel, named in enumerate((by_shape, by_texture)):
        images[:, channel, 0, :3] = torch.nn.functional.one_hot(named, 3).float()
    return replace(asked, images=images)


def compared(asked: Case, mine: Maps, its: Maps, twin: Model | None = None, spec: str = "twin_detection") -> Values:
    here, there = network(SHAPES, 0), twin or network(TEXTURES, 1)

    def find(name: str | None) -> Twin:
        model, maps = (here, mine) if name is None else (there, its)
        return Twin(model, lambda images, units, case: Heatmaps(torch.zeros(len(units), 1), maps(units)))

    answer = Heatmaps(torch.zeros(len(asked), 2), torch.zeros(len(asked), 2, 64, 64))
    concepts = Concepts(("a",), asked.images[:0], torch.zeros(0, 1).bool())
    trial = Trial(here, asked, answer, concepts, Randomness((0,)), torch.arange(1), classes=SHAPES, twin=find)
    values = registry.load("metrics", spec).score(trial)
    assert values is not None
    return values


@pytest.fixture
def asked() -> Case:
    plain = case(torch.from_numpy(np.stack([blob(seed) for seed in range(9)])))
    return answering(plain, plain.truth.shape, plain.truth.texture)


def noise(seed: int) -> Maps:
    return lambda units: torch.rand(len(units), 1, 64, 64, generator=torch.Generator().manual_seed(seed))


class TestTwinDetection:
    def test_more_on_the_outline_is_1_less_0_and_as_much_a_half(self, asked: Case) -> None:
        found = outlines.outline(asked.truth.object)
        band, inside = found.band[:, None].float(), found.inside[:, None].float()
        for mine, its, value in ((band, inside, 1.0), (inside, band, 0.0), (band, band, 0.5), (band, 3 * band, 0.5)):
            values = compared(asked, lambda units, maps=mine: maps, lambda units, maps=its: maps)
            assert values.values.tolist() == [[value] * 2] * 9
            assert values.defined.all()

    def test_swapping_the_maps_gives_one_less_the_value(self, asked: Case) -> None:
        one, other = compared(asked, noise(0), noise(1)), compared(asked, noise(1), noise(0))
        assert torch.equal(one.values, 1 - other.values)
        assert 0 < one.values.mean() < 1

    def test_it_compares_the_evidence_of_each(self, asked: Case) -> None:
        mine, its = (evidence(noise(seed)(asked.targets[:, :1])[:, 0], asked.truth.object).values for seed in (0, 1))
        assert torch.equal(compared(asked, noise(0), noise(1)).values, (mine > its).double())

    def test_only_images_on_which_each_names_its_own_cue_count(self, asked: Case) -> None:
        by_shape, by_texture = asked.truth.shape.clone(), asked.truth.texture.clone()
        by_shape[0], by_texture[1] = (by_shape[0] + 2) % 3, asked.truth.shape[1]
        values = compared(answering(asked, by_shape, by_texture), noise(0), noise(1))
        assert values.defined[:, 0].tolist() == [False, False] + [True] * 7

    def test_a_twin_of_the_same_cue_must_name_that(self, asked: Case) -> None:
        other_seed = network(SHAPES, 1)
        assert not compared(asked, noise(0), noise(1), other_seed).defined.any()
        by_shape = answering(asked, asked.truth.shape, asked.truth.shape)
        assert compared(by_shape, noise(0), noise(1), other_seed).defined.all()

    def test_images_without_conflict_do_not_count(self) -> None:
        plain = case(torch.from_numpy(blob(0))[None], torch.tensor([1]), torch.tensor([1]))
        assert not compared(answering(plain, torch.tensor([1]), torch.tensor([1])), noise(0), noise(1)).defined.any()

    @pytest.mark.parametrize(("target", "mine", "its"), [("own", "shape", "texture"), ("other", "texture", "shape")])
    def test_each_explains_the_class_of_its_own_cue_or_of_the_other(
        self, asked: Case, target: str, mine: str, its: str
    ) -> None:
        seen: dict[str, Tensor] = {}

        def noting(name: str) -> Maps:
            return lambda units: seen.setdefault(name, units)[:, :, None, None] + torch.zeros(1, 1, 64, 64)

        compared(asked, noting("mine"), noting("its"), spec=f"twin_detection:target={target}")
        assert torch.equal(seen["mine"][:, 0], getattr(asked.truth, mine))
        assert torch.equal(seen["its"][:, 0], getattr(asked.truth, its))

    def test_an_image_does_not_depend_on_its_neighbours(self, asked: Case) -> None:
        mine, its = noise(0)(asked.targets[:, :1]), noise(1)(asked.targets[:, :1])
        whole, rows = compared(asked, lambda units: mine, lambda units: its), [5, 0, 7]
        part = compared(asked.select(rows), lambda units: mine[rows], lambda units: its[rows])
        assert torch.equal(part.values, whole.values[rows])

    def test_nan_is_refused_and_a_method_without_maps_skipped(self, asked: Case) -> None:
        with pytest.raises(InputError, match="NaN"):
            compared(asked, lambda units: noise(0)(units) * torch.nan, noise(1))
        here = network(SHAPES, 0)
        scores = Scores(torch.zeros(9, 1))
        trial = Trial(
            here, asked, Heatmaps(torch.zeros(9, 2), torch.zeros(9, 2, 64, 64)), None, None, None, classes=SHAPES,
            twin=lambda name: Twin(here, lambda images, units, case: scores),
        )  # type: ignore[arg-type]  # fmt: skip
        with pytest.raises(Skipped, match="says nothing about where"):
            registry.load("metrics", "twin_detection").score(trial)

    @pytest.mark.parametrize("missing", ["object", "shape", "texture", "twin"])
    def test_without_what_it_needs_there_is_no_value(self, asked: Case, missing: str) -> None:
        known = asked if missing == "twin" else replace(asked, truth=replace(asked.truth, **{missing: None}))
        trial = Trial(
            network(SHAPES, 0), known, Heatmaps(torch.zeros(9, 2), torch.zeros(9, 2, 64, 64)), None, None, None
        )
        given = replace(trial, twin=None if missing == "twin" else lambda name: None)  # type: ignore[arg-type, return-value]
        assert registry.load("metrics", "twin_detection").score(given) is None


class TestEmbeddedTwins:
    def test_saliency_tells_them_apart_and_a_network_from_itself_not(self) -> None:
        results = ambench.evaluate(
            "cnn",
            ["saliency", "random_map:grid=pixel"],
            "cue_conflict:ask=shape,test=48,fit=0,calibrate=0",
            ["twin_detection", "twin_detection:twin=cnn", "shape_evidence"],
            jobs=0,
        )
        said = {(r.method, r.metric): r for r in results.records if r.concept == "all"}
        assert said["saliency", "twin_detection"].value > 0.9
        assert said["saliency", "twin_detection:twin=cnn"].value == 0.5
        assert said["random_map:grid=pixel", "twin_detection"].value == pytest.approx(0.5, abs=0.25)
        assert said["random_map:grid=pixel", "shape_evidence"].value == pytest.approx(0.5, abs=0.03)

    def test_the_metric_equals_the_evidence_of_two_cells(self) -> None:
        settings = "test=32,fit=0,calibrate=0"
        cells = (("cnn", "shape"), ("cnn-texture", "texture"))
        mine, its = (
            ambench.evaluate(m, "saliency", f"cue_conflict:ask={cue},{settings}", "shape_evidence", jobs=0)
            .to_frame("image")
            .set_index("id")
            .value
            for m, cue in cells
        )
        both = ambench.evaluate(
            "cnn", "saliency", f"cue_conflict:ask=shape,{settings}", "twin_detection", jobs=0
        ).to_frame("image")
        counted = both[both.defined].set_index("id").value
        assert len(counted) > 20
        assert (counted == (mine > its).astype(float).loc[counted.index]).all()

    def test_embedded_twins_name_the_cue_that_they_were_trained_on(self) -> None:
        results = ambench.evaluate(
            ["cnn", "cnn-texture"], "prediction", "cue_conflict:test=64", ["shape_bias", "coverage", "hit_rate"], jobs=0
        )
        said = {(r.model, r.metric): r.value for r in results.records if r.concept == "all"}
        assert said["cnn", "shape_bias"] > 0.95
        assert said["cnn-texture", "shape_bias"] < 0.05
        assert said["cnn", "hit_rate"] == pytest.approx(said["cnn", "shape_bias"] * said["cnn", "coverage"])
