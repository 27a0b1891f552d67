"""Text files of the UCR archive become series, or say in one sentence what is wrong in which line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ambench
from ambench import models, registry
from ambench.core import Dataset, InputError, Model

HEADER = """# Steps that go up or down.
# drawn for this test
@problemName Steps
@timestamps false
@missing false
@univariate true
@equalLength true
@seriesLength 6
@classLabel true 2 1

@data
"""


def drawn(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Steps up (label 1) or down (label 2) of height 5 on noise [count, 6]."""
    values = np.random.default_rng(seed).normal(size=(count, 6)).round(4)
    labels = ["1" if number % 2 else "2" for number in range(count)]
    values[:, 3:] += np.where(np.array(labels) == "1", 5, -5)[:, None]
    return values, labels


def lines(values: np.ndarray, labels: list[str]) -> str:
    return "".join(f"{','.join(map(str, row))}:{label}\n" for row, label in zip(values, labels, strict=True))


def written(root: Path, name: str = "Steps", train: int = 20, test: int = 9, header: str = HEADER) -> Path:
    root.mkdir(exist_ok=True, parents=True)
    for seed, (part, count) in enumerate((("TRAIN", train), ("TEST", test))):
        (root / f"{name}_{part}.ts").write_text(header + lines(*drawn(count, seed)))
    return root


def dataset(path: Path, settings: str = "") -> Dataset:
    loaded: Dataset = registry.load("datasets", f"ucr:{path}{settings}")
    return loaded


def refused(root: Path, text: str, part: str = "TEST") -> str:
    written(root)
    (root / f"Steps_{part}.ts").write_text(text)
    with pytest.raises(InputError) as caught:
        dataset(root)
    said = str(caught.value)
    assert "\n" not in said
    return said


# ------------------------------------------------------------------------------------------------ what is read


def test_values_labels_and_order_are_those_of_the_files(tmp_path: Path) -> None:
    data = dataset(written(tmp_path))
    assert data.names == ("2", "1")
    (case,) = data
    values, labels = drawn(9, 1)
    assert case.images.dtype == torch.float32
    assert case.images[:, 0].numpy() == pytest.approx(values, abs=1e-6)
    assert [data.names[row] for row in case.truth.present.int().argmax(1).tolist()] == labels
    assert case.truth.present.sum(1).tolist() == [1] * 9
    assert case.targets.tolist() == [[0, 1]] * 9
    assert case.ids[:2] == ("test-00000", "test-00001")


def test_the_training_file_is_split_by_class_into_disjoint_parts(tmp_path: Path) -> None:
    data = dataset(written(tmp_path), ",calibrate=0.3")
    fit, calibrate = data.concepts("fit"), data.concepts("calibrate")
    assert fit.present.sum(0).tolist() == [7, 7]
    assert calibrate.present.sum(0).tolist() == [3, 3]
    assert len({*fit.ids, *calibrate.ids}) == 20
    values = drawn(20, 0)[0]
    rows = [int(name.removeprefix("train-")) for name in (*fit.ids, *calibrate.ids)]
    assert torch.cat([fit.images, calibrate.images])[:, 0].numpy() == pytest.approx(values[rows], abs=1e-6)
    assert len(dataset(tmp_path, ",calibrate=0").concepts("calibrate")) == 0


def test_the_bounds_are_the_training_files_least_and_greatest_value(tmp_path: Path) -> None:
    data = dataset(written(tmp_path))
    values = drawn(20, 0)[0]
    for part in ("fit", "calibrate"):
        assert data.concepts(part).bounds == pytest.approx((values.min(), values.max()), abs=1e-6)  # type: ignore[arg-type]


def test_cases_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    data = dataset(written(tmp_path, test=150))
    assert [len(case) for case in data] == [64, 64, 22]
    for one, other in zip(data, data, strict=True):
        assert torch.equal(one.images, other.images)
    names = [name for case in data for name in case.ids]
    assert len(set(names)) == 150


def test_a_pair_is_found_by_folder_by_name_and_by_either_file(tmp_path: Path) -> None:
    written(tmp_path / "one")
    paths = ["one", "one/Steps", "one/Steps_TRAIN.ts", "one/Steps_TEST.ts"]
    revisions = {dataset(tmp_path / path).revision for path in paths}
    assert len(revisions) == 1
    assert registry.spec_of(dataset(tmp_path / "one" / "Steps")) == f"ucr:{tmp_path}/one/Steps"
    written(tmp_path / "one", "Ramps")
    assert dataset(tmp_path / "one" / "Ramps").revision not in revisions
    before = dataset(tmp_path / "one" / "Ramps").revision
    written(tmp_path / "one", "Ramps", test=10)
    assert dataset(tmp_path / "one" / "Ramps").revision != before


def test_without_a_header_the_classes_are_the_labels_in_order(tmp_path: Path) -> None:
    assert dataset(written(tmp_path, header="@data\n")).names == ("1", "2")


