"""The exact strategy: the optimum by brute force, known optima, an honest gap when out of time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import blocks_of, guillotine, pinwheels, problems

from thimble.plan import Block, lower_bound_bytes, plan_blocks


def brute_force_bytes(blocks):
    """The smallest arena over all aligned offsets of all blocks, in whole granules."""
    best = sum(b.bytes + b.align + (b.offset or 0) for b in blocks)

    def place(index, placed, top):
        nonlocal best
        if index == len(blocks):
            best = min(best, top)
            return
        block = blocks[index]
        places = [block.offset] if block.offset is not None else range(0, best, block.align)
        for at in places:
            end = at + block.bytes
            if block.bytes and max(top, end) >= best:
                break
            if all(
                end <= other_at
                or other_at + other.bytes <= at
                or block.last < other.first
                or other.last < block.first
                or not block.bytes
                for other, other_at in placed
                if other.bytes
            ):
                place(index + 1, [*placed, (block, at)], max(top, end if block.bytes else 0))
                if not block.bytes:
                    break

    place(0, [], 0)
    granule = min((b.align for b in blocks), default=1)
    return -(-best // granule) * granule


@settings(deadline=None, max_examples=300)
@given(problems(most=6, steps=4, largest=9, aligns=(1, 2, 4)))
def test_exact_equals_brute_force(blocks):
    plan = plan_blocks(blocks)
    assert plan.arena_bytes == brute_force_bytes(blocks)
    assert plan.optimal


@settings(deadline=None, max_examples=100)
@given(problems(most=5, steps=4, largest=9, aligns=(1, 2)), st.integers(0, 5), st.integers(1, 6))
def test_exact_equals_brute_force_around_a_prescribed_block(blocks, at, size):
    blocks = [Block("fixed", size, 1, 3, align=2, offset=2 * at), *blocks]
    plan = plan_blocks(blocks)
    assert plan.arena_bytes == brute_force_bytes(blocks)
    assert plan.optimal


def test_optimum_above_the_live_bytes_is_proved():
    # At most 5 bytes are live in a step, yet no arena of 5 holds them: the gaps are misplaced.
    blocks = blocks_of(
        [(3, 0, 0), (2, 0, 1), (2, 1, 2), (1, 2, 2), (1, 1, 3), (1, 2, 3), (3, 3, 4), (2, 4, 4)]
    )
    assert lower_bound_bytes(blocks) == 5
    assert brute_force_bytes(blocks) == 6
    plan = plan_blocks(blocks)
    assert (plan.arena_bytes, plan.bound_bytes, plan.optimal) == (6, 6, True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "steps"), [(30, 10), (100, 50), (200, 100), (200, 1000)])
def test_guillotine_problems_reach_the_known_optimum(count, steps, seed):
    plan = plan_blocks(guillotine(count, steps, 1_000_000, seed), time_limit_s=20)
    assert (plan.arena_bytes, plan.optimal) == (1_000_000, True)


@pytest.mark.parametrize("seed", range(3))
def test_pinwheels_that_no_cut_separates_reach_the_known_optimum(seed):
    plan = plan_blocks(pinwheels(100, 1000, 100_000, seed), time_limit_s=20)
    assert (plan.arena_bytes, plan.optimal) == (100_000, True)


def test_the_gap_is_stated_when_time_runs_out():
    blocks = guillotine(400, 40, 1000, seed=1)
    plan = plan_blocks(blocks, time_limit_s=0.0)
    assert not plan.optimal
    assert plan.bound_bytes == 1000 < plan.arena_bytes
    assert plan.gap == pytest.approx(plan.arena_bytes / 1000 - 1)


def test_the_same_problem_gives_the_same_plan():
    blocks = guillotine(60, 60, 5000, seed=3)
    first, second = (plan_blocks(blocks, time_limit_s=60) for _ in range(2))
    assert first.offsets == second.offsets


def test_parts_of_the_timeline_that_share_no_block_share_the_arena():
    early, late = guillotine(40, 30, 10_000, seed=5), guillotine(40, 30, 9_000, seed=6)
    late = [Block(b.name, b.bytes, b.first + 30, b.last + 30, b.align) for b in late]
    plan = plan_blocks(early + late, time_limit_s=20)
    assert (plan.arena_bytes, plan.optimal) == (10_000, True)
