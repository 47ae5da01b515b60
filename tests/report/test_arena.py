"""The arena as blocks in a terminal."""

from __future__ import annotations

import io

from report import pages
from rich.console import Console

from thimble.memory_map import plan_report
from thimble.report import PlanReport, PlanTensor
from thimble.report.arena import Arena, ArenaPicture, cells, letters, picture_columns

TENSORS = [
    PlanTensor("x", 64, 0, 0, 1),
    PlanTensor("y", 64, 64, 1, 2),
    PlanTensor("z", 128, 0, 3, 3),
]


def shown(width: int, *renderables: object) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    for item in renderables:
        console.print(item, markup=False)
    return stream.getvalue().splitlines()


def test_cells_are_the_tensors_that_lie_there() -> None:
    grid = cells(TENSORS, steps=4, columns=4, rows=4, top_bytes=128)
    assert grid == [
        [0, 0, None, 2],
        [0, 0, None, 2],
        [None, 1, 1, 2],
        [None, 1, 1, 2],
    ]


def test_cells_of_fewer_and_more_columns_than_steps() -> None:
    assert cells(TENSORS, 4, 8, 1, 128)[0] == [0, 0, 0, 0, 1, 1, 2, 2]
    assert cells(TENSORS, 4, 2, 2, 128) == [[0, 2], [1, 1]]  # of a tie the first
    assert picture_columns(12, 46) == 36
    assert picture_columns(1000, 46) == 46


def test_picture_marks_peak_and_bound() -> None:
    arena = Arena("ours", TENSORS, 4, peak_step=1, bound_bytes=128)
    lines = shown(100, ArenaPicture([arena, arena], 128, letters(TENSORS)))
    assert max(map(len, lines)) <= 100
    assert lines[1].endswith("◂ bound")
    assert lines[-2].count("▲") == 2
    assert lines[1].count("b") == 3  # with the b of "bound"
    assert lines[1].count("c") == 2
    marked = lines[-2].index("▲") - lines[-2].index("└") - 1
    assert 8 <= marked < 20  # the second of four steps


def test_narrow_terminals_have_them_below_each_other() -> None:
    arena = Arena("ours", TENSORS, 4)
    lines = shown(60, ArenaPicture([arena, arena], 128, letters(TENSORS)))
    assert max(map(len, lines)) <= 60
    assert sum("ours" in line for line in lines) == 2


def test_the_plan_shows_both_arenas_and_what_was_saved() -> None:
    report = plan_report(pages.model())
    text = report.text()
    for part in ("TFLM's greedy: ", "ours (exact): ", "◂ bound", "◂ peak", "exact offsets"):
        assert part in text
    assert report.savings[0].arena_bytes == report.greedy_bytes
    assert report.savings[-1].arena_bytes == report.arena_bytes
    saved = sum(s.saved_bytes for s in report.savings)
    assert saved == (report.greedy_bytes or 0) - report.arena_bytes
    streamed = plan_report(pages.model(), stream_input=True)
    assert streamed.savings[-1].technique == "input pushed by rows"
    assert streamed.savings[-1].arena_bytes == streamed.arena_bytes
    assert {t.kind for t in streamed.tensors} >= {"ring"}
    rings = [t for t in streamed.tensors if t.kind == "ring"]
    assert all(t.whole_bytes is not None and t.bytes < t.whole_bytes for t in rings)


def test_an_empty_plan_is_shown() -> None:
    assert "arena" in PlanReport(0, 0, True, "exact", 0, [], 0).text()
    assert PlanReport(0, 0, True, "exact", 0, [], 0).to_html().startswith("<!doctype html>")


def test_regions_are_the_last_line_of_the_savings() -> None:
    report = plan_report(pages.model(), regions=("fast=9k", "slow=64k"))
    assert report.savings[-1].technique == "spread over several regions"
    assert report.savings[-1].arena_bytes == report.arena_bytes
    assert ">slow</text>" in report.to_html()
