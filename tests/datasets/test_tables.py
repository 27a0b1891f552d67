"""Tables of numbers become rows, questions and three parts, or say in one sentence what is wrong and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

import ambench
from ambench import promises, registry
from ambench.core import Dataset, InputError, Model
from ambench.models import wrap

HEADER = "age,weight,height,ill\n"


def drawn(count: int = 50) -> list[str]:
    """Rows of three numbers and an answer that the first alone tells."""
    numbers = np.random.default_rng(0).normal(size=(count, 3)).round(3)
    return [f"{a},{b * 100},{c},{'yes' if a > 0 else 'no'}" for a, b, c in numbers]


def written(root: Path, text: str = HEADER, rows: list[str] | None = None, name: str = "people.csv") -> Path:
    path = root / name
    path.write_text(text + "\n".join(drawn() if rows is None else rows))
    return path


def table(path: Path, settings: str = "") -> Dataset:
    loaded: Dataset = registry.load("datasets", f"table:{path}{settings}")
    return loaded


def test_columns_are_scaled_by_the_examples_and_every_class_is_asked(tmp_path: Path) -> None:
    dataset = table(written(tmp_path))
    assert dataset.names == ("no", "yes")
    examples, cases = dataset.concepts("fit"), list(dataset)
    assert (len(examples), len(dataset.concepts("calibrate")), sum(map(len, cases))) == (30, 10, 10)
    assert examples.images.shape == (30, 3)
    assert examples.images.amin(0).tolist() == [0, 0, 0]
    assert examples.images.amax(0).tolist() == [1, 1, 1]
    assert cases[0].targets.tolist() == [[0, 1]] * 10
    assert (cases[0].truth.present.sum(1) == 1).all()
    by_hand = {f"row-{n:06d}": row.endswith("yes") for n, row in enumerate(drawn())}
    assert cases[0].truth.present[:, 1].tolist() == [by_hand[name] for name in cases[0].ids]


def test_numbers_come_back_from_the_scale(tmp_path: Path) -> None:
    dataset = table(written(tmp_path))
    parts = [dataset.concepts("fit"), dataset.concepts("calibrate")]
    values = {name: row for part in parts for name, row in zip(part.ids, part.images, strict=True)}
    values |= {name: row for case in dataset for name, row in zip(case.ids, case.images, strict=True)}
    given = np.array([[float(cell) for cell in row.split(",")[:3]] for row in drawn()])
    fit = given[[int(name.removeprefix("row-")) for name in parts[0].ids]]
    expected = (given - fit.min(0)) / (fit.max(0) - fit.min(0))
    found = torch.stack([values[f"row-{n:06d}"] for n in range(50)]).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_quantity_is_present_above_the_examples_median(tmp_path: Path) -> None:
    dataset = table(written(tmp_path), ",asked=weight,without=ill")
    assert dataset.names == ("weight",)
    assert dataset.columns == ("age", "height")  # type: ignore[attr-defined]
    examples = dataset.concepts("fit")
    assert int(examples.present.sum()) == 15
    weights = {f"row-{n:06d}": float(row.split(",")[1]) for n, row in enumerate(drawn())}
    threshold = sorted(weights[name] for name in examples.ids)[14]
    for case in dataset:
        assert case.truth.present[:, 0].tolist() == [weights[name] > threshold for name in case.ids]


def test_leaving_a_column_out_keeps_the_parts(tmp_path: Path) -> None:
    whole, less = (table(written(tmp_path), text) for text in ("", ",without=height"))
    assert whole.concepts("fit").ids == less.concepts("fit").ids
    assert [case.ids for case in whole] == [case.ids for case in less]


def test_equal_rows_are_in_one_part(tmp_path: Path) -> None:
    dataset = table(written(tmp_path, rows=[*drawn(20), *drawn(20)]))
    assert promises.examples_hold_no_test_image(dataset) is None


def test_a_table_without_names_calls_its_columns_by_their_place(tmp_path: Path) -> None:
    dataset = table(written(tmp_path, "", ["1,2,0", "3,4,1", "5,6,0", "7,8,1", "9,9,0"]))
    assert dataset.columns == ("column 1", "column 2")  # type: ignore[attr-defined]
    assert dataset.names == ("0", "1")


def test_the_spec_the_revision_and_a_changed_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    dataset = table(path, ",without=age")
    assert registry.spec_of(dataset) == f"table:{path},without=age"
    before = dataset.revision
    written(tmp_path, rows=drawn(49))
    assert table(path).revision != before


@pytest.mark.parametrize(
    ("text", "rows", "settings", "said"),
    [
        (HEADER, ["1,x,3,yes"] * 9, "", r"column 'weight' .* holds 'x' in row 2, which is no number"),
        (HEADER, ["1,,3,yes"] * 9, "", "holds '' in row 2"),
        (HEADER, ["1,2,3,yes", "1,2,3"], "", "row 3 .* has 3 cells, the first 4"),
        (HEADER, [], "", "no rows"),
        ("", [], "", "no rows"),
        ("age,age,ill\n", ["1,2,3"] * 5, "", "two columns 'age'"),
        (HEADER, None, ",asked=il", "no column 'il'; did you mean 'ill'"),
        (HEADER, None, ",without=weigh", "no column 'weigh'; did you mean 'weight'"),
        (HEADER, None, ",without=age+weight+height", "no column is left"),
        (HEADER, None, ",fit=0.9", "are shares"),
        (HEADER, None, ",fit=0", "are shares"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, rows: list[str] | None, settings: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        table(written(tmp_path, text, rows), settings)


def test_a_file_that_is_not_there_and_no_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        table(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="needs a path"):
        registry.load("datasets", "table:")


def test_diabetes_is_scikit_learns() -> None:
    dataset = registry.load("datasets", "diabetes")
    found = load_diabetes(scaled=False)
    assert dataset.columns == tuple(found.feature_names)
    examples = dataset.concepts("fit")
    rows = [int(name.removeprefix("row-")) for name in examples.ids]
    low, high = found.data[rows].min(0), found.data[rows].max(0)
    np.testing.assert_allclose(examples.images.numpy(), (found.data[rows] - low) / (high - low), atol=1e-6)
    assert examples.present[:, 0].tolist() == (found.target[rows] > np.sort(found.target[rows])[132]).tolist()
    for promise in promises.of("datasets", dataset):
        assert promise(dataset) is None


def network(columns: int, answers: dict[str, int]) -> Model:
    """The first column speaks for the last answer and against the others."""
    layer = torch.nn.Linear(columns, len(answers))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = torch.linspace(-1, 1, len(answers)) if len(answers) > 1 else 1.0
        layer.bias.copy_(-layer.weight[:, 0] / 2)
    return wrap(torch.nn.Sequential(layer), "first column", input_shape=(columns,), names=answers)


def test_a_table_goes_through_a_cell(tmp_path: Path) -> None:
    methods = ["sobol:designs=64", "saliency", "occlusion", "local_sensitivity", "input_x_gradient", "prediction"]
    results = ambench.evaluate(
        network(3, {"no": 0, "yes": 1}), methods, f"table:{written(tmp_path)}", "normal_accuracy", jobs=0
    )
    found = {record.method: record for record in results.records if record.concept == "all"}
    assert {record.status for record in found.values()} == {"ok"}
    assert found["prediction"].value > 0.85
    assert found["sobol:designs=64"].value == pytest.approx(0.5)  # the network's own indices tell no row from another


def test_diabetes_goes_through_a_cell() -> None:
    model = network(10, {"progression": 0})
    results = ambench.evaluate(model, ["sobol:designs=64", "smoothgrad:samples=2"], "diabetes", jobs=0)
    assert {(r.metric, r.status) for r in results.records if r.concept == "all"} >= {("normal_accuracy", "ok")}
