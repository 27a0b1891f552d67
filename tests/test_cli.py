"""What a person types and reads: one sentence and exit code 2 for what is wrong, never a traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import torch
import yaml

from ambench import cli

FAULTY = f"python:{Path(__file__).with_name('faulty.py')}"
TOY = ["--models", "python:ambench.toy:network", "--datasets", "python:ambench.toy:Squares", "--jobs", "0"]
METRIC = f"{FAULTY}:Strength"


class Typed:
    """`ambench …`, in this process: its exit code and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["ambench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self.capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def ambench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(monkeypatch, capsys)


@pytest.fixture
def finished(ambench: Typed, tmp_path: Path) -> Path:
    """A small run that went well."""
    out = tmp_path / "fine"
    code, _, _ = ambench("run", *TOY, "--methods", f"{FAULTY}:Honest", "--metrics", METRIC, "--out", out)
    assert code == 0
    return out


def is_one_sentence(said: tuple[int, str, str], *parts: str) -> bool:
    code, out, error = said
    assert (code, out) == (2, "")
    assert error.startswith("ambench: ")
    assert error.count("\n") == 1
    assert all(part in error for part in parts), error
    return True


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--methods", "gradcan"], ["'gradcan'", "'gradcam'"]),
        (["--methods", "gradcam:rellu=1"], ["'rellu'", "'relu'"]),
        (["--models", "cnm"], ["'cnm'", "'cnn'"]),
        (["--models", "torchvision:resnet5"], ["'resnet5'", "'resnet50'"]),
        (["--models", f"{FAULTY}:no_network"], ["no_network", "there is no network"]),
        (["--metrics", "transfr"], ["'transfr'", "'transfer'"]),
        (["--datasets", "shape"], ["'shape'", "'shapes'"]),
        (["--datasets", "folder:nowhere"], ["nowhere"]),
        (["--device", "gpu"], ["'gpu'"]),
        (["--limit", "0"], ["limit"]),
        (["nowhere.yaml"], ["nowhere.yaml"]),
    ],
)
def test_what_cannot_run_is_said_in_one_sentence(ambench: Typed, flags: list[str], parts: list[str]) -> None:
    assert is_one_sentence(ambench("run", *flags, "--dry-run"), *parts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
def test_a_device_that_is_not_there_is_said_so(ambench: Typed) -> None:
    assert is_one_sentence(ambench("run", "--device", "cuda", "--dry-run"), "'cuda'", "cpu")


def test_a_pickle_and_a_broken_file_are_no_weights(ambench: Typed, tmp_path: Path) -> None:
    torch.save(print, tmp_path / "function.pth")  # unpickling it would call whatever it likes
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    for weights in ("function.pth", "torn.safetensors", "absent.safetensors"):
        model = f"torchvision:squeezenet1_0@{tmp_path / weights}"
        assert is_one_sentence(ambench("run", "--models", model, "--dry-run"), weights)


@pytest.mark.parametrize("command", [["table"], ["verify"], ["compare", "nowhere"]])
def test_a_run_that_is_not_there_is_usage(ambench: Typed, tmp_path: Path, command: list[str]) -> None:
    assert is_one_sentence(ambench(*command, tmp_path / "nowhere"), "nowhere")


def test_a_half_written_run_is_said_so(ambench: Typed, finished: Path) -> None:
    manifest = finished / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert is_one_sentence(ambench("table", finished), "half-written")


def test_a_folder_with_another_suites_run_is_refused(ambench: Typed, finished: Path) -> None:
    method = f"{FAULTY}:Honest,number=5"
    said = ambench("run", *TOY, "--methods", method, "--metrics", METRIC, "--out", finished)
    assert is_one_sentence(said, "another run", "new folder")


def test_a_folder_that_cannot_be_made_is_refused(ambench: Typed, finished: Path) -> None:
    below = finished / "manifest.json" / "run"
    assert is_one_sentence(ambench("run", *TOY, "--methods", "saliency", "--out", below), "manifest.json")


def test_a_failed_cell_is_named_and_the_table_printed(ambench: Typed, tmp_path: Path) -> None:
    methods = f"{FAULTY}:Honest,{FAULTY}:Wrong"
    code, out, error = ambench("run", *TOY, "--methods", methods, "--metrics", METRIC, "--out", tmp_path / "run")
    assert code == 1
    assert ":Honest" in out
    assert "1 cells failed" in error
    assert f"{FAULTY}:Wrong on python:ambench.toy:network" in error
    assert "Traceback" not in error


def test_a_dry_run_prints_the_grid_and_writes_nothing(ambench: Typed, tmp_path: Path) -> None:
    flags = ["--methods", "gradcam,saliency", "--metrics", f"{METRIC},model_passes", "--out", tmp_path / "run"]
    code, out, _ = ambench("run", *TOY, *flags, "--dry-run")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["python:ambench.toy:Squares", "python:ambench.toy:network"]
    assert [line.split(maxsplit=1) for line in lines[1:3]] == [["gradcam", "1 + 1"], ["saliency", "1 + 1"]]
    assert lines[4] == "4 cells: 2 quality, 2 cost"
    assert not (tmp_path / "run").exists()


def test_the_same_command_goes_on_in_the_same_place(
    ambench: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", *TOY, "--methods", f"{FAULTY}:Honest,log={tmp_path}/log", "--metrics", METRIC]
    first, second = ambench(*words), ambench(*words)
    assert first[0] == second[0] == 0
    assert first[1] == second[1]
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 1
    assert second[2] == ""  # nothing was computed, so nothing was reported


def test_flags_go_over_a_file(ambench: Typed, tmp_path: Path) -> None:
    grid = {"models": "cnn", "methods": "gradcam", "datasets": "shapes", "metrics": "model_passes"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"grids": [grid]}))
    code, out, _ = ambench("run", tmp_path / "mine.yaml", "--methods", "saliency", "--dry-run")
    assert code == 0
    assert out.splitlines()[1].split() == ["saliency", "0", "+", "1"]


