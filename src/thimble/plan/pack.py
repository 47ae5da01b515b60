"""Constructive packing: blocks in some order, each at the lowest place that is free."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from thimble.plan.instance import Instance
from thimble.plan.problem import round_up

BLAME = 0.1  # measured on random and on cut problems: 0.02 is slower, 0.3 forgets too much
TRIES = 150

Key = Callable[[int], tuple[float, ...]]


def first_fit(instance: Instance, order: Iterable[int]) -> list[int]:
    """offset[i]: blocks in `order`, each in the lowest gap among its placed neighbours.

    Prescribed blocks are placed first whatever the order.
    """
    size, align, neighbours = instance.size, instance.align, instance.neighbours
    offsets = [-1] * instance.blocks
    for i, at in enumerate(instance.fixed):
        if at is not None:
            offsets[i] = at
    for i in order:
        if instance.fixed[i] is not None:
            continue
        need, step = size[i], align[i]
        offset = 0
        for begin, end in sorted(
            [(offsets[j], offsets[j] + size[j]) for j in neighbours[i] if offsets[j] >= 0]
        ):
            if begin - offset >= need:
                break
            if end > offset:
                offset = end if step == 1 else round_up(end, step)
        offsets[i] = offset
    return offsets


def height(instance: Instance, offsets: Sequence[int]) -> int:
    """Granules of arena that the offsets need."""
    return max((at + size for at, size in zip(offsets, instance.size)), default=0)


def orders(instance: Instance) -> list[list[int]]:
    """Orders worth trying first: by size, area, lifetime, load of the columns covered, and time."""
    size, lo, hi = instance.size, instance.lo, instance.hi
    load = instance.load
    peak = [max(load[lo[i] : hi[i] + 1]) for i in range(instance.blocks)]
    keys: list[Key] = [
        lambda i: (-size[i], lo[i]),
        lambda i: (-size[i], -lo[i]),
        lambda i: (-size[i] * (hi[i] - lo[i] + 1), lo[i]),
        lambda i: (lo[i] - hi[i], -size[i]),
        lambda i: (-peak[i], -size[i]),
        lambda i: (-peak[i], lo[i] - hi[i], -size[i]),
        lambda i: (-peak[i], -size[i] * (hi[i] - lo[i] + 1)),
        lambda i: (lo[i], -hi[i]),
        lambda i: (-hi[i], lo[i]),
    ]
    return [sorted(range(instance.blocks), key=key) for key in keys]


def blamed_first_fit(
    instance: Instance, offsets: list[int], target: int, deadline: float, rng: random.Random
) -> list[int]:
    """The best of many first fits; after each, the blocks that end above `target` move forward.

    Each moves by a random part of `BLAME` of the order, so that what is hard to place comes to be
    placed early. Stops at `target`, at the deadline, or after `TRIES` tries without progress.
    """
    best, best_height = offsets, height(instance, offsets)
    order = sorted(range(instance.blocks), key=lambda i: offsets[i])
    reach = BLAME * instance.blocks
    since = 0
    while best_height > target and since < TRIES and monotonic() < deadline:
        offsets = first_fit(instance, order)
        if height(instance, offsets) < best_height:
            best, best_height, since = offsets, height(instance, offsets), 0
        since += 1
        place = {
            i: position - (rng.random() * reach if offsets[i] + instance.size[i] > target else 0)
            for position, i in enumerate(order)
        }
        order = sorted(order, key=place.__getitem__)
    return best
