"""What a suite may say, and what a person reads who said it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from ambench.core import InputError
from ambench.suite import Suite, embedded, split_names

GRID = {"models": ["cnn"], "methods": ["gradcam"], "datasets": ["shapes"]}


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"grid": [GRID]}, "unknown key 'grid'; did you mean 'grids'?"),
        ({"grids": [{**GRID, "modles": ["vit"]}]}, "unknown key 'modles' in grids.0; did you mean 'models'?"),
        ({"grids": [{"models": ["cnn"], "methods": ["cav"]}]}, "the key 'datasets' in grids.0 is missing"),
        ({"grids": []}, "'grids'"),
        ({"grids": [GRID], "batch_size": 0}, "'batch_size'"),
        ({"grids": [GRID], "seed": "zero"}, "'zero'"),
        ({"grids": [GRID], "name": "../../escape"}, "'name'"),
        ([GRID], "a suite is a mapping"),
    ],
)
def test_a_wrong_suite_is_named_in_one_sentence(content: object, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Suite.parse(content)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("grids: [", "is not YAML"), ("", "is not a mapping"), ("!!python/object/apply:os.getcwd []", "is not YAML")],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Suite.read(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(InputError, match="cannot be read"):
            Suite.read(path)


def test_a_suite_is_named_after_its_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    grid = "grids: [{models: cnn, methods: cav, datasets: shapes}]"
    assert Suite.read(written(tmp_path, grid, "my suite.yaml")).name == "my-suite"
    assert Suite.read(written(tmp_path, f"name: other\n{grid}")).name == "other"


def test_flags_go_over_a_file_in_every_grid(tmp_path: Path) -> None:
    path = written(tmp_path, "limit: 3\ngrids:\n- {models: cnn, methods: cav, datasets: shapes}\n" * 1)
    suite = Suite.from_flags(path, methods="gradcam,actmax:steps=8,restarts=2", seed="0,1", device=None)
    assert suite.grids[0].methods == ("gradcam", "actmax:steps=8,restarts=2")
    assert (suite.grids[0].models, suite.limit, suite.seeds, suite.device) == (("cnn",), 3, (0, 1), "cpu")


def test_conditions_alone_keep_the_embedded_grids() -> None:
    assert Suite.from_flags(limit=4).grids == embedded().grids
    assert Suite.from_flags(limit=4).limit == 4


def test_names_alone_make_one_grid() -> None:
    suite = Suite.from_flags(models="cnn", metrics="iou")
    assert [grid.models for grid in suite.grids] == [("cnn",)]
    assert suite.grids[0].methods == embedded().grids[0].methods
    assert suite.grids[0].metrics == ("iou",)


def test_settings_stay_with_their_name() -> None:
    assert split_names("folder:a/b,size=8,shapes, cav ") == ("folder:a/b,size=8", "shapes", "cav")


def test_the_digest_knows_what_is_asked_and_not_how_long_it_may_take() -> None:
    suite = Suite.parse({"grids": [GRID]})
    assert suite.digest == Suite.parse({"grids": [GRID], "timeout_seconds": 5}).digest
    others = [{"seed": 1}, {"limit": 2}, {"batch_size": 3}, {"grids": [{**GRID, "methods": ["cav"]}]}]
    assert len({suite.digest, *(Suite.parse({"grids": [GRID], **other}).digest for other in others)}) == 5
