"""A folder of pictures becomes the dataset that its layout says, and says in one sentence where it cannot."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ambench import registry
from ambench.core import Dataset, InputError

# ------------------------------------------------------------------------------------------------ drawing folders


def colour(number: int) -> tuple[int, int, int]:
    return (number * 37 % 256, number * 91 % 256, number * 53 % 256)


def picture(path: Path, number: int = 0, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour(number)).save(path)


def mask(path: Path, box: tuple[int, int, int, int] | None, size: tuple[int, int] = (8, 8)) -> None:
    """Draw a mask with a box (left, top, right, bottom), or an empty one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.new("L", size, 0)
    if box is not None:
        drawn.paste(7, box)
    drawn.save(path)


def table(root: Path, *rows: dict[str, str]) -> None:
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def labelled(root: Path, labels: list[str]) -> None:
    for number, _ in enumerate(labels):
        picture(root / "images" / f"{number:02}.png", number)
    table(root, *({"file": f"{number:02}.png", "label": label} for number, label in enumerate(labels)))


def taught(root: Path, examples: int = 12, contrast: int = 8, tested: int = 6) -> None:
    """Two concepts with examples, some contrast, and labelled test pictures; no two files alike."""
    labelled(root, ["striped", "dotted", "plain"] * (tested // 3))
    for number in range(examples):
        picture(root / "concepts" / "striped" / f"s{number}.png", 50 + number)
        picture(root / "concepts" / "dotted" / f"d{number}.png", 90 + number)
    for number in range(contrast):
        picture(root / "contrast" / f"c{number}.png", 130 + number)


def masked(root: Path, count: int = 20) -> None:
    """Pictures of which every second has a mask of `car` and every fifth one of `bus`; no labels."""
    for number in range(count):
        picture(root / "images" / f"{number:02}.png", number)
        if number % 2 == 0:
            mask(root / "masks" / "car" / f"{number:02}.png", (0, 0, 4, 8))
        if number % 5 == 0:
            mask(root / "masks" / "bus" / f"{number:02}.png", (4, 4, 8, 8))


def folder(root: Path, **settings: object) -> Dataset:
    return registry.build(registry.find("datasets", "folder"), {"path": str(root), "size": 8, **settings}, "folder")


def whole(dataset: Dataset):
    """All cases as one: ids, images, targets, presence and masks."""
    cases = list(dataset)
    masks = None if cases[0].truth.masks is None else torch.cat([case.truth.masks for case in cases])
    ids = [name for case in cases for name in case.ids]
    stacked = [torch.cat([getattr(c, key) for c in cases]) for key in ("images", "targets")]
    return ids, *stacked, torch.cat([case.truth.present for case in cases]), masks


# ------------------------------------------------------------------------------------------------ what is asked


def test_labels_alone_ask_each_image_for_its_own(tmp_path):
    labelled(tmp_path, ["zebra", "340", "zebra", "crane"])
    dataset = folder(tmp_path)
    ids, images, targets, present, masks = whole(dataset)
    assert dataset.names == ("zebra", "340", "crane")
    assert {name: dataset.names[k] for name, k in zip(ids, targets[:, 0].tolist(), strict=True)} == {
        "00.png": "zebra",
        "01.png": "340",
        "02.png": "zebra",
        "03.png": "crane",
    }
    assert targets.shape == present.shape == (4, 1)
    assert present.all()
    assert masks is None
    assert images.dtype == torch.float32
    for name, image in zip(ids, images, strict=True):
        assert torch.equal(image[:, 3, 5], torch.tensor(colour(int(name[:2]))) / 255)


def test_masks_ask_every_image_for_every_concept_and_say_where_it_is(tmp_path):
    masked(tmp_path)
    dataset = folder(tmp_path)
    ids, _, targets, present, masks = whole(dataset)
    assert dataset.names == ("bus", "car")
    assert targets.tolist() == [[0, 1]] * 20
    for name, shown, where in zip(ids, present.tolist(), masks, strict=True):
        number = int(name[:2])
        assert shown == [number % 5 == 0, number % 2 == 0]
        assert int(where[0].sum()) == (16 if shown[0] else 0)
        assert where[1, :, :4].all() == shown[1]
        assert not where[1, :, 4:].any()


def test_concepts_without_masks_are_present_where_they_are_the_label(tmp_path):
    taught(tmp_path)
    dataset = folder(tmp_path)
    ids, _, _, present, masks = whole(dataset)
    assert dataset.names == ("dotted", "striped")
    assert masks is None
    shown = dict(zip(ids, present.tolist(), strict=True))
    assert shown["00.png"] == [False, True]
    assert shown["01.png"] == [True, False]
    assert shown["02.png"] == [False, False]


def test_an_empty_mask_overrules_the_label_and_a_missing_one_does_not(tmp_path):
    labelled(tmp_path, ["car", "car", "tree"])
    mask(tmp_path / "masks" / "car" / "00.png", None)
    ids, _, _, present, masks = whole(folder(tmp_path))
    shown = {name: bool(row[0]) for name, row in zip(ids, present, strict=True)}
    assert shown == {"00.png": False, "01.png": True, "02.png": False}
    assert not masks.any()


def test_what_the_crop_cuts_off_is_not_present(tmp_path):
    picture(tmp_path / "images" / "wide.png", size=(24, 8))
    mask(tmp_path / "masks" / "left" / "wide.png", (0, 0, 8, 8), (24, 8))
    mask(tmp_path / "masks" / "middle" / "wide.png", (8, 0, 16, 8), (24, 8))
    _, _, _, present, masks = whole(folder(tmp_path))
    assert present.tolist() == [[False, True]]
    assert masks[0, 1].all()


def test_cues_count_the_classes_that_the_table_names(tmp_path):
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
    cues = [("cat", "dog"), ("dog", "elephant"), ("cat", "cat")]
    rows = [
        {"file": f"{n}.png", "label": shape, "shape": shape, "texture": texture}
        for n, (shape, texture) in enumerate(cues)
    ]
    table(tmp_path, *rows)
    dataset = folder(tmp_path)
    assert dataset.classes == ("cat", "dog", "elephant")
    (case,) = dataset
    said = zip(case.ids, case.truth.shape.tolist(), case.truth.texture.tolist(), strict=True)
    assert {name: (dataset.classes[s], dataset.classes[t]) for name, s, t in said} == {
        f"{number}.png": pair for number, pair in enumerate(cues)
    }


# ------------------------------------------------------------------------------------------------ parts


def test_examples_are_split_in_their_shares_and_know_their_concept(tmp_path):
    taught(tmp_path)
    dataset = folder(tmp_path)
    fit, calibrate = dataset.concepts("fit"), dataset.concepts("calibrate")
    assert (len(fit), len(calibrate)) == (9 + 9 + 6, 3 + 3 + 2)
    assert not set(fit.ids) & set(calibrate.ids)
    for examples in (fit, calibrate):
        for name, shown in zip(examples.ids, examples.present.tolist(), strict=True):
            assert shown == [name.startswith("concepts/dotted"), name.startswith("concepts/striped")]
        assert examples.masks is None
    assert all(
        torch.equal(image[:, 0, 0] * 255, torch.tensor(colour(_number(name))).float())
        for name, image in zip(fit.ids, fit.images, strict=True)
    )


def _number(name: str) -> int:
    stem = Path(name).stem
    return int(stem[1:]) + {"s": 50, "d": 90, "c": 130}[stem[0]]


def test_a_share_of_the_images_is_learnt_from_with_masks_and_leaves_the_test_part(tmp_path):
    masked(tmp_path)
    dataset = folder(tmp_path, fit=0.4, calibrate=0.25)
    fit, calibrate = dataset.concepts("fit"), dataset.concepts("calibrate")
    tested = whole(dataset)[0]
    assert (len(fit), len(calibrate), len(tested)) == (8, 5, 7)
    assert sorted([*fit.ids, *calibrate.ids, *tested]) == [f"{n:02}.png" for n in range(20)]
    assert torch.equal(fit.masks.flatten(2).any(2), fit.present)
    assert [row[1] for row in fit.present.tolist()] == [int(name[:2]) % 2 == 0 for name in fit.ids]


def test_without_examples_there_are_none_and_every_image_is_tested(tmp_path):
    masked(tmp_path)
    dataset = folder(tmp_path)
    assert dataset.concepts("fit").images.shape == (0, 3, 8, 8)
    assert dataset.concepts("calibrate").present.shape == (0, 2)
    assert len(whole(dataset)[0]) == 20


def test_contrast_pictures_are_negatives_of_masked_concepts_and_of_labels(tmp_path):
    masked(tmp_path / "a")
    labelled(tmp_path / "b", ["cat", "dog"])
    for root in (tmp_path / "a", tmp_path / "b"):
        for number in range(4):
            picture(root / "contrast" / f"{number}.png", 200 + number)
    with_masks = folder(tmp_path / "a", fit=0.4).concepts("fit")
    assert len(with_masks) == 3 + 8
    assert not with_masks.present[:3].any()
    assert not with_masks.masks[:3].any()
    negatives = folder(tmp_path / "b").concepts("fit")
    assert negatives.present.tolist() == [[False, False]] * 3


def test_the_part_of_a_picture_does_not_depend_on_where_the_folder_lies(tmp_path):
    for place in ("a", "b"):
        masked(tmp_path / place)
    first, second = (folder(tmp_path / place, fit=0.4) for place in ("a", "b"))
    assert first.concepts("fit").ids == second.concepts("fit").ids
    assert whole(first)[0] == whole(second)[0]
    assert first.revision == second.revision


def test_the_first_images_are_a_mixture_of_labels(tmp_path):
    labelled(tmp_path, ["cat"] * 30 + ["dog"] * 30)
    targets = whole(folder(tmp_path))[2][:20, 0].tolist()
    assert 4 <= sum(targets) <= 16  # in order of name it would be 0


def test_cases_are_read_in_batches_and_twice_alike(tmp_path):
    labelled(tmp_path, ["cat", "dog"] * 40)
    dataset = folder(tmp_path)
    assert [len(case) for case in dataset] == [64, 16]
    assert all(torch.equal(a.images, b.images) and a.ids == b.ids for a, b in zip(dataset, dataset, strict=True))


def test_a_picture_that_is_learnt_from_and_tested_is_refused(tmp_path):
    taught(tmp_path)
    copy = (tmp_path / "concepts" / "striped" / "s0.png").read_bytes()
    (tmp_path / "images" / "00.png").write_bytes(copy)
    with pytest.raises(InputError, match=r"00\.png' \(test part\) is the same picture as .*s0\.png' \(\w+ part\)"):
        folder(tmp_path).concepts("fit")


# ------------------------------------------------------------------------------------------------ revision


@pytest.mark.parametrize("change", ["pixels", "name", "label", "mask"])
def test_the_revision_follows_bytes_and_names(tmp_path, change):
    labelled(tmp_path, ["car", "tree"])
    mask(tmp_path / "masks" / "car" / "00.png", (0, 0, 4, 4))
    before = folder(tmp_path).revision
    assert folder(tmp_path).revision == before
    if change == "pixels":
        picture(tmp_path / "images" / "01.png", 99)
    elif change == "name":
        (tmp_path / "masks" / "car" / "00.png").rename(tmp_path / "masks" / "car" / "01.png")
    elif change == "label":
        table(tmp_path, {"file": "00.png", "label": "car"}, {"file": "01.png", "label": "bush"})
    else:
        mask(tmp_path / "masks" / "car" / "00.png", (0, 0, 4, 5))
    assert folder(tmp_path).revision != before


# ------------------------------------------------------------------------------------------------ pixels


def gradient() -> np.ndarray:
    return np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def only_image(root: Path, saved: Image.Image, suffix: str = "png", channels: int = 3, size=8, **save) -> torch.Tensor:
    (root / "images").mkdir(parents=True)
    saved.save(root / "images" / f"a.{suffix}", **save)
    table(root, {"file": f"a.{suffix}", "label": "x"})
    (case,) = folder(root, channels=channels, size=size)
    return case.images[0]


def test_a_picture_of_the_right_size_is_not_resampled(tmp_path):
    pixels = gradient()
    found = only_image(tmp_path, Image.fromarray(pixels))
    assert torch.equal(found, torch.from_numpy(pixels).permute(2, 0, 1) / 255)


def test_the_short_side_is_resized_and_the_centre_kept(tmp_path):
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = 255  # the middle third is white
    assert torch.equal(only_image(tmp_path, Image.fromarray(pixels))[:, :, 1:-1], torch.ones(3, 8, 6))


def test_resizing_equals_pillows_antialiased_bilinear(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    found = only_image(tmp_path, Image.fromarray(pixels), size="16+16")
    expected = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR), dtype=np.float32)
    assert (found.permute(1, 2, 0).numpy() * 255 - expected).__abs__().max() < 1  # Pillow rounds to whole numbers twice


def test_height_and_width_may_differ(tmp_path):
    assert only_image(tmp_path, Image.fromarray(gradient()), size="4+6").shape == (3, 4, 6)


def test_an_open_size_is_224(tmp_path):
    assert only_image(tmp_path, Image.fromarray(gradient()), size=None).shape == (3, 224, 224)


def test_exif_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by a quarter clockwise
    pixels = gradient()
    found = only_image(tmp_path, Image.fromarray(pixels), exif=exif)
    assert torch.equal(found, torch.from_numpy(np.rot90(pixels, -1).copy()).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "LA"])
