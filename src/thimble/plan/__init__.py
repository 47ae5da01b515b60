"""Memory planning: blocks with sizes and lifetimes in, offsets in one arena out.

Knows neither ops nor graphs. `plan_blocks` plans and checks; the strategies are `greedy` (TFLM's,
to compare with) and `exact` (the smallest arena, with a proof or a stated gap).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from thimble.errors import BadInput, Finding
from thimble.plan.exact import exact_offsets
from thimble.plan.greedy import TFLM_ALIGN, greedy_offsets
from thimble.plan.instance import parts
from thimble.plan.lifetimes import lifetimes
from thimble.plan.order import Order, best_order
from thimble.plan.problem import Block, Plan, granule_bytes, round_up
from thimble.plan.validate import check_blocks, check_plan

STRATEGIES = ("exact", "greedy")
TIME_LIMIT_S = 2.0

__all__ = [
    "STRATEGIES",
    "TIME_LIMIT_S",
    "Block",
    "Order",
    "Plan",
    "best_order",
    "check_blocks",
    "check_plan",
    "lifetimes",
    "lower_bound_bytes",
    "plan_blocks",
]


def plan_blocks(
    blocks: Sequence[Block],
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
    align: int | None = None,
) -> Plan:
    """Offsets for all blocks in one arena, checked by the independent validator.

    `strategy` is "exact" (the smallest arena; after `time_limit_s` the best found, with its bound)
    or "greedy" (TFLM's planner). `align` raises the alignment of every block; greedy without it
    uses TFLM's 16. The arena is a whole multiple of the smallest alignment.

    Raises BadInput for an unknown strategy and for blocks that no plan can place, all at once.
    """
    start = monotonic()
    if strategy not in STRATEGIES:
        message = f"no planning strategy is called `{strategy}`"
        raise BadInput(Finding("strategy", "plan", message, f"use one of {', '.join(STRATEGIES)}"))
    if align is not None:
        if align < 1 or align & (align - 1):
            message = f"the alignment {align} was asked for"
            raise BadInput(Finding("alignment", "plan", message, "use a power of two"))
        blocks = [replace(block, align=max(block.align, align)) for block in blocks]
    findings = check_blocks(blocks)
    if findings:
        raise BadInput(findings)
    if strategy == "greedy":
        grid = TFLM_ALIGN if align is None else align
        offsets = greedy_offsets(blocks, grid)
        tops = (at + round_up(b.bytes, grid) for at, b in zip(offsets, blocks) if b.bytes)
        arena_bytes = round_up(max(tops, default=0), granule_bytes(blocks))
        bound_bytes = lower_bound_bytes(blocks)
    else:
        offsets, arena_bytes, bound_bytes = exact_offsets(blocks, time_limit_s)
    plan = Plan(
        offsets=tuple(offsets),
        arena_bytes=arena_bytes,
        strategy=strategy,
        bound_bytes=bound_bytes,
        optimal=arena_bytes == bound_bytes,
        seconds=monotonic() - start,
    )
    findings = check_plan(plan, blocks)
    if findings:  # a bug of ours: never hand out a plan that corrupts memory
        raise AssertionError("\n".join(str(finding) for finding in findings))
    return plan


def lower_bound_bytes(blocks: Sequence[Block]) -> int:
    """max over steps of the live bytes, each block rounded up to the smallest alignment."""
    return max((part.bound() * part.granule for part in parts(blocks)), default=0)
