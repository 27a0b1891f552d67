"""One row: its keys, what it refuses, and when it beats its floor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambench.core import InputError
from ambench.record import KEYS, Record

ORIGIN: dict[str, Any] = {
    "run": "r",
    "model": "cnn",
    "weights": "w",
    "method": "gradcam",
    "method_code": "c",
    "dataset": "shapes",
    "revision": "1",
    "seed": 0,
    "metric": "iou",
    "better": "higher",
}
DESIGN = [
    *("run", "model", "weights", "method", "settings", "method_code", "dataset", "revision", "seed", "concept"),
    *("metric", "metric_version", "better", "value", "ci_low", "ci_high", "n", "floor", "status", "error"),
    *("device", "dtype", "batch_size"),
]


def test_a_record_has_the_keys_of_the_design_in_its_order() -> None:
    assert [key for key in KEYS if key in DESIGN] == DESIGN
    assert list(Record(**ORIGIN).to_dict()) == list(KEYS)


@settings(deadline=None)
@given(
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    seed=st.integers(0, 2**31),
    error=st.none() | st.text(),
)
def test_a_record_survives_json(value: float | None, seed: int, error: str | None) -> None:
    row = Record(**ORIGIN | {"seed": seed}, value=value, error=error)
    assert Record.from_dict(json.loads(json.dumps(row.to_dict()))) == row


@pytest.mark.parametrize("name", ["value", "ci_low", "ci_high", "floor"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_by_name(name: str, number: float) -> None:
    with pytest.raises(InputError, match=f"a record's {name} is"):
        Record(**ORIGIN, **{name: number})


def test_an_unknown_status_or_direction_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'failed'"):
        Record(**ORIGIN, status="faild")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'higher'"):
        Record(**ORIGIN | {"better": "highr"})


def test_a_row_of_an_older_ambench_gets_defaults_and_an_unknown_key_is_left() -> None:
    assert Record.from_dict(ORIGIN | {"colour": "red"}) == Record(**ORIGIN)


def test_a_row_without_its_origin_is_refused_by_what_it_lacks() -> None:
    with pytest.raises(InputError, match="lacks method_code"):
        Record.from_dict({key: value for key, value in ORIGIN.items() if key != "method_code"})


@pytest.mark.parametrize(
    ("better", "bounds", "floor", "beats"),
    [
        ("higher", (0.4, 0.6), 0.3, True),
        ("higher", (0.4, 0.6), 0.45, False),
        ("higher", (0.4, 0.6), 0.4, False),
        ("higher", (None, None), 0.45, True),
        ("lower", (0.4, 0.6), 0.7, True),
        ("lower", (0.4, 0.6), 0.55, False),
        ("neither", (0.4, 0.6), 0.3, None),
        ("higher", (0.4, 0.6), None, None),
    ],
)
def test_a_row_beats_its_floor_only_with_its_whole_interval(
    better: str, bounds: tuple[float | None, float | None], floor: float | None, beats: bool | None
) -> None:
    row = Record(**ORIGIN | {"better": better}, value=0.5, ci_low=bounds[0], ci_high=bounds[1], floor=floor)
    assert row.beats_floor is beats


def test_skipped_is_not_failed() -> None:
    row = Record(**ORIGIN)
    states = ("ok", "skipped", "failed", "oom", "timeout")
    assert [replace(row, status=s).failed for s in states] == [False, False, True, True, True]  # type: ignore[arg-type]
