"""The picture, the table and the summary of a plan."""

from __future__ import annotations

from problems import blocks_of, visual_wake_words

from thimble.plan import plan_blocks
from thimble.plan.timeline import picture, summary, table


def small():
    blocks = blocks_of([(8, 0, 0), (4, 0, 2), (8, 1, 2), (2, 3, 3)])
    return plan_blocks(blocks), blocks


def test_picture_shows_each_block_where_it_lives():
    plan, blocks = small()
    assert plan.arena_bytes == 12
    lines = picture(plan, blocks, rows=6).splitlines()
    grid = [line[4:-1] for line in lines[:-1]][::-1]
    for index, (block, offset) in enumerate(zip(blocks, plan.offsets)):
        letter = "abcd"[index]
        cells = {
            (row, step)
            for row, line in enumerate(grid)
            for step, c in enumerate(line)
            if c == letter
        }
        rows = range(offset // 2, (offset + block.bytes) // 2)
        assert cells == {(row, s) for row in rows for s in range(block.first, block.last + 1)}
    assert lines[-1].endswith("a column is 1 step, a row 2 B, the arena 12 B")


def test_picture_fits_the_terminal():
    blocks = visual_wake_words()
    lines = picture(plan_blocks(blocks), blocks, rows=8, columns=10).splitlines()
    assert len(lines) == 9
    assert max(len(line) for line in lines[:-1]) <= 5 + 3 + 10


def test_picture_of_nothing():
    assert "0 B" in picture(plan_blocks([]), [])
    assert table(plan_blocks([]), []) == ""


def test_table_has_a_line_for_each_block_by_offset():
    plan, blocks = small()
    lines = table(plan, blocks).splitlines()
    assert len(lines) == len(blocks)
    starts = [int(line[1:].split("..")[0]) for line in lines]
    assert starts == sorted(plan.offsets)
    assert next(line for line in lines if line.endswith("b2")).startswith("c ")


def test_summary_names_the_peak_and_the_long_lived():
    plan, blocks = small()
    facts = summary(plan, blocks)
    assert (facts.peak_step, facts.peak_bytes, facts.peak_blocks) == (0, 12, (0, 1))
    assert facts.long_lived == (1,)
    assert facts.total_bytes == 22
    assert "peak in step 0: 12 B" in str(facts)


def test_summary_of_visual_wake_words_points_at_the_third_layer():
    blocks = visual_wake_words()
    facts = summary(plan_blocks(blocks), blocks)
    assert (facts.peak_step, facts.peak_bytes, facts.peak_blocks) == (2, 55_296, (3, 2))