def test_grey_palette_and_colour_pictures_give_three_channels(tmp_path, mode):
    white = Image.new("RGB", (8, 8), "white").convert(mode)
    assert torch.equal(only_image(tmp_path, white), torch.ones(3, 8, 8))


def test_grey_is_the_luma_of_the_colours(tmp_path):
    found = only_image(tmp_path, Image.new("RGB", (8, 8), (255, 0, 51)), channels=1)
    assert found.shape == (1, 8, 8)
    assert found[0, 0, 0].item() == pytest.approx(0.299 + 0.114 * 0.2)


def test_transparency_lies_on_white(tmp_path):
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 51))
    assert only_image(tmp_path, half)[:, 0, 0].tolist() == pytest.approx([1.0, 0.8, 0.8])


def test_sixteen_bits_are_kept(tmp_path):
    deep = Image.fromarray(np.full((8, 8), 257 * 100 + 50, dtype=np.uint16))
    assert only_image(tmp_path, deep)[0, 0, 0].item() == pytest.approx((257 * 100 + 50) / 65535)


def test_cmyk_photographs_are_read_as_colours(tmp_path):
    found = only_image(tmp_path, Image.new("RGB", (8, 8), (200, 40, 90)).convert("CMYK"), "jpg", quality=95)
    assert found[:, 0, 0].mul(255).tolist() == pytest.approx([200, 40, 90], abs=8)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_is_where_a_file_is_not_zero_whatever_its_kind_and_size(tmp_path, mode):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "masks" / "car").mkdir(parents=True)
    values = np.zeros((16, 16), dtype=np.uint16 if mode == "I;16" else np.uint8)
    values[:8] = 3 if mode != "1" else 255
    drawn = Image.fromarray(values)
    if mode == "P":
        drawn.putpalette([0, 0, 0] * 4 + [9, 9, 9])  # number 3 is painted black: numbers count, not colours
    elif mode == "RGBA":
        drawn = Image.merge("RGBA", (drawn, drawn, drawn, Image.new("L", (16, 16), 255)))
    elif mode != "I;16":
        drawn = drawn.convert(mode)
    drawn.save(tmp_path / "masks" / "car" / "a.png")
    masks = whole(folder(tmp_path))[4]
    assert masks[0, 0, :4].all()
    assert not masks[0, 0, 4:].any()


