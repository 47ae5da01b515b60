"""The smallest arena, with a proof, or the best found and the bound when time runs out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from thimble.plan.instance import Instance, parts
from thimble.plan.pack import first_fit, height, orders
from thimble.plan.problem import Block, granule_bytes

SEED = 2024


@dataclass(frozen=True)
class Packing:
    """Offsets in granules, their height, and a proved lower bound on the height."""

    offsets: list[int]
    height: int
    bound: int


def exact_offsets(blocks: Sequence[Block], time_limit_s: float) -> tuple[list[int], int, int]:
    """(offset of each block, arena, lower bound), all in bytes; arena == bound is a proof."""
    deadline = monotonic() + time_limit_s
    granule = granule_bytes(blocks)
    offsets = [block.offset or 0 for block in blocks]
    top = bound = 0
    # The part with the highest bound first: the others only have to stay below what it needs.
    for part in sorted(parts(blocks), key=lambda part: -part.bound()):
        packing = solve(part, max(top, part.bound()), deadline)
        top = max(top, packing.height)
        bound = max(bound, packing.bound)
        for i, at in zip(part.ids, packing.offsets):
            offsets[i] = at * granule
    return offsets, top * granule, bound * granule


def solve(instance: Instance, target: int, deadline: float) -> Packing:
    """A packing of at most `target` granules, or the best found before the deadline."""
    best: list[int] | None = None
    for order in orders(instance):
        offsets = first_fit(instance, order)
        if best is None or height(instance, offsets) < height(instance, best):
            best = offsets
    assert best is not None
    rng = random.Random(SEED)
    order = orders(instance)[0]
    while height(instance, best) > target and monotonic() < deadline:
        i, j = rng.randrange(instance.blocks), rng.randrange(instance.blocks)
        trial = list(order)
        trial[i], trial[j] = trial[j], trial[i]
        offsets = first_fit(instance, trial)
        if height(instance, offsets) <= height(instance, best):
            best, order = offsets, trial
    return Packing(best, height(instance, best), instance.bound())
