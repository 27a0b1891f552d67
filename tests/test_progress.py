"""How a run says how far it is."""

from __future__ import annotations

import pytest

from ambench.plan import Cell
from ambench.progress import nothing, shown
from ambench.worker import Done

CELLS = [Cell("quality", "cnn", method, "shapes", ("iou",)) for method in ("gradcam", "cav")]
ENDS = [Done(CELLS[0], "ok", seconds=1.25), Done(CELLS[1], "failed", "[no] such thing")]


def test_elsewhere_than_on_a_terminal_each_cell_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(CELLS) as tell:
        for done in ENDS:
            tell(done)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "1/2 gradcam on cnn, shapes: 1.2 s\n2/2 cav on cnn, shapes: failed, [no] such thing\n"


def test_on_a_terminal_there_is_a_bar_and_failures_stay_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with shown(CELLS) as tell:
        for done in ENDS:
            tell(done)
    said = capsys.readouterr().err
    assert "2/2 cells" in said
    assert "cav on cnn, shapes: failed, [no] such thing" in said
    assert "gradcam on cnn, shapes: 1.2 s" not in said


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with nothing(CELLS) as tell:
        tell(ENDS[1])
    assert capsys.readouterr() == ("", "")
