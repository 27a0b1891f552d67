"""Stimuli read by their file names: which are kept, what they are asked, what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from ambench import registry
from ambench.categories import sixteen
from ambench.core import Dataset, InputError

NAMES = ("cat3-dog2", "dog1-cat4", "bird2-bird7", "truck5", "knife1-oven2")
CLASSES = list(sixteen())


def paint(file: Path, colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (12, 12)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        kind = name.split("-", maxsplit=1)[0].rstrip("0123456789")
        paint(tmp_path / "stimuli" / kind / f"{name}.png", (40 * number, 0, 0))
    return tmp_path


@pytest.fixture
def with_silhouettes(root: Path) -> Path:
    for name in NAMES:
        exemplar = name.split("-", maxsplit=1)[0]
        outline = Image.new("L", (12, 12), 255)
        outline.paste(0, (0, 0, 6, 12))  # the left half is the object
        (root / "silhouettes").mkdir(exist_ok=True)
        outline.save(root / "silhouettes" / f"{exemplar}.png")
    return root


def read(root: Path, **settings: object) -> Dataset:
    return registry.build(
        registry.find("datasets", "cue_conflict_folder"), {"path": str(root), "size": 12, **settings}, "it"
    )


class TestWhatIsShown:
    def test_pictures_whose_cues_agree_are_left_out(self, root: Path) -> None:
        (case,) = read(root)
        assert set(case.ids) == {"cat3-dog2", "dog1-cat4", "knife1-oven2"}

    def test_all_of_them_are_there_when_asked_for(self, root: Path) -> None:
        (case,) = read(root, keep="all")
        assert set(case.ids) == set(NAMES)
        said = dict(
            zip(case.ids, zip(case.truth.shape.tolist(), case.truth.texture.tolist(), strict=True), strict=True)
        )
        assert said["truck5"] == (CLASSES.index("truck"),) * 2
        assert said["bird2-bird7"] == (CLASSES.index("bird"),) * 2

    @pytest.mark.parametrize(("ask", "place"), [("shape", 0), ("texture", 1)])
    def test_each_is_asked_for_the_category_of_one_cue(self, root: Path, ask: str, place: int) -> None:
        dataset = read(root, ask=ask)
        (case,) = dataset
        for name, target, present in zip(case.ids, case.targets[:, 0], case.truth.present, strict=True):
            assert dataset.names[target] == name.split("-")[place].rstrip("0123456789")
            assert present.all()

    def test_pictures_and_truth_belong_together(self, root: Path) -> None:
        (case,) = read(root, keep="all")
        reds = dict(zip(case.ids, (case.images[:, 0, 0, 0] * 255).round().tolist(), strict=True))
        assert reds == {name: 40.0 * number for number, name in enumerate(NAMES)}

    def test_silhouettes_are_the_object_and_the_mask_of_its_shape(self, with_silhouettes: Path) -> None:
        (case,) = read(with_silhouettes)
        half = torch.zeros(12, 12, dtype=torch.bool)
        half[:, :6] = True
        assert (case.truth.object == half).all()
        assert (case.truth.masks == half).all()
        (case,) = read(with_silhouettes, ask="texture")
        assert case.truth.masks is None
        assert (case.truth.object == half).all()

    def test_without_silhouettes_nobody_knows_where_the_object_is(self, root: Path) -> None:
        (case,) = read(root)
        assert case.truth.object is None
        assert case.truth.masks is None

    def test_a_folder_of_pictures_alone_will_do(self, root: Path) -> None:
        inside, whole = read(root / "stimuli"), read(root)
        assert next(iter(inside)).ids == next(iter(whole)).ids

    def test_there_are_no_examples(self, root: Path) -> None:
        examples = read(root).concepts("fit")
        assert examples.images.shape == (0, 3, 12, 12)
        assert examples.present.shape == (0, 16)
        with pytest.raises(InputError, match=r"no part 'fitt'.*did you mean 'fit'"):
            read(root).concepts("fitt")  # type: ignore[arg-type]

    def test_categories_of_your_own(self, tmp_path: Path) -> None:
        paint(tmp_path / "star1-ring2.png")
        dataset = read(tmp_path, categories="ring+star")
        assert dataset.classes == ("ring", "star")
        assert next(iter(dataset)).truth.shape.tolist() == [1]

    def test_other_sizes_and_grey_pictures(self, root: Path) -> None:
        (case,) = read(root, size="8+10", channels=1)
        assert case.images.shape == (3, 1, 8, 10)

    def test_more_stimuli_than_a_case_holds(self, tmp_path: Path) -> None:
        for number in range(70):
            paint(tmp_path / f"cat{number}-dog1.png")
        cases = list(read(tmp_path))
        assert [len(case) for case in cases] == [64, 6]
        assert len({name for case in cases for name in case.ids}) == 70


class TestRevision:
    def test_it_follows_the_files_and_the_order_only_their_names(self, root: Path) -> None:
        before, order = read(root).revision, next(iter(read(root))).ids
        paint(root / "stimuli" / "cat" / "cat3-dog2.png", (9, 9, 9))
        assert read(root).revision != before
        assert next(iter(read(root))).ids == order

    def test_its_name_reads_back(self, root: Path) -> None:
        spec = f"cue_conflict_folder:{root},ask=texture"
        assert registry.spec_of(registry.load("datasets", spec)) == spec


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("cat3_dog2.png", "the stimulus name 'cat3_dog2.png' in .* is not like 'cat3-dog2.png'"),
            ("cat-dog.png", "is not like"),
            ("cat3-dgo2.png", "'cat3-dgo2.png' has the texture 'dgo', no category; did you mean 'dog'"),
            ("kat3-dog2.png", "has the shape 'kat', no category; did you mean 'cat'"),
        ],
    )
    def test_a_name_that_says_nothing_is_told_so(self, root: Path, name: str, sentence: str) -> None:
        paint(root / "stimuli" / name)
        with pytest.raises(InputError, match=sentence):
            read(root)

    def test_a_missing_silhouette_is_named(self, with_silhouettes: Path) -> None:
        (with_silhouettes / "silhouettes" / "dog1.png").unlink()
        with pytest.raises(InputError, match=r"has no silhouette 'dog1.png' for 'dog1-cat4.png'"):
            read(with_silhouettes)

    def test_two_of_one_name_are_refused(self, root: Path) -> None:
        paint(root / "stimuli" / "again" / "cat3-dog2.png")
        with pytest.raises(InputError, match="two stimuli are called 'cat3-dog2'"):
            read(root)

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"path": ""}, "needs a path"),
            ({"path": "/nowhere"}, "there is no folder '/nowhere'"),
            ({"ask": "colour"}, "ask='colour'"),
            ({"size": "0"}, "size is a side in pixels"),
            ({"channels": 4}, "channels is 1"),
        ],
    )
    def test_settings_that_cannot_be(self, root: Path, settings: dict[str, object], sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            read(root, **settings)

    def test_nothing_to_show(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no stimulus"):
            read(tmp_path)
        paint(tmp_path / "cat1-cat2.png")
        with pytest.raises(InputError, match=r"no stimulus in .* has two cues that conflict; keep=all"):
            read(tmp_path)
