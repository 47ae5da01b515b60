"""Blocks over several memory regions, the fastest first: what is read and written most per byte
goes where it is fast, as far as it fits; the rest spills to the next region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thimble.plan import TIME_LIMIT_S, plan_blocks
from thimble.plan.problem import Block, Plan, granule_bytes, round_up

Key = Callable[[int], tuple[float, ...]]


@dataclass(frozen=True)
class Region:
    """A memory of `bytes` bytes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Spread:
    """`region[i]`: where blocks[i] lies, at `offsets[i]` of it. `plans[k]` is that of region k.

    `left` are the blocks that no region has room for; they have region -1.
    """

    region: tuple[int, ...]
    offsets: tuple[int, ...]
    plans: tuple[Plan, ...]
    left: tuple[int, ...]


def spread_blocks(
    blocks: Sequence[Block],
    accesses: Sequence[float],
    regions: Sequence[Region],
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
) -> Spread:
    """Every block in one of `regions`, fastest first; accesses[i]: estimated, over its life.

    By accesses per byte; where that leaves blocks without a place, the largest blocks first.
    """

    def hot(i: int) -> tuple[float, ...]:
        return (-accesses[i] / max(blocks[i].bytes, 1), -blocks[i].bytes)

    def large(i: int) -> tuple[float, ...]:
        return (-blocks[i].bytes, *hot(i))

    found = _filled(blocks, regions, hot, strategy, time_limit_s)
    if found.left:
        other = _filled(blocks, regions, large, strategy, time_limit_s)
        found = min(found, other, key=lambda s: sum(blocks[i].bytes for i in s.left))
    return found


def _filled(
    blocks: Sequence[Block], regions: Sequence[Region], key: Key, strategy: str, time_limit_s: float
) -> Spread:
    todo = sorted(range(len(blocks)), key=key)
    where, offsets = [-1] * len(blocks), [0] * len(blocks)
    plans = []
    for k, region in enumerate(regions):
        chosen, plan = _fitting(blocks, todo, region.bytes, strategy, time_limit_s)
        plans.append(plan)
        for i, at in zip(chosen, plan.offsets):
            where[i], offsets[i] = k, at
        todo = [i for i in todo if where[i] < 0]
    return Spread(tuple(where), tuple(offsets), tuple(plans), tuple(todo))


def _fitting(
    blocks: Sequence[Block], order: Sequence[int], limit: int, strategy: str, time_limit_s: float
) -> tuple[list[int], Plan]:
    """The blocks of `order` that go into `limit` bytes, the first first, and their plan."""
    grain = granule_bytes(blocks)
    live = [0] * (1 + max((block.last for block in blocks), default=0))
    chosen = []
    for i in order:
        steps = range(blocks[i].first, blocks[i].last + 1)
        size = round_up(blocks[i].bytes, grain)
        if all(live[step] + size <= limit for step in steps):
            chosen.append(i)
            for step in steps:
                live[step] += size
    while True:
        plan = plan_blocks([blocks[i] for i in chosen], strategy, time_limit_s)
        if plan.arena_bytes <= limit:
            return chosen, plan
        # The live bytes fit but no plan was found: the least wanted of those at the top goes.
        ends = [at + blocks[i].bytes for i, at in zip(chosen, plan.offsets)]
        over = [k for k, end in enumerate(ends) if end > limit] or [len(chosen) - 1]
        chosen.pop(over[-1])
