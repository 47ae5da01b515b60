"""Plans of both strategies: sound, never below the bound; what TFLM does; bad problems."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import blocks_of, problems, visual_wake_words

from thimble.errors import BadInput
from thimble.plan import Block, Plan, check_plan, lower_bound_bytes, plan_blocks


@settings(deadline=None, max_examples=150)
@given(problems())
def test_exact_plan_is_sound_and_between_the_bound_and_greedy(blocks):
    exact = plan_blocks(blocks, "exact", time_limit_s=0.2)
    greedy = plan_blocks(blocks, "greedy")
    assert check_plan(exact, blocks) == []
    assert check_plan(greedy, blocks, align=16) == []
    assert lower_bound_bytes(blocks) <= exact.bound_bytes <= exact.arena_bytes
    assert exact.arena_bytes <= greedy.arena_bytes
    assert exact.optimal == (exact.arena_bytes == exact.bound_bytes)


@settings(deadline=None, max_examples=60)
@given(problems(aligns=(4,)), st.sampled_from([4, 8, 64]))
def test_align_raises_every_offset(blocks, align):
    for strategy in ("exact", "greedy"):
        plan = plan_blocks(blocks, strategy, align=align)
        assert check_plan(plan, blocks, align=align) == []
        assert plan.arena_bytes % align == 0


def test_tflm_needs_a_third_more_than_the_optimum_on_visual_wake_words():
    # 73,728 is what TFLM's own planner reports as the head of its arena for this model.
    blocks = visual_wake_words()
    assert plan_blocks(blocks, "greedy").arena_bytes == 73_728
    exact = plan_blocks(blocks, "exact")
    assert (exact.arena_bytes, exact.bound_bytes, exact.optimal) == (55_296, 55_296, True)


def test_greedy_places_the_later_of_two_equal_blocks_first():
    plan = plan_blocks(blocks_of([(16, 0, 1), (16, 0, 1)]), "greedy")
    assert plan.offsets == (16, 0)


def test_greedy_rounds_sizes_to_16_and_fills_the_first_gap():
    blocks = blocks_of([(100, 0, 3), (40, 0, 0), (30, 0, 3), (5, 1, 3)])
    plan = plan_blocks(blocks, "greedy")
    assert plan.offsets == (0, 112, 160, 112)
    assert plan.arena_bytes == 192


def test_prescribed_offsets_are_kept_and_planned_around():
    blocks = [Block("io", 32, 0, 5, offset=64), *blocks_of([(64, 0, 5), (16, 0, 5)], align=4)]
    for strategy in ("exact", "greedy"):
        plan = plan_blocks(blocks, strategy)
        assert plan.offsets == (64, 0, 96)
        assert plan.arena_bytes == 112


def test_nothing_to_plan_needs_no_arena():
    for strategy in ("exact", "greedy"):
        plan = plan_blocks([], strategy)
        assert (plan.offsets, plan.arena_bytes, plan.optimal) == ((), 0, True)
        empty = plan_blocks([Block("empty", 0, 0, 3)], strategy)
        assert (empty.arena_bytes, empty.optimal) == (0, True)


def test_impossible_blocks_are_reported_all_at_once():
    blocks = [
        Block("negative", -1, 0, 0),
        Block("backwards", 4, 3, 2),
        Block("odd", 4, 0, 0, align=12),
        Block("crooked", 4, 0, 0, align=8, offset=4),
        Block("below", 8, 5, 6, offset=0),
        Block("above", 8, 6, 7, offset=4),
    ]
    with pytest.raises(BadInput) as caught:
        plan_blocks(blocks)
    rules = [finding.rule for finding in caught.value.findings]
    assert rules == ["block-size", "block-lifetime", "block-alignment"] + 2 * ["block-offset"]


@pytest.mark.parametrize("align", [0, -4, 3])
def test_an_alignment_that_is_no_power_of_two_is_refused(align):
    with pytest.raises(BadInput, match="power of two"):
        plan_blocks(blocks_of([(4, 0, 0)]), align=align)


def test_unknown_strategy_names_the_known_ones():
    with pytest.raises(BadInput, match="exact, greedy"):
        plan_blocks([], "best")


BLOCKS = [Block("a", 16, 0, 1), Block("b", 16, 1, 2, align=8), Block("c", 16, 2, 3, offset=0)]


@pytest.mark.parametrize(
    ("offsets", "arena_bytes", "rules"),
    [
        ((0, 16, 0), 32, []),
        ((0, 8, 0), 32, ["plan-overlap", "plan-overlap"]),
        ((0, 16, 0), 31, ["plan-arena"]),
        ((0, 20, 0), 36, ["plan-alignment"]),
        ((-4, 16, 0), 32, ["plan-arena"]),
        ((0, 16, 32), 48, ["plan-prescribed"]),
        ((0, 16), 32, ["plan-length"]),
    ],
)
def test_validator_names_what_is_wrong_with_a_plan(offsets, arena_bytes, rules):
    plan = Plan(offsets, arena_bytes, "by hand", bound_bytes=0, optimal=False, seconds=0.0)
    assert [finding.rule for finding in check_plan(plan, BLOCKS)] == rules


def test_validator_rejects_a_bound_above_the_arena():
    plan = Plan((0, 16, 0), 32, "by hand", bound_bytes=33, optimal=False, seconds=0.0)
    assert [finding.rule for finding in check_plan(plan, BLOCKS)] == ["plan-bound"]
