"""Constructive packing: blocks in some order, each at the lowest place that is free."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from thimble.plan.instance import Instance
from thimble.plan.problem import round_up

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


def disturbed_first_fit(
    instance: Instance, offsets: list[int], target: int, deadline: float, rng: random.Random
) -> list[int]:
    """The best of many first fits: the best order so far, with some blocks moved forward in it.

    Blocks that reach the top of the arena, and their neighbours, are the ones moved. Stops at
    `target`, at the deadline, or after as many tries as there are blocks.
    """
    best, best_height = offsets, height(instance, offsets)
    order = sorted(range(instance.blocks), key=lambda i: best[i])
    for _ in range(instance.blocks):
        if best_height <= target or monotonic() > deadline:
            break
        tops = [i for i in order if best[i] + instance.size[i] == best_height]
        i = rng.choice(tops)
        movers = {i, *rng.sample(instance.neighbours[i], min(2, len(instance.neighbours[i])))}
        trial = [j for j in order if j not in movers]
        for j in movers:
            trial.insert(rng.randrange(order.index(j) + 1), j)
        placed = first_fit(instance, trial)
        if height(instance, placed) <= best_height:
            best, best_height, order = placed, height(instance, placed), trial
    return best