# ------------------------------------------------------------------------------------------------ the door


def test_the_spec_reads_back(tmp_path):
    masked(tmp_path)
    spec = f"folder:{tmp_path},size=8+6,fit=0.5"
    dataset = registry.load("datasets", spec)
    assert (dataset.path, dataset.size, dataset.fit) == (str(tmp_path), (8, 6), 0.5)
    assert registry.spec_of(dataset) == spec
    assert registry.load("datasets", registry.spec_of(dataset)) == dataset


def nothing(root: Path) -> None:
    root.mkdir()


def no_images(root: Path) -> None:
    labelled(root, ["a"])
    (root / "images").rename(root / "image")


def empty_images(root: Path) -> None:
    (root / "images").mkdir(parents=True)


def unlabelled(root: Path) -> None:
    picture(root / "images" / "a.png")


def text_as_picture(root: Path) -> None:
    labelled(root, ["a", "b"])
    (root / "images" / "01.png").write_text("<html>not found</html>")


def label_of_nothing(root: Path) -> None:
    labelled(root, ["a", "b"])
    table(root, {"file": "00.png", "label": "a"}, {"file": "0l.png", "label": "b"})


def label_missing(root: Path) -> None:
    labelled(root, ["a", "b"])
    table(root, {"file": "00.png", "label": "a"})


