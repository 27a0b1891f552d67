"""A folder goes through a cell as the dataset would whose pictures it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import ambench
from ambench.core import InputError
from ambench.evaluation import planned
from ambench.suite import Suite
from ambench.toy import COLOURS, Squares

NETWORK = "python:ambench.toy:network"


def save(image: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy() if image.ndim == 3 else image.byte().numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


@pytest.fixture
def squares(tmp_path) -> Path:
    """The test part of the squares as files: pictures, and the masks of those colours that are there."""
    (case,) = Squares()
    for row, name in enumerate(case.ids):
        save(case.images[row], tmp_path / "images" / f"{name}.png")
        for k, colour in enumerate(COLOURS):
            if case.truth.present[row, k]:
                save(case.truth.masks[row, k], tmp_path / "masks" / colour / f"{name}.png")
    return tmp_path


def test_a_folder_of_a_datasets_pictures_gives_the_datasets_numbers(squares):
    metrics = ["pixel_auroc", "average_precision", "energy_inside"]
    common = {"models": NETWORK, "methods": ["gradcam", "saliency"], "metrics": metrics, "jobs": 0}
    drawn = ambench.evaluate(datasets="python:ambench.toy:Squares", **common).to_frame()
    read = ambench.evaluate(datasets=f"folder:{squares}", **common).to_frame()
    expected, found = (f.set_index(["method", "metric", "concept"])[["value", "n"]] for f in (drawn, read))
    assert len(found) == len(expected) == 2 * 3 * 4
    expected = expected.loc[found.index]
    assert found.value.tolist() == pytest.approx(expected.value.tolist(), abs=0.01)  # 8 bits a channel
    assert found.n.tolist() == expected.n.tolist()


def test_a_share_of_the_pictures_teaches_a_probe(squares):
    results = ambench.evaluate(NETWORK, "cav", f"folder:{squares},fit=0.6,calibrate=0.2", "pixel_auroc", jobs=0)
    row = next(row for row in results.records if row.concept == "all")
    assert row.status == "ok"
    assert row.value > 0.9
    assert row.n <= 5  # the fifth of 24 pictures that is left, where it shows a colour


def test_a_changed_picture_makes_another_cell(squares):
    spec = f"folder:{squares}"
    (first,), (same,) = (planned(suite(spec)) for _ in range(2))
    save(Squares().concepts("fit").images[0], next((squares / "images").iterdir()))
    (changed,) = planned(suite(spec))
    assert first.id == same.id != changed.id


def suite(dataset: str) -> Suite:
    return Suite.parse({"grids": [{"models": NETWORK, "methods": "gradcam", "datasets": dataset, "metrics": "iou"}]})


def test_a_label_that_the_model_does_not_know_says_which_it_may_have_meant(tmp_path):
    save(next(iter(Squares())).images[0], tmp_path / "images" / "a.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,gren\n")
    results = ambench.evaluate(NETWORK, "gradcam", f"folder:{tmp_path}", "map_equivariance", jobs=0)
    assert {row.status for row in results.records} == {"skipped"}
    assert "'gren' has no output unit" in results.records[0].error
    assert "did you mean 'green'?" in results.records[0].error


def test_a_label_that_is_a_number_out_of_range_is_refused_before_anything_runs(tmp_path):
    factory = tmp_path / "factory.py"
    factory.write_text(
        "from torch import nn\n\n\ndef two():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "    net.input_shape = (3, 16, 16)\n    return net\n"
    )
    for number, image in enumerate(Squares().concepts("fit").images[:2]):
        save(image, tmp_path / "images" / f"{number}.png")
    (tmp_path / "labels.csv").write_text("file,label\n0.png,1\n1.png,2\n")
    with pytest.raises(InputError, match=r"label '2' is no output unit of model .*; valid: 0, 1"):
        ambench.evaluate(f"python:{factory}:two", "gradcam", f"folder:{tmp_path}", "map_equivariance", jobs=0)
