"""Branch and bound: is there a packing of at most `target` granules?

The state is a skyline: every placed block lies below it, every other block must lie above. `low[i]`
is the lowest offset block i can still have (the highest column it covers, aligned, clear of
prescribed blocks); the skyline of a column is the least `low` of its open blocks, so space nothing
can use is given up at once. A *pit* is a lowest stretch of columns between higher ones. Pushed down
as far as it goes, a packing has at the left (or right) end of a pit either one of the blocks whose
`low` is the floor of the pit, or nothing: then the end column is raised to where its first block
can next be. That is the branching; the end with the fewest choices goes first. It loses no
solution, whatever the order.

Pruned by: in a column, blocks stacked in the order of `low` must end by the target; states (open
blocks, skyline) that failed before; and open blocks that fall apart into independent groups.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from thimble.plan.instance import Instance
from thimble.plan.problem import round_up

NEVER = 1 << 62  # above every offset


class OutOfBudget(Exception):
    """The node budget or the time is spent; nothing is proved."""


@dataclass
class State:
    """What is open. Copied for each branch; the inner lists of `live` are shared, never mutated."""

    sky: list[int]  # [columns] NEVER where nothing is open
    low: list[int]  # [blocks]
    live: list[list[int]]  # [columns] open blocks of the column
    crossing: list[int]  # [columns] open blocks that cover this column and the next
    need: list[int]  # [columns] least height of the column

    def copy(self) -> State:
        return State(self.sky[:], self.low[:], self.live[:], self.crossing[:], self.need[:])


@dataclass
class Search:
    """One decision: all blocks of `instance` within `target` granules.

    When `run` returns None, `target` is impossible and `next_target` is the least height that the
    failed branches leave open: a proved lower bound. `failed` may be handed on to another search
    for the same instance and target.
    """

    instance: Instance
    target: int
    node_limit: int
    deadline: float
    rng: random.Random | None = None  # None: choices in their natural order
    failed: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)
    nodes: int = 0
    next_target: int = NEVER

    def run(self) -> list[int] | None:
        """offset[i] of a packing within the target; None when there is none. Raises OutOfBudget."""
        instance = self.instance
        self.offsets = [0] * instance.blocks
        self.rivals = [
            sorted((at, j) for j in near if (at := instance.fixed[j]) is not None)
            for near in instance.neighbours
        ]
        live: list[list[int]] = [[] for _ in range(instance.columns)]
        crossing = [0] * instance.columns
        for i in range(instance.blocks):
            for column in range(instance.lo[i], instance.hi[i] + 1):
                live[column].append(i)
                crossing[column] += column < instance.hi[i]
        low = [self._lift(i, 0) for i in range(instance.blocks)]
        state = State([0] * instance.columns, low, live, crossing, [0] * instance.columns)
        if not self._settle(range(instance.columns), state):
            return None
        with _deep_recursion():
            solved = self._solve(0, instance.columns, (1 << instance.blocks) - 1, state)
        return self.offsets if solved else None

    def _lift(self, i: int, level: int) -> int:
        """The lowest offset >= level for block i: aligned, clear of prescribed blocks."""
        fixed = self.instance.fixed[i]
        if fixed is not None:
            return fixed if level <= fixed else NEVER
        align, size = self.instance.align[i], self.instance.size
        level = round_up(level, align)
        for at, j in self.rivals[i]:
            if at < level + size[i] and level < at + size[j]:
                level = round_up(at + size[j], align)
        return level

    def _settle(self, columns: Sequence[int], state: State) -> bool:
        """Raises the skyline of `columns` to what open blocks can reach; False: over the target."""
        size, low = self.instance.size, state.low
        for column in columns:
            stack = sorted([(low[i], size[i]) for i in state.live[column]])
            if not stack:
                state.sky[column] = NEVER
                continue
            state.sky[column] = stack[0][0]
            top = 0
            for level, height in stack:
                top = (level if level > top else top) + height
            state.need[column] = top
            if top > self.target:
                self.next_target = min(self.next_target, top)
                return False
        return True

    def _solve(self, begin: int, end: int, open_blocks: int, state: State) -> bool:
        """Places `open_blocks` (a bit mask) of the columns begin..end-1; notes their offsets."""
        if not open_blocks:
            return True
        if 0 in state.crossing[begin : end - 1]:
            return all(self._solve(*group, state) for group in self._groups(begin, end, state))
        self.nodes += 1
        if self.nodes > self.node_limit or (self.nodes & 15 == 0 and monotonic() > self.deadline):
            raise OutOfBudget
        key = (open_blocks, tuple(state.sky[begin:end]))
        if key in self.failed:
            return False
        column, choices = self._choices(begin, end, state)
        for i in choices:
            after = state.copy()
            touched = self._place(i, after)
            if self._settle(touched, after) and self._solve(
                begin, end, open_blocks ^ (1 << i), after
            ):
                self.offsets[i] = state.low[i]
                return True
        touched = self._waste(column, state)
        if touched and self._settle(touched, state) and self._solve(begin, end, open_blocks, state):
            return True
        self.failed.add(key)
        return False

    def _groups(self, begin: int, end: int, state: State) -> list[tuple[int, int, int]]:
        """(begin, end, open blocks) of the stretches of columns that share no open block."""
        groups = []
        start, mask = begin, 0
        for column in range(begin, end):
            for i in state.live[column]:
                mask |= 1 << i
            if not state.crossing[column]:
                if mask:
                    groups.append((start, column + 1, mask))
                start, mask = column + 1, 0
        return sorted(groups, key=lambda group: group[2].bit_count())

    def _choices(self, begin: int, end: int, state: State) -> tuple[int, list[int]]:
        """(column, blocks): the end of a pit with the fewest choices, best choice first."""
        sky, low, live = state.sky, state.low, state.live
        best: list[int] = []
        best_column, best_rank = -1, (NEVER, 0)
        left = begin
        before = NEVER
        while left < end:
            floor = sky[left]
            right = left
            while right + 1 < end and sky[right + 1] == floor:
                right += 1
            if before >= floor and (right + 1 == end or sky[right + 1] >= floor):
                for side in {left, right}:
                    fitting = [i for i in live[side] if low[i] == floor]
                    rank = (len(fitting), -state.need[side] if self.rng is None else floor)
                    if rank < best_rank:
                        best, best_column, best_rank = fitting, side, rank
            before = floor
            left = right + 1
        return best_column, self._ranked(best, state)

    def _ranked(self, blocks: list[int], state: State) -> list[int]:
        """One of each kind of block, flush with a neighbour first, then wide ones."""
        instance, sky, rng = self.instance, state.sky, self.rng
        lo, hi, size = instance.lo, instance.hi, instance.size
        unlike = {(lo[i], hi[i], size[i], instance.align[i], instance.fixed[i]): i for i in blocks}

        def merit(i: int) -> tuple[float, float, int]:
            top = state.low[i] + size[i]
            flush = (lo[i] > 0 and sky[lo[i] - 1] == top) + (
                hi[i] + 1 < instance.columns and sky[hi[i] + 1] == top
            )
            noise = 1 + rng.random() if rng is not None else 1
            return (-flush, (lo[i] - hi[i]) * noise, -size[i])

        return sorted(unlike.values(), key=merit)

    def _place(self, i: int, state: State) -> Sequence[int]:
        """Puts block i at low[i]; returns the columns whose skyline may have risen."""
        lo, hi, low, live = self.instance.lo, self.instance.hi, state.low, state.live
        top = low[i] + self.instance.size[i]
        begin, end = lo[i], hi[i] + 1
        below: set[int] = set()
        for column in range(lo[i], hi[i] + 1):
            live[column] = [j for j in live[column] if j != i]
            state.crossing[column] -= column < hi[i]
            below.update(live[column])
        for j in below:
            if low[j] < top:
                low[j] = self._lift(j, top)
                begin, end = min(begin, lo[j]), max(end, hi[j] + 1)
        return range(begin, end)

    def _waste(self, column: int, state: State) -> Sequence[int]:
        """Leaves the floor of `column` empty; returns the columns touched, none if impossible.

        Its first block then stands on an open block of another column, or was above anyway.
        """
        lo, hi, size = self.instance.lo, self.instance.hi, self.instance.size
        low, live, floor = state.low, state.live, state.sky[column]
        fitting = [i for i in live[column] if low[i] == floor]
        level = min((low[i] for i in live[column] if low[i] > floor), default=NEVER)
        for near in range(min(lo[i] for i in fitting), max(hi[i] for i in fitting) + 1):
            for j in live[near]:
                if low[j] + size[j] < level and not lo[j] <= column <= hi[j]:
                    level = low[j] + size[j]
        if level == NEVER:
            return range(0)
        for i in fitting:
            low[i] = self._lift(i, level)
        return range(min(lo[i] for i in fitting), max(hi[i] for i in fitting) + 1)


@contextmanager
def _deep_recursion(limit: int = 100_000) -> Iterator[None]:
    """One frame per placed block: lifts the interpreter's limit for the time of the search."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, limit))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
