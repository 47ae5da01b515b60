"""Constructive packing: blocks in some order, each at the lowest place that is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