def test_json_holds_every_row_with_its_keys(ambench: Typed, finished: Path) -> None:
    code, out, _ = ambench("table", finished, "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert {row["concept"] for row in rows} == {"all", "red", "green", "blue"}
    assert all(row["metric"] == METRIC and row["run"] == "fine" and row["status"] == "ok" for row in rows)


def test_a_run_compared_with_itself_is_fine_and_with_a_broken_one_is_not(ambench: Typed, tmp_path: Path) -> None:
    words = ["run", *TOY, "--methods", f"{FAULTY}:Fading,by={tmp_path}/fading", "--metrics", METRIC, "--out"]
    fine, broken = tmp_path / "fine", tmp_path / "broken"
    assert ambench(*words, fine)[0] == 0
    (tmp_path / "fading").touch()
    assert ambench(*words, broken)[0] == 0
    assert ambench("compare", fine, fine)[0] == 0
    code, out, _ = ambench("compare", fine, broken)
    assert code == 1
    assert "Strength" in out.split("Worse:")[1]
    assert ambench("compare", fine, broken, "--no-fail-on-regression")[0] == 0


def test_verify_finds_a_number_that_was_changed(ambench: Typed, finished: Path) -> None:
    assert ambench("verify", finished)[0] == 0
    (cell,) = (finished / "cells").glob("*.json")
    content = json.loads(cell.read_text())
    content["records"][0]["value"] += 0.01
    cell.write_text(json.dumps(content))
    code, _, error = ambench("verify", finished)
    assert code == 1
    assert "value do not follow" in error


def test_verify_finds_values_that_were_changed(ambench: Typed, finished: Path) -> None:
    (values,) = (finished / "values").glob("*.parquet")
    values.write_bytes(values.read_bytes() + b" ")
    code, _, error = ambench("verify", finished)
    assert code == 1
    assert "digest" in error


@pytest.mark.parametrize("choice", ["models", "methods", "metrics", "datasets"])
def test_a_list_has_a_line_for_each_name(ambench: Typed, choice: str) -> None:
    code, out, _ = ambench("list", choice)
    known = {"models": "vit-texture", "methods": "gradcam", "metrics": "transfer", "datasets": "cue_conflict"}
    assert code == 0
    assert any(line.split()[0] == known[choice] for line in out.splitlines()[1:])


@pytest.mark.parametrize("words", [["--nonsense"], ["list", "colours"], ["table"], ["run", "--limit", "many"]])
def test_wrong_usage_is_exit_code_2(ambench: Typed, words: list[str]) -> None:
    code, _, error = ambench(*words)
    assert code == 2
    assert "Traceback" not in error


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    """Two observers of eight stimuli; one names two textures, the other one of them and nothing once."""
    lines = "subj,session,trial,rt,object_response,category,condition,imagename\n"
    for observer, said in {"ann": "cat cat dog dog cat cat cat cat", "bob": "cat cat dog cat na cat cat cat"}.items():
        rows = (f"{observer},1,{i},1,{word},cat,0,{i}_cat{i}-dog1.png\n" for i, word in enumerate(said.split()))
        (tmp_path / f"{observer}.csv").write_text(lines + "".join(rows))
    return tmp_path


class TestShapeBias:
    def test_it_prints_observers_categories_and_error_consistency(self, ambench: Typed, decisions: Path) -> None:
        code, out, _ = ambench("shape-bias", decisions)
        assert code == 0
        for heading in ("Shape bias:", "Shape bias of each category", "Error consistency: kappa", "mean kappa"):
            assert heading in out
        assert "0.750000" in out  # ann: 6 of 8
        assert "0.857143" in out  # bob: 6 of 7

    @pytest.mark.parametrize(("by", "rows"), [("observer", 3), ("category", 3), ("pair", 1)])
    def test_one_table_alone_is_read_back_as_csv(self, ambench: Typed, decisions: Path, by: str, rows: int) -> None:
        code, out, _ = ambench("shape-bias", decisions, "--by", by, "--format", "csv")
        table = pandas.read_csv(io.StringIO(out))
        assert (code, len(table)) == (0, rows)
        if by == "pair":  # right on 6 and on 6 of 8, alike on 6: (.75 - .625) / .375
            assert table["kappa"].item() == pytest.approx(1 / 3)

    @pytest.mark.parametrize(
        ("flags", "parts"),
        [
            ([], ["name at least one CSV file"]),
            (["nowhere.csv"], ["there is no file 'nowhere.csv'"]),
            (["--models", "cnn"], ["--models and --stimuli"]),
            (["--models", "cnn", "--stimuli", "nowhere"], ["there is no folder 'nowhere'"]),
        ],
    )
    def test_what_is_missing_is_said_in_one_sentence(self, ambench: Typed, flags: list[str], parts: list[str]) -> None:
        assert is_one_sentence(ambench("shape-bias", *flags), *parts)


@pytest.mark.parametrize("command", ["run", "list", "table", "compare", "check", "shape-bias", "verify"])
def test_every_command_has_examples(ambench: Typed, command: str) -> None:
    code, out, _ = ambench(command, "--help")
    assert code == 0
    assert f"ambench {command}" in out.split("Examples:")[1]


def test_help_is_quick_because_torch_stays_away() -> None:
    program = "import sys, ambench.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_module_is_the_command_and_a_pipe_gets_no_colours() -> None:
    said = subprocess.run([sys.executable, "-m", "ambench", "--help"], capture_output=True, check=True)
    assert b"compare" in said.stdout
    assert b"\x1b" not in said.stdout
