"""The views: what stands where, what is marked, and that nothing a user types can break them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ambench.board import board
from ambench.core import InputError
from ambench.numerals import printable
from ambench.record import KEYS
from ambench.results import Results
from ambench.store import Store
from ambench.table import render
from synthetic import PLANS, Plan, cell, cost, manifest, results

NASTY = "a|b[red]c*d_e`f<g>&h$i%j#k{l}~m\\n^o"
REASON = "Oops: [bold]x[/bold] | 100 % of $x_1$\nsecond line"


@pytest.fixture
def found(tmp_path: Path) -> Results:
    plans = [*PLANS, Plan(NASTY, status="failed", error=REASON)]
    return results(tmp_path, plans, cost(PLANS[0], 0.123456, 30.0), cost(PLANS[2], 0.001, 3.0))


def line(text: str, name: str) -> str:
    (found,) = (row for row in text.splitlines() if row.startswith(name + " "))
    return found


# ------------------------------------------------------------------------------------------------ records


def test_json_holds_every_record_with_exactly_its_keys(found: Results) -> None:
    rows = json.loads(render(found, "json"))
    assert [list(row) for row in rows] == [list(KEYS)] * len(found.records)
    assert rows == [record.to_dict() for record in found.records]


def test_csv_holds_every_record_and_quotes_what_users_type(found: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert len(rows) == len(found.records)
    for row, record in zip(rows, found.records, strict=True):
        assert (row["method"], row["metric"], row["error"]) == (record.method, record.metric, record.error or "")
        assert row["value"] == ("" if record.value is None else str(record.value))


# ------------------------------------------------------------------------------------------------ views


def test_families_come_in_order_with_controls_last(found: Results) -> None:
    heads = ["synthesis", "probes", "attribution", "the model's own answer", "controls", "n  "]
    first = render(found).split("\n\n")[0]
    positions = [first.index("\n" + head) for head in heads]
    assert positions == sorted(positions)
    assert first.index("\nedges") > first.index("\ncontrols")
    assert first.index("\nprediction") < first.index("\ncontrols")


def test_directions_are_shown_by_arrows_and_costs_have_columns_of_their_own(found: Results) -> None:
    text = render(found)
    assert re.search(r"^method +hard_accuracy ↑ +score_drift ↓ +shape_bias ·$", text, re.M)
    assert re.search(r"^method +iou ↑$", text, re.M)
    assert re.search(r"^method +seconds_per_image ↓ +model_passes ↓$", text, re.M)
    assert re.search(r"^actmax +0.123 +30$", text, re.M)


def test_only_the_best_group_is_marked_best(found: Results) -> None:
    assert {entry.method for entry in board(found) if entry.best} == {"cav"}
    text = render(found, colour=True)
    marked = re.findall("\x1b\\[1m *([^\x1b]*\\*)\x1b", text)
    assert len(marked) == 2  # cav, on two metrics


def test_where_no_contender_differs_nothing_is_marked_best(tmp_path: Path) -> None:
    equal = results(tmp_path, [Plan("a"), Plan("b", level=0.501)])
    assert not any(entry.best for entry in board(equal))


def test_a_value_that_does_not_beat_its_floor_is_marked(found: Results) -> None:
    entries = {(e.method, e.row.metric): e.row for e in board(found)}
    assert entries["gradcam", "iou"].beats_floor is False
    assert entries["cav", "iou"].beats_floor is True
    rows = [row for row in render(found).splitlines() if row.startswith(("gradcam", "cav", "edges"))]
    marks = {(row.split()[0], "†" in row) for row in rows if "±" in row}
    assert marks == {("gradcam", True), ("cav", False), ("edges", False)}


def test_reasons_stand_beneath_in_one_line(found: Results) -> None:
    text = render(found)
    assert f"{printable(NASTY)} failed (iou, hard_accuracy): Oops: [bold]x[/bold] | 100 % of $x_1$ second line" in text


def test_n_and_undefined_and_flat_are_visible(tmp_path: Path) -> None:
    one = cell(Plan("a", metrics=("iou",)))
    rows = [replace(row, n_undefined=3, n_flat=7) for row in one.records]
    text = render(results(tmp_path, [], replace(one, records=rows)))
    assert re.search(r"^n +40 \(3 undefined\)$", text, re.M)
    assert "scored as such): a 7." in text


def test_the_caption_tells_the_family_and_the_models_own_answer(found: Results) -> None:
    text = render(found)
    assert "Holm over up to 21 pairs of methods" in text  # 7 methods have hard_accuracy
    assert re.search(r"The model's own answer \(prediction\): hard_accuracy 0\.9\d\d\.", text)


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    cells = [cell(plan) for plan in PLANS[:2]]
    half = Store.create(tmp_path / "run", manifest(cells))
    assert "no cell is finished" in render(Results.from_store(half))
    half.finish(cells[0])
    assert "1 of 2 cells are missing" in render(Results.from_store(half))


def test_the_view_by_metric_shows_floor_and_rank_in_order(found: Results) -> None:
    text = render(found, by="metric")
    part = text[text.index("iou ↑") :]
    order = [part.index("\n" + method) for method in ("cav", "saliency", "gradcam", "actmax", "edges", "random_map")]
    assert order == sorted(order)
    assert re.search(r"^cav +\d.\d+\* +\[.*\] +0.\d+ edges +1 \[1, 1\] +40 +0 +0$", part, re.M)


def test_the_view_by_method_has_models_as_lines(tmp_path: Path) -> None:
    text = render(results(tmp_path, [Plan("a"), Plan("a", model="vit")]), by="method")
    assert "a: where is it?" in text
    assert line(text[text.index("where") :], "cnn, shapes")
    assert line(text[text.index("where") :], "vit, shapes")


def test_three_seeds_become_one_line_with_their_mean(tmp_path: Path) -> None:
    seeds = results(tmp_path, [Plan("a", seed=s, level=0.4 + 0.1 * s, metrics=("iou",)) for s in range(3)])
    (entry,) = board(seeds)
    assert entry.row.value == pytest.approx(sum(entry.seeds) / 3)
    assert entry.row.ci_low is not None
    assert entry.row.ci_high is not None
    assert entry.row.ci_high - entry.row.ci_low > 0.4  # seeds differ more than images do


def test_two_seeds_show_their_range_and_no_interval(tmp_path: Path) -> None:
    seeds = results(tmp_path, [Plan("a", seed=s, level=0.4 + 0.1 * s, metrics=("iou",)) for s in range(2)])
    (entry,) = board(seeds)
    low, high = sorted(entry.seeds)
    assert f"[{low:.3f}, {high:.3f}]" in line(render(seeds), "a")


def test_a_narrow_page_splits_columns_and_loses_none(found: Results) -> None:
    narrow = render(found, width=60)
    assert max(map(len, narrow.splitlines())) <= 60
    tables = [row for row in narrow.splitlines() if row.startswith("method")]
    assert len(tables) > len([row for row in render(found).splitlines() if row.startswith("method")])
    for head in ("hard_accuracy", "score_drift", "shape_bias", "iou", "seconds_per_image", "model_passes"):
        assert sum(head in row for row in tables) == 1


# ------------------------------------------------------------------------------------------------ escapes


def test_text_shows_what_users_type_as_it_is(found: Results) -> None:
    assert len([row for row in render(found).splitlines() if row.startswith(NASTY + " ")]) == 3  # 2 tables and a note
    assert "\x1b" not in render(found)


def test_every_markdown_row_has_as_many_cells_as_its_head(found: Results) -> None:
    for by in ("model", "method", "metric"):
        for block in re.split(r"\n\n", render(found, "md", by)):
            rows = [row for row in block.splitlines() if row.startswith("|")]
            widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(widths) <= 1
    assert "\\[red\\]" in render(found, "md")
    assert "\\<g\\>" in render(found, "md")


def test_latex_escapes_every_special_letter(found: Results) -> None:
    text = render(found, "latex")
    assert (
        "[red]c*d\\_e`f$<$g$>$\\&h\\$i\\%j\\#k\\{l\\}\\textasciitilde{}m\\textbackslash{}n\\textasciicircum{}o" in text
    )
    rows = [row for row in text.splitlines() if row.endswith(r"\\") and "multicolumn" not in row]
    for table in text.split(r"\begin{table}")[1:]:
        columns = re.search(r"\\begin\{tabular\}\{(l r*|lr*)\}", table)
        assert columns is not None
        own = [row for row in table.splitlines() if row in rows]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in own} == {len(columns[1]) - 1}


def test_a_terminal_code_in_a_name_is_not_passed_on(tmp_path: Path) -> None:
    bad = results(tmp_path, [Plan("a\x1b[2J", status="failed", error="\x1b[31mred")])
    for format in ("text", "md", "latex"):
        assert "\x1b" not in render(bad, format)  # type: ignore[arg-type]


def test_unknown_formats_and_views_are_refused_with_the_nearest(found: Results) -> None:
    with pytest.raises(InputError, match="did you mean 'latex'"):
        render(found, "latx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'metric'"):
        render(found, by="metrics")  # type: ignore[arg-type]
