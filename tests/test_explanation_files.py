"""An explanation read back is the one that was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ambench import explanation_files
from ambench.core import Directions, Portraits

DIRECTIONS = Directions(
    torch.eye(3), torch.arange(3.0), "layer1", "max", {"accuracy": torch.rand(3)}, {1: "too few examples"}
)
PORTRAITS = Portraits(torch.rand(2, 3, 4, 4), torch.tensor([5, 7]), torch.tensor([True, False]), torch.rand(2, 6))


def assert_same(one: object, other: object) -> None:
    assert type(one) is type(other)
    for name, value in vars(one).items():
        found = getattr(other, name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(found, value)
        elif isinstance(value, Directions):
            assert_same(value, found)
        elif name == "details":
            assert found.keys() == value.keys()
            assert all(torch.equal(found[key], value[key]) for key in value)
        else:
            assert found == value


@pytest.mark.parametrize(
    "explanation",
    [
        DIRECTIONS,
        replace(DIRECTIONS, missing={}, details={}),
        PORTRAITS,
        replace(PORTRAITS, seeks=DIRECTIONS, details={"died_at_step": torch.tensor([-1, 3])}),
    ],
    ids=["directions", "bare directions", "portraits", "portraits of directions"],
)
def test_what_is_read_is_what_was_written(explanation: Portraits | Directions, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.safetensors"
    explanation_files.write(path, explanation, 1.25)
    found = explanation_files.read(path, "cpu")
    assert found is not None
    assert found[1] == 1.25
    assert_same(explanation, found[0])
    assert [file.name for file in path.parent.iterdir()] == ["b.safetensors"]


def test_a_torn_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    assert explanation_files.read(path, "cpu") is None
    assert explanation_files.read(None, "cpu") is None
    explanation_files.write(path, PORTRAITS, 1.0)
    path.write_bytes(path.read_bytes()[:-9])
    assert explanation_files.read(path, "cpu") is None
