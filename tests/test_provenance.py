"""The manifest: what it says of code and machine can be checked here and now."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pytest

from ambench.provenance import _checkout, manifest
from ambench.record import SCHEMA_VERSION


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    answer = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_a_manifest_tells_versions_and_machine_and_survives_json() -> None:
    found = json.loads(json.dumps(asdict(manifest("mine", {"seed": 0}, {"a": {"model": "cnn"}}))))
    assert found["schema"] == SCHEMA_VERSION
    assert (found["run"], found["suite"], found["cells"]) == ("mine", {"seed": 0}, {"a": {"model": "cnn"}})
    assert found["python"] == platform.python_version()
    assert found["versions"]["torch"] == version("torch")
    assert found["devices"]["cpu"] == found["processor"] != ""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_checkout_has_its_commit_and_tells_whether_it_was_changed(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "untracked").write_text("")
    assert _checkout(checkout) == (commit, False)
    (checkout / "a").write_text("2")
    assert _checkout(checkout) == (commit, True)


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert _checkout(tmp_path) == (None, None)