def test_spaces_and_capitals_change_nothing(tmp_path: Path) -> None:
    plain = dataset(written(tmp_path / "plain"))
    spaced = written(tmp_path / "spaced", header=HEADER.replace("@univariate true", "@Univariate  TRUE"))
    for file in spaced.iterdir():
        file.write_text(file.read_text().replace("@data", "@DATA").replace(",", " , ").replace(":", " : "))
    for one, other in zip(plain, dataset(spaced), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.truth.present, other.truth.present)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("tag", "value", "sentence"),
    [
        ("timestamps", "true", "holds times of measurement"),
        ("univariate", "false", "series of several channels"),
        ("equalLength", "false", "series of unequal length; cut or fill them"),
        ("classLabel", "false", "holds no class labels"),
        ("targetLabel", "true", "numbers to be predicted"),
    ],
)
def test_a_header_of_what_cannot_be_explained_is_refused(tmp_path: Path, tag: str, value: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, f"@{tag} {value}\n@data\n1,2,3,4,5,6:1\n")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1,2,?,4,5,6:1", "line 12 of * has a missing value (?) where a number is wanted"),
        ("1,2,three,4,5,6:1", "line 12 of * has 'three' where a number is wanted"),
        ("1,2,,4,5,6:1", "line 12 of * has '' where a number is wanted"),
        ("1,2,NaN,4,5,6:1", "line 12 of * has NaN or infinity"),
        ("1,2,-inf,4,5,6:1", "line 12 of * has NaN or infinity"),
        ("1,2,3,4,5,6", "line 12 of * has no label"),
        ("1,2,3,4,5,6:", "line 12 of * has no label"),
        ("1,2,3,4,5,6:7,8,9,10,11,12:1", "line 12 of * has 2 channels"),
        ("1,2,3,4,5,6:3", "line 12 of * has the label '3'; valid: 1, 2"),
        ("1,2,3,4,5:1", "says that series have 6 values, but line 12 has 5"),
        ("1,2,3,4,5,6:1\n1,2,3:2", "line 13 of * has 3 values and the lines before it 6; cut or fill"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, line: str, sentence: str) -> None:
    said = refused(tmp_path, HEADER + line + "\n")
    assert all(part in said for part in sentence.split(" * "))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    assert "has no line @data" in refused(tmp_path, "@problemName Steps\n")
    assert "holds no series" in refused(tmp_path, HEADER)
    assert "line 1 of" in refused(tmp_path, "1,2,3,4,5,6:1\n")
    written(tmp_path)
    (tmp_path / "Steps_TEST.ts").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(InputError, match="is no text"):
        dataset(tmp_path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    assert "have 6 values and those of" in refused(tmp_path, "@classLabel true 2 1\n@data\n1,2:1\n")
    said = refused(tmp_path, "@classLabel true 1 2\n@data\n1,2,3,4,5,6:1\n")
    assert "classes of" in said
    assert "are 2, 1" in said


def test_paths_that_lead_nowhere_are_refused_with_what_is_there(tmp_path: Path) -> None:
    written(tmp_path, "Steps")
    with pytest.raises(InputError, match=r"no problem 'Stepps' in '.*'; did you mean 'Steps'"):
        dataset(tmp_path / "Stepps")
    written(tmp_path, "Ramps")
    with pytest.raises(InputError, match="holds 2: Ramps, Steps; one pair"):
        dataset(tmp_path)
    (tmp_path / "Ramps_TEST.ts").unlink()
    with pytest.raises(InputError, match=r"there is no file '.*Ramps_TEST\.ts'; a training and a test file"):
        dataset(tmp_path / "Ramps")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds none"):
        dataset(tmp_path / "empty")
    with pytest.raises(InputError, match="needs a path"):
        registry.load("datasets", "ucr:")


def test_an_impossible_share_and_an_unknown_part_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(InputError, match="share"):
        dataset(tmp_path, ",calibrate=1")
    with pytest.raises(InputError, match="'fit'"):
        dataset(tmp_path).concepts("fitt")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ in a cell


def step_network(names: tuple[str, ...] = ()) -> Model:
    """Its second output is how far the series goes up, its first how far down."""
    difference = torch.nn.Conv1d(1, 2, 4, bias=False)
    rise = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    difference.weight.data = torch.stack([-rise, rise])[:, None]
    stack = torch.nn.Sequential(difference, torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1), torch.nn.Flatten())
    return models.wrap(stack, "steps", input_shape=(1, 6), names=names)


def test_a_model_with_the_labels_as_names_is_explained_from_end_to_end(tmp_path: Path) -> None:
    results = ambench.evaluate(
        step_network(("2", "1")),
        ["saliency", "sequence_dreaming:steps=40", "prediction"],
        f"ucr:{written(tmp_path, test=20)}",
        ["normal_accuracy", "score_drift", "activation_gain"],
        jobs=0,
    )
    frame = results.to_frame()
    frame = frame[frame.concept.isin(["all"]) | frame.concept.isna()].set_index(["method", "metric"])
    assert set(frame.status) == {"ok"}
    assert frame.loc[("prediction", "normal_accuracy"), "value"] == 1
    assert frame.loc[("sequence_dreaming:steps=40", "activation_gain"), "value"] > 1
    assert frame.loc[("saliency", "score_drift"), "value"] < 2


@pytest.mark.parametrize("label", ["2", "-1"])
def test_outputs_that_are_only_numbered_are_not_taken_for_other_labels(tmp_path: Path, label: str) -> None:
    """A label of 1 alone would be found: it is the number of the second output."""
    for file in written(tmp_path).iterdir():
        file.write_text(file.read_text().replace(":2\n", f":{label}\n").replace("true 2 1", f"true {label} 1"))
    with pytest.raises(InputError, match=rf"label '{label}' is no output unit of model .* no names yet: wrap"):
        ambench.evaluate(step_network(), "saliency", f"ucr:{tmp_path}", ["normal_accuracy"], jobs=0)
