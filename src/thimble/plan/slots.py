"""Blocks that share a slot: a smaller problem whose solution solves the larger one.

    | x |            | xy  |                       | y  |      | xy |
    +---+--+   ->    |     |   x then y            +----+  ->  |    |   x under y
        | y |        +-----+   of equal size       | x  |      +----+   live together
        +---+                                      +----+

Neither step is always right (the optimum may need the blocks apart), so this is a first try before
the search on the whole. It undoes guillotine cuts, and it finds the ping and the pong of a chain.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from thimble.plan.instance import Instance


@dataclass(frozen=True)
class Slot:
    """One merged block: columns, size, and its members as (block, offset within the slot)."""

    lo: int
    hi: int
    size: int
    members: tuple[tuple[int, int], ...]


def merge(instance: Instance, rng: random.Random, lonely: bool) -> tuple[Instance, list[Slot]]:
    """The instance of slots: equal followers joined; twins (same columns) stacked if none is left.

    Twins that match a neighbour when stacked come first; others only with `lonely`, narrow ones
    first. Blocks with a prescribed offset or an alignment above the granule stay as they are.
    """
    loose = [i for i in range(instance.blocks) if _is_loose(instance, i)]
    slots = [Slot(instance.lo[i], instance.hi[i], instance.size[i], ((i, 0),)) for i in loose]
    slots = _join_followers(slots)
    while True:
        before = len(slots)
        slots = _join_followers(_stack_twins(slots, rng, lonely))
        if len(slots) == before:
            break
    stiff = [i for i in range(instance.blocks) if not _is_loose(instance, i)]
    slots += [Slot(instance.lo[i], instance.hi[i], instance.size[i], ((i, 0),)) for i in stiff]
    merged = Instance(
        granule=instance.granule,
        columns=instance.columns,
        ids=tuple(range(len(slots))),
        lo=tuple(slot.lo for slot in slots),
        hi=tuple(slot.hi for slot in slots),
        size=tuple(slot.size for slot in slots),
        align=(1,) * (len(slots) - len(stiff)) + tuple(instance.align[i] for i in stiff),
        fixed=(None,) * (len(slots) - len(stiff)) + tuple(instance.fixed[i] for i in stiff),
    )
    return merged, slots


def unmerge(slots: Sequence[Slot], offsets: Sequence[int]) -> list[int]:
    """offset[i] of the blocks, from the offsets of their slots."""
    result = [0] * sum(len(slot.members) for slot in slots)
    for slot, at in zip(slots, offsets):
        for i, within in slot.members:
            result[i] = at + within
    return result


def _is_loose(instance: Instance, i: int) -> bool:
    return instance.fixed[i] is None and instance.align[i] == 1


def _join_followers(slots: list[Slot]) -> list[Slot]:
    """Every slot joined with one of the same size that begins right after it, again and again."""
    waiting: dict[tuple[int, int], list[Slot]] = defaultdict(list)  # (lo, size), from the right
    for slot in sorted(slots, key=lambda slot: -slot.lo):
        while followers := waiting.get((slot.hi + 1, slot.size)):
            after = followers.pop()
            slot = Slot(slot.lo, after.hi, slot.size, slot.members + after.members)
        waiting[slot.lo, slot.size].append(slot)
    return [slot for group in waiting.values() for slot in group]


def _stack_twins(slots: list[Slot], rng: random.Random, lonely: bool) -> list[Slot]:
    """One pair of twins stacked, one that gives an equal follower if there is any."""
    groups: dict[tuple[int, int], list[Slot]] = defaultdict(list)
    for slot in slots:
        groups[slot.lo, slot.hi].append(slot)
    pairs = [pair for group in groups.values() for pair in combinations(group, 2)]
    if not pairs:
        return slots
    sizes = [(slot.lo, slot.hi, slot.size) for slot in slots]
    sizes += [(x.lo, x.hi, x.size + y.size) for x, y in pairs]
    begins = {(lo, size) for lo, _, size in sizes}
    ends = {(hi, size) for _, hi, size in sizes}

    def merit(pair: tuple[Slot, Slot]) -> tuple[bool, float]:
        lo, hi, total = pair[0].lo, pair[0].hi, pair[0].size + pair[1].size
        matches = (hi + 1, total) in begins or (lo - 1, total) in ends
        return (not matches, (hi - lo + 1) * rng.random())

    lower, upper = min(pairs, key=merit)
    if not lonely and merit((lower, upper))[0]:
        return slots
    raised = tuple((i, within + lower.size) for i, within in upper.members)
    stacked = Slot(lower.lo, lower.hi, lower.size + upper.size, lower.members + raised)
    return [slot for slot in slots if slot is not lower and slot is not upper] + [stacked]
