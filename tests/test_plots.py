"""Series become lines where they should be, and a cell leaves pictures of them."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor

import ambench
from ambench import pictures, registry
from ambench.core import Case, Heatmaps, Portraits, Truth
from ambench.plots import ink


def darkest(series: Tensor, low: float, high: float, height: int = 41, width: int = 60) -> Tensor:
    """The middle of the dark pixels of each column, in rows from the top [N, W]."""
    dark = ink(series, low, high, height, width)
    rows = torch.arange(height)[:, None]
    return (dark * rows).sum(1) / dark.sum(1)


def test_a_constant_is_a_level_line_at_its_share_of_the_height() -> None:
    levels = torch.tensor([0.0, 0.25, 1.0])[:, None, None].expand(-1, 1, 5)
    rows = darkest(levels, 0, 1)
    assert torch.allclose(rows, rows[:, :1].expand_as(rows))
    assert rows[:, 0].tolist() == pytest.approx([39.5, 29.75, 0.5], abs=0.3)


def test_a_straight_line_is_straight_whatever_the_number_of_samples() -> None:
    for count in (2, 7, 60, 333):
        rows = darkest(torch.linspace(-3, 5, count)[None, None], -3, 5)[0]
        steps = rows.diff()[2:-2]
        assert (steps < 0).all()
        assert steps.std() < 0.1 * steps.abs().mean()


def test_a_jump_leaves_no_gap_in_the_line() -> None:
    jump = torch.tensor([0.0] * 30 + [1.0] * 30)[None, None]
    dark = ink(jump, 0, 1, 41, 60)[0]
    assert (dark.amax(0) == 1).all()
    assert (dark[1:-1, 29:31].amax(1) == 1).all()  # every row is crossed


def test_channels_share_the_picture_and_what_lies_beyond_the_range_is_cut_off() -> None:
    two = torch.stack([torch.zeros(9), torch.ones(9)])[None]
    assert torch.equal(ink(two, 0, 1, 20, 30), torch.maximum(*(ink(two[:, k : k + 1], 0, 1, 20, 30) for k in (0, 1))))
    assert not ink(torch.full((1, 1, 4), 9.0), 0, 1, 20, 30).any()


@pytest.mark.parametrize(("height", "width", "length"), [(1, 1, 1), (2, 3, 1), (9, 5, 2), (3, 40, 7)])
def test_small_pictures_and_short_series_can_be_drawn(height: int, width: int, length: int) -> None:
    dark = ink(torch.rand(2, 1, length), 0.5, 0.5, height, width)
    assert dark.shape == (2, height, width)
    assert dark.isfinite().all()
    assert dark.amax() > 0.5


# ------------------------------------------------------------------------------------------------ sheets


def case(masks: bool = True) -> tuple[Case, Heatmaps]:
    """Two series of eight samples; the second concept of each is there, in the last two samples."""
    images = torch.linspace(0, 1, 8).expand(2, 1, 8)
    present = torch.tensor([[False, True]] * 2)
    where = torch.zeros(2, 2, 8, dtype=torch.bool)
    where[:, 1, 6:] = True
    maps = torch.zeros(2, 2, 8)
    maps[:, 1, :2], maps[:, 1, 4] = 1.0, -1.0
    truth = Truth(present, where if masks else None)
    return Case(images, torch.tensor([[0, 1]] * 2), truth, ("a", "b")), Heatmaps(torch.zeros(2, 2), maps)


def test_a_sheet_of_series_has_colours_of_the_map_behind_the_line_and_a_strip_for_the_mask() -> None:
    asked, maps = case()
    drawn = pictures.sheet(asked, maps)
    assert drawn is not None
    assert drawn.dtype == torch.uint8
    height, width = pictures.PLOT
    assert drawn.shape == (3, 2 * (height + pictures.STRIP + 2) + 2, width + 4)
    plot = drawn[:, 2 : 2 + height, 2 : 2 + width]
    assert plot[:, 3, 20].tolist() == [255, 128, 128]  # for
    assert plot[:, 3, width * 4 // 8 + 10].tolist() == [128, 128, 255]  # against
    assert plot[:, 3, width * 3 // 8].tolist() == [255, 255, 255]
    assert plot[:, -3:, :12].amax(0).min() < 40  # the line begins below, on red
    strip = drawn[0, 2 + height + 4, 2 : 2 + width] == 0
    assert strip.nonzero().flatten().tolist() == list(range(width * 6 // 8, width))


def test_without_masks_there_is_no_strip() -> None:
    drawn = pictures.sheet(*case(masks=False))
    assert drawn is not None
    assert drawn.shape[1] == 2 * (pictures.PLOT[0] + 2) + 2


def test_portraits_of_series_are_drawn_to_one_scale() -> None:
    series = torch.tensor([[[0.0] * 9], [[-4.0] * 9], [[4.0] * 9]])
    three = Portraits(series, torch.arange(3), torch.ones(3).bool(), torch.zeros(3, 1))
    drawn = pictures.portraits(three, ("a", "b", "c"))
    rows = [int(drawn[name][0, :, 100].argmin()) for name in ("c", "a", "b")]
    assert rows == sorted(rows)
    assert rows[1] == pytest.approx(pictures.PLOT[0] / 2, abs=1)


def test_a_run_on_series_leaves_something_to_look_at(tmp_path) -> None:
    dataset = registry.load("datasets", "series:fit=60,calibrate=20,test=10")
    ambench.evaluate(
        "series-cnn",
        ["sequence_dreaming:steps=20", "saliency"],
        dataset,
        ["iou", "activation_gain"],
        jobs=0,
        out=tmp_path / "run",
    )
    found = sorted(path.name for path in (tmp_path / "run" / "pictures").rglob("*.png"))
    assert len(found) == 3 + 2  # a portrait of each event, and a sheet of each method
    assert found.count("maps.png") == 2
    sizes = {Image.open(path).size for path in (tmp_path / "run" / "pictures").rglob("*.png")}
    assert pictures.PLOT[::-1] in sizes
