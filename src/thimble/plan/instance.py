"""A planning problem boiled down for the solvers: granules for bytes, cliques for steps.

Two steps matter differently only where some block ends and another starts. The steps with a maximal
set of live blocks are the maximal cliques of the interval structure; they become the *columns*, and
a block covers the columns lo..hi. A problem falls into *parts* wherever no block covers two
adjacent columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from thimble.plan.problem import Block, granule_bytes, round_up


@dataclass(frozen=True)
class Instance:
    """Blocks 0..n-1 cover the columns lo[i]..hi[i] (inclusive); sizes, aligns, offsets in granules.

    `ids[i]` is the block's index in the original list; `fixed[i]` a prescribed offset or None.
    """

    granule: int  # bytes
    columns: int
    ids: tuple[int, ...]
    lo: tuple[int, ...]
    hi: tuple[int, ...]
    size: tuple[int, ...]
    align: tuple[int, ...]
    fixed: tuple[int | None, ...]

    @property
    def blocks(self) -> int:
        return len(self.ids)

    @cached_property
    def load(self) -> list[int]:
        """Sum of the sizes of the blocks of each column [columns]."""
        change = [0] * (self.columns + 1)
        for lo, hi, size in zip(self.lo, self.hi, self.size):
            change[lo] += size
            change[hi + 1] -= size
        load, total = [], 0
        for step in change[: self.columns]:
            total += step
            load.append(total)
        return load

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """For each block the others that share a column with it."""
        order = sorted(range(self.blocks), key=lambda i: self.lo[i])
        result: list[list[int]] = [[] for _ in order]
        live: list[int] = []
        for i in order:
            live = [j for j in live if self.hi[j] >= self.lo[i]]
            for j in live:
                result[i].append(j)
                result[j].append(i)
            live.append(i)
        return result

    def bound(self) -> int:
        """max over columns of the live sizes, and over prescribed blocks of their ends."""
        ends = (at + size for at, size in zip(self.fixed, self.size) if at is not None)
        return max(max(self.load, default=0), max(ends, default=0))


def parts(blocks: Sequence[Block]) -> list[Instance]:
    """The independent parts of a problem, each with its own columns; without blocks of 0 bytes."""
    granule = granule_bytes(blocks)
    order = sorted(
        (i for i, block in enumerate(blocks) if block.bytes > 0), key=lambda i: blocks[i].first
    )
    found: list[Instance] = []
    group: list[int] = []
    group_last = -1
    for i in order:
        if group and blocks[i].first > group_last:
            found.append(_instance(blocks, group, granule))
            group = []
        group.append(i)
        group_last = max(group_last, blocks[i].last)
    if group:
        found.append(_instance(blocks, group, granule))
    return found


def _instance(blocks: Sequence[Block], ids: Sequence[int], granule: int) -> Instance:
    # A column closes at the first end after a start: until then the live set only grows.
    events = sorted([(blocks[i].first, 0, i) for i in ids] + [(blocks[i].last, 1, i) for i in ids])
    lo = dict.fromkeys(ids, 0)
    hi = dict.fromkeys(ids, 0)
    column = 0
    closed = False
    for _, is_end, i in events:
        if is_end:
            hi[i] = column
            closed = True
        else:
            if closed:
                column += 1
                closed = False
            lo[i] = column
    return Instance(
        granule=granule,
        columns=column + 1,
        ids=tuple(ids),
        lo=tuple(lo[i] for i in ids),
        hi=tuple(hi[i] for i in ids),
        size=tuple(round_up(blocks[i].bytes, granule) // granule for i in ids),
        align=tuple(blocks[i].align // granule for i in ids),
        fixed=tuple(_granules(blocks[i].offset, granule) for i in ids),
    )


def _granules(offset: int | None, granule: int) -> int | None:
    return None if offset is None else offset // granule
