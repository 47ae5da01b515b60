"""The smallest arena, with a proof, or the best found and the bound when time runs out.

Per independent part: first fit in several orders; then in rounds, with budgets that grow: first
fit in improved orders, and for three goals, the bound (finds the optimum, or raises the bound), the
middle, and just below the best (finds better, or proves the best optimal): branch and bound on
merged blocks, beam search, branch and bound. Deterministic while the time limit does not cut in.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

from thimble.plan.beam import beam_offsets, can_beam
from thimble.plan.greedy import greedy_offsets
from thimble.plan.instance import Instance, parts
from thimble.plan.pack import blamed_first_fit, first_fit, height, orders
from thimble.plan.problem import Block, granule_bytes
from thimble.plan.search import OutOfBudget, Search
from thimble.plan.slots import merge, unmerge

SEED = 2024
FIRST_NODES = 400  # node budget of the first search; grows by a quarter each round
FIRST_WIDTH = 150  # states of the first beam; grows by a quarter each round
BEAM_ENTRIES = 4_000_000  # of states times blocks, so that memory stays bounded
BEAM_BLOCKS = 600  # above, a beam takes minutes; improved first fits do better


@dataclass(frozen=True)
class Packing:
    """Offsets in granules, their height, and a proved lower bound on the height."""

    offsets: list[int]
    height: int
    bound: int


def exact_offsets(blocks: Sequence[Block], time_limit_s: float) -> tuple[list[int], int, int]:
    """(offset of each block, arena, lower bound), all in bytes; arena == bound is a proof."""
    begin = monotonic()
    granule = granule_bytes(blocks)
    offsets = [block.offset or 0 for block in blocks]
    todo = sorted(parts(blocks), key=lambda part: -part.bound())
    top = bound = max((part.bound() for part in todo), default=0)
    # The part with the highest bound first: the others only have to stay below what it needs.
    work = sum(part.blocks**2 for part in todo)
    for part in todo:
        left = max(begin + time_limit_s - monotonic(), 0)
        packing = solve(part, top, monotonic() + left * part.blocks**2 / work)
        work -= part.blocks**2
        top = max(top, packing.height)
        bound = max(bound, packing.bound)
        for i, at in zip(part.ids, packing.offsets):
            offsets[i] = at * granule
    if bound < top:
        # TFLM's own plan is one more candidate, so that nobody gets less than it would give.
        rival = greedy_offsets(blocks)
        ends = (at + block.bytes for at, block in zip(rival, blocks))
        rival_top = -(-max(ends) // granule)
        if rival_top < top:
            offsets, top = rival, rival_top
    return offsets, top * granule, bound * granule


def solve(instance: Instance, target: int, deadline: float) -> Packing:
    """A packing of at most `target` granules, or the best found before the deadline."""
    tried: list[list[int]] = []
    for order in orders(instance):
        if not tried or monotonic() < deadline:
            tried.append(first_fit(instance, order))
    best = min(tried, key=lambda offsets: height(instance, offsets))
    packing = Packing(best, height(instance, best), instance.bound())
    searches: dict[int, Search] = {}  # by goal: what failed there stays failed
    node_limit = FIRST_NODES
    width = FIRST_WIDTH
    is_beam = instance.blocks <= BEAM_BLOCKS and can_beam(instance)
    rounds = 0
    while packing.height > max(target, packing.bound) and monotonic() < deadline:
        rng = random.Random(SEED + rounds)
        offsets = blamed_first_fit(instance, packing.offsets, target, deadline, rng)
        packing = replace(packing, offsets=offsets, height=height(instance, offsets))
        low = max(target, packing.bound)
        for goal in dict.fromkeys((low, (low + packing.height) // 2, packing.height - 1)):
            if not packing.bound <= goal < packing.height:
                continue  # an earlier goal of this round has settled it
            found = _packed_by_slots(instance, goal, node_limit, deadline, rng)
            if found is None and is_beam and goal < packing.height - 1:
                some = width if goal == low else width // 3
                found = beam_offsets(instance, goal, some, deadline, rng)
            if found is not None:
                packing = replace(packing, offsets=found, height=height(instance, found))
                continue
            if node_limit < instance.blocks:
                continue  # a search needs a node for each block to get anywhere
            search = Search(instance, goal, node_limit, deadline, rng if rounds else None)
            if goal in searches:
                search.failed = searches[goal].failed
                search.next_target = searches[goal].next_target
            searches[goal] = search
            packing = _improved(packing, search)
        rounds += 1
        node_limit += node_limit // 4
        width = min(width + width // 4, max(BEAM_ENTRIES // instance.blocks, 1))
    return packing


def _improved(packing: Packing, search: Search) -> Packing:
    """The packing after a search: better, or with a higher bound, or as it was."""
    try:
        offsets = search.run()
    except OutOfBudget:
        return packing
    if offsets is None:
        return replace(packing, bound=min(search.next_target, packing.height))
    return Packing(offsets, height(search.instance, offsets), packing.bound)


def _packed_by_slots(
    instance: Instance, goal: int, node_limit: int, deadline: float, rng: random.Random
) -> list[int] | None:
    """offset[i] from a search over merged blocks; None proves nothing."""
    merged, slots = merge(instance, rng, lonely=rng.random() < 0.5)
    if node_limit < merged.blocks:
        return None
    try:
        offsets = Search(merged, goal, node_limit, deadline).run()
    except OutOfBudget:
        return None
    return None if offsets is None else unmerge(slots, offsets)