def label_twice(root: Path) -> None:
    labelled(root, ["a"])
    table(root, {"file": "00.png", "label": "a"}, {"file": "00.png", "label": "b"})


def label_empty(root: Path) -> None:
    labelled(root, ["a"])
    table(root, {"file": "00.png", "label": " "})


def column_missing(root: Path) -> None:
    labelled(root, ["a"])
    table(root, {"file": "00.png", "class": "a"})


def column_misspelt(root: Path) -> None:
    labelled(root, ["a"])
    table(root, {"file": "00.png", "label": "a", "textures": "b"})


def texture_missing(root: Path) -> None:
    labelled(root, ["a"])
    table(root, {"file": "00.png", "label": "a", "texture": ""})


def mask_of_nothing(root: Path) -> None:
    masked(root)
    mask(root / "masks" / "car" / "07b.png", (0, 0, 4, 4))


def masks_empty(root: Path) -> None:
    masked(root)
    (root / "masks" / "tram").mkdir()


def mask_without_concept(root: Path) -> None:
    masked(root)
    mask(root / "masks" / "00.png", (0, 0, 4, 4))


def examples_empty(root: Path) -> None:
    taught(root)
    (root / "concepts" / "wavy").mkdir()


def concept_not_labelled(root: Path) -> None:
    taught(root)
    (root / "concepts" / "striped").rename(root / "concepts" / "stripes")


