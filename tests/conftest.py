"""Tests that need what a machine may lack are skipped, and the summary says which and why."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

NEEDS = {
    "real": "the real networks and photographs were not tried: AMBENCH_REAL names no folder",
    "gpu": "nothing was tried on a GPU: there is no CUDA device",
}


def lacking() -> dict[str, str]:
    """Return the markers whose tests cannot run here, and the reason of each."""
    real, gpu = Path(os.environ.get("AMBENCH_REAL") or "/nowhere").is_dir(), torch.cuda.is_available()
    return {marker: NEEDS[marker] for marker, there in (("real", real), ("gpu", gpu)) if not there}


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    missing = lacking()
    for item in items:
        for marker in missing.keys() & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason=missing[marker]))


def pytest_report_header() -> list[str]:
    return [f"skipped: {reason}" for reason in lacking().values()]


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of networks and photographs that nobody here made."""
    return Path(os.environ["AMBENCH_REAL"]).resolve()