def two_of_a_stem(root: Path) -> None:
    masked(root)
    picture(root / "images" / "00.jpg")


def folder_misspelt(root: Path) -> None:
    taught(root)
    (root / "concepts").rename(root / "concept")


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (nothing, "has no folder images/"),
        (no_images, "has no folder images/ with what is to be explained; it holds ['image']"),
        (empty_images, "holds no picture: .jpg or .png files are wanted"),
        (unlabelled, "nothing in"),
        (text_as_picture, "01.png' is no picture: neither JPEG nor PNG (22 bytes)"),
        (label_of_nothing, "names '0l.png', which is no picture in images/; did you mean '01.png'?"),
        (label_missing, "'images/01.png' has no row in"),
        (label_twice, "names '00.png' a second time"),
        (label_empty, "has no label"),
        (column_missing, "has no column 'label': its first line must name the columns, but has file, class"),
        (column_misspelt, "has a column 'textures'; did you mean 'texture'?"),
        (texture_missing, "has no texture"),
        (mask_of_nothing, "belongs to no picture in images/; did you mean '07'?"),
        (masks_empty, "holds no mask: <picture's name>.png is wanted there"),
        (mask_without_concept, "lies in no concept's folder: masks/<concept>/00.png is wanted"),
        (examples_empty, "holds no picture: examples of 'wavy' are wanted there"),
        (concept_not_labelled, "is labelled 'stripes'; did you mean 'striped'?"),
        (two_of_a_stem, "two pictures in images/ are called '00'"),
        (folder_misspelt, "has a folder 'concept'; did you mean 'concepts'?"),
    ],
)
def test_a_folder_that_is_not_right_is_refused_in_one_sentence(tmp_path, draw, sentence):
    draw(tmp_path / "data")
    with pytest.raises(InputError) as caught:
        folder(tmp_path / "data")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_refused_with_the_nearest(tmp_path):
    masked(tmp_path / "street")
    with pytest.raises(InputError, match=r"there is no folder '.*stret'; did you mean 'street'\?"):
        folder(tmp_path / "stret")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fit": 0.8}, "below 1 together"),
        ({"fit": -0.1}, "are shares"),
        ({"calibrate": 1.0}, "are shares"),
        ({"channels": 4}, "channels is 1 (grey) or 3"),
        ({"size": 0}, "size is a side in pixels"),
        ({"size": "8+8+8"}, "size is a side in pixels"),
        ({"path": ""}, "folder:PATH"),
        ({"calibrat": 0.5}, "did you mean 'calibrate'?"),
    ],
)
def test_a_setting_that_is_not_right_is_refused_in_one_sentence(tmp_path, settings, sentence):
    masked(tmp_path)
    with pytest.raises(InputError) as caught:
        folder(tmp_path, **settings)
    assert sentence in str(caught.value)


def test_a_share_of_images_beside_examples_is_refused(tmp_path):
    taught(tmp_path)
    with pytest.raises(InputError, match="leave out fit, or that folder"):
        folder(tmp_path, fit=0.5)


def test_a_share_that_leaves_nothing_is_refused(tmp_path):
    masked(tmp_path, count=1)
    with pytest.raises(InputError, match="leaves none for the part"):
        folder(tmp_path, fit=0.5)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_torn_picture_is_named(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "images" / f"a.{suffix}"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    table(tmp_path, {"file": path.name, "label": "x"})
    with pytest.raises(InputError, match=rf"picture '.*a\.{suffix}' cannot be decoded: ") as caught:
        next(iter(folder(tmp_path)))
    assert "\n" not in str(caught.value)


def test_an_unknown_part_is_refused(tmp_path):
    masked(tmp_path)
    with pytest.raises(InputError, match="did you mean 'calibrate'"):
        folder(tmp_path).concepts("calibration")  # type: ignore[arg-type]
