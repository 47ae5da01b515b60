"""Beam search over skylines: many packings grow side by side, one block each a step, the smoothest
go on.

A state is a skyline [columns] and the open blocks. A step fills its lowest *pit*, a stretch of
columns between higher ones, at the end with fewer choices: with a block that fits there and that
lies on some row of blocks tiling the whole floor of the pit, or with nothing where the column can
waste the space up to the next level. Ranked by the steps left in the skyline, above all between
columns that open blocks still cross, with noise. Finds packings without slack that branch and bound
does not; proves nothing. NumPy works on all states at once.

Sources: skyline heuristics for strip packing (Burke, Kendall, Whitwell 2004); inference per section
of the timeline as in MiniMalloc (Moffitt, ASPLOS 2023).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from thimble.plan.instance import Instance

FAR = 1 << 40  # above every skyline

Array = np.ndarray


@dataclass(frozen=True)
class Taste:
    """What counts against a state, beside 1 for each skyline step that open blocks cross."""

    edge: float  # for each other step
    scarce: float  # for the height of a crossed step over the open sizes that could level it
    crossing: float  # for each open block and boundary it crosses, over the columns
    noise: float  # times a uniform random number
    waste: float  # for each column's wasted space over the mean size of a block

    @classmethod
    def drawn(cls, rng: random.Random) -> Taste:
        """One at random: none is best for all problems."""
        return cls(
            edge=rng.choice((0.0, 0.5, 1.0)),
            scarce=rng.choice((0.0, 0.0, 0.0, 0.5)),
            crossing=rng.choice((0.0, 0.0, 0.5, 1.0, 2.0)),
            noise=rng.choice((1.0, 2.0, 4.0)),
            waste=rng.choice((1.0, 3.0, 3.0, 10.0)),
        )


@dataclass(frozen=True)
class _States:
    """Partial packings side by side; first axis: states."""

    sky: Array  # [states, columns]
    open: Array  # [states, blocks + 1] the last is never open: nobody's twin
    rest: Array  # [states, columns] sizes of the open blocks
    starts: Array  # [states, columns] sizes of the open blocks that start in the column
    ends: Array  # [states, columns]
    crossing: Array  # [states, columns - 1] open blocks that cover the column and the next
    key: Array  # [states] hash of the open blocks

    def chosen(self, rows: Array) -> _States:
        return _States(
            self.sky[rows],
            self.open[rows],
            self.rest[rows],
            self.starts[rows],
            self.ends[rows],
            self.crossing[rows],
            self.key[rows],
        )


def can_beam(instance: Instance) -> bool:
    """Whether all blocks may lie at any granule: the beam knows no alignment, no fixed place."""
    return all(at is None for at in instance.fixed) and all(a == 1 for a in instance.align)


def beam_offsets(
    instance: Instance, target: int, width: int, deadline: float, rng: random.Random
) -> list[int] | None:
    """offset[i] of a packing of at most `target` granules, from `width` states; None: not found.

    `instance` must satisfy `can_beam`. Stops at `deadline` (monotonic seconds).
    """
    columns = instance.columns
    mirrored = rng.random() < 0.5
    lo, hi = instance.lo, instance.hi
    if mirrored:
        lo, hi = tuple(columns - 1 - c for c in hi), tuple(columns - 1 - c for c in lo)
    beam = _Beam(lo, hi, instance.size, columns, target, Taste.drawn(rng), rng.getrandbits(32))
    return beam.run(width, deadline)


class _Beam:
    def __init__(
        self,
        lo: Sequence[int],
        hi: Sequence[int],
        size: Sequence[int],
        columns: int,
        target: int,
        taste: Taste,
        seed: int,
    ):
        count = len(size)
        self.lo, self.hi, self.size = np.array(lo), np.array(hi), np.array(size, np.int64)
        self.columns, self.target, self.taste = columns, target, taste
        self.rng = np.random.default_rng(seed)
        self.column = np.arange(columns)
        self.covers = (self.lo[:, None] <= self.column) & (self.column <= self.hi[:, None])
        self.across = self.covers[:, :-1] & self.covers[:, 1:]
        self.load = int((self.covers * self.size[:, None]).sum())
        self.at_lo = (self.lo[:, None] == self.column) * self.size[:, None]
        self.at_hi = (self.hi[:, None] == self.column) * self.size[:, None]
        self.from_lo: list[list[int]] = [[] for _ in range(columns)]
        self.to_hi: list[list[int]] = [[] for _ in range(columns)]
        self.twin = np.full(count, count)  # of equal blocks, the one to be placed before
        latest: dict[tuple[int, int, int], int] = {}
        for i, kind in enumerate(zip(lo, hi, size)):
            self.from_lo[lo[i]].append(i)
            self.to_hi[hi[i]].append(i)
            self.twin[i] = latest.get(kind, count)
            latest[kind] = i
        self.block_key = self.rng.integers(0, 1 << 62, count, np.int64)
        self.column_key = self.rng.integers(0, 1 << 62, columns, np.int64) | 1

    def run(self, width: int, deadline: float) -> list[int] | None:
        """offset[i], or None."""
        count = len(self.size)
        is_open = np.ones((1, count + 1), bool)
        is_open[:, count] = False
        states = _States(
            np.zeros((1, self.columns), np.int64),
            is_open,
            (self.covers * self.size[:, None]).sum(axis=0)[None],
            self.at_lo.sum(axis=0)[None],
            self.at_hi.sum(axis=0)[None],
            self.across.sum(axis=0)[None],
            np.zeros(1, np.int64),
        )
        history: list[tuple[Array, Array, Array]] = []  # by step: state before, block, offset
        while states.rest.any(axis=1).all():
            if monotonic() > deadline:
                return None
            before, block, at, states = self._grown(states)
            kept = self._best(states, width)
            if not kept.size:
                return None
            history.append((before[kept], block[kept], at[kept]))
            states = states.chosen(kept)
        state = int(np.argmin(states.rest.any(axis=1)))
        offsets = [0] * count
        for before, block, at in reversed(history):
            if block[state] < count:
                offsets[block[state]] = int(at[state])
            state = before[state]
        return offsets

    def _grown(self, states: _States) -> tuple[Array, Array, Array, _States]:
        """(state before, block or `count` for waste, offset, state after) of every choice."""
        count = len(self.size)
        rows = np.arange(len(states.sky))
        sky = np.where(states.rest > 0, states.sky, FAR)
        left = sky.argmin(axis=1)
        floor = sky[rows, left]
        is_wall = (sky != floor[:, None]) & (self.column > left[:, None])
        right = np.where(is_wall.any(axis=1), is_wall.argmax(axis=1), self.columns) - 1
        fits = states.open[:, :count] & ~states.open[:, self.twin]
        fits &= (self.lo >= left[:, None]) & (self.hi <= right[:, None])
        slack = self.target - states.sky - states.rest
        fits &= self._on_tilings(fits, left, right, slack > 0)
        at_left, at_right = fits & (self.lo == left[:, None]), fits & (self.hi == right[:, None])
        is_right = at_right.sum(axis=1) < at_left.sum(axis=1)
        before, block = np.nonzero(np.where(is_right[:, None], at_right, at_left))
        after = self._placed(states, before, block, floor)
        column = np.where(is_right, right, left)
        level = self._next_level(sky, left, right, floor, is_right)
        idle = np.nonzero((level < FAR) & (level - floor <= slack[rows, column]))[0]
        if idle.size:
            wasted = states.chosen(idle)
            wasted.sky[np.arange(idle.size), column[idle]] = level[idle]
            after = _States(*(np.concatenate(pair) for pair in _fields(after, wasted)))
            before = np.concatenate([before, idle])
            block = np.concatenate([block, np.full(idle.size, count)])
        return before, block, floor[before], after

    def _placed(self, states: _States, before: Array, block: Array, floor: Array) -> _States:
        """The states `before`, each with its `block` on the floor of its pit."""
        covers, size = self.covers[block], self.size[block]
        top = (floor[before] + size)[:, None]
        is_open = states.open[before]
        is_open[np.arange(len(before)), block] = False
        return _States(
            np.where(covers, top, states.sky[before]),
            is_open,
            states.rest[before] - covers * size[:, None],
            states.starts[before] - self.at_lo[block],
            states.ends[before] - self.at_hi[block],
            states.crossing[before] - self.across[block],
            states.key[before] ^ self.block_key[block],
        )

    def _on_tilings(self, fits: Array, left: Array, right: Array, is_slack: Array) -> Array:
        """[states, blocks] whether the block is in a row of fitting blocks along the whole pit.

        Columns that can waste space may be left out of the row.
        """
        rows = np.arange(len(left))
        fitting = np.ascontiguousarray(fits.T)
        used = np.asarray(fitting.any(axis=1))
        spare = np.ascontiguousarray(is_slack.T)
        forward = np.zeros((self.columns + 1, len(left)), bool)
        backward = np.zeros_like(forward)
        forward[left, rows] = backward[right + 1, rows] = True
        first, last = int(left.min()), int(right.max())
        for c in range(first, last + 1):
            forward[c + 1] |= forward[c] & spare[c] & (c <= right)
            for i in self.from_lo[c]:
                if used[i]:
                    forward[self.hi[i] + 1] |= forward[c] & fitting[i]
        for c in range(last, first - 1, -1):
            backward[c] |= backward[c + 1] & spare[c] & (c >= left)
            for i in self.to_hi[c]:
                if used[i]:
                    backward[self.lo[i]] |= backward[c + 1] & fitting[i]
        return (forward[self.lo] & backward[self.hi + 1]).T

    def _next_level(
        self, sky: Array, left: Array, right: Array, floor: Array, is_right: Array
    ) -> Array:
        """[states] the level to which the end column of the pit rises when it wastes space."""
        rows = np.arange(len(left))
        low = np.where(left > 0, sky[rows, np.maximum(left - 1, 0)], FAR)
        inside = np.minimum(right + 1, self.columns - 1)
        high = np.where(right + 1 < self.columns, sky[rows, inside], FAR)
        wall, other = np.where(is_right, high, low), np.where(is_right, low, high)
        level = np.minimum(wall, np.where(left == right, other, FAR))
        above = np.where(sky > floor[:, None], sky, FAR).min(axis=1)
        return np.where(level < FAR, level, above)

    def _best(self, states: _States, width: int) -> Array:
        """Indices of at most `width` states: no two alike, none that cannot be completed."""
        step = states.sky[:, :-1] - states.sky[:, 1:]  # > 0: the left column is higher
        slack = self.target - states.sky - states.rest
        is_left = step > 0
        own = np.where(is_left, states.starts[:, 1:], states.ends[:, :-1])
        spare = np.where(is_left, slack[:, 1:], slack[:, :-1])
        height = np.abs(step)
        is_busy = states.rest > 0
        is_step: Array = (height > 0) & is_busy[:, 1:] & is_busy[:, :-1]
        is_crossed: Array = states.crossing > 0
        # Beside a wall only blocks that end there can lie; below a crossing block only they level.
        stuck = is_step & (height > spare) & ((own == 0) | (is_crossed & (height > own + spare)))
        key = states.key ^ (states.sky * self.column_key).sum(axis=1)
        _, unlike = np.unique(key, return_index=True)
        kept = unlike[~stuck[unlike].any(axis=1)]
        if len(kept) <= width:
            return kept
        is_step, is_crossed = is_step[kept], is_crossed[kept]
        taste = self.taste
        score = (is_step & is_crossed).sum(axis=1) + taste.noise * self.rng.random(len(kept))
        score += taste.edge * (is_step & ~is_crossed).sum(axis=1)
        score += taste.crossing / self.columns * states.crossing[kept].sum(axis=1)
        wasted = (states.sky[kept] + states.rest[kept]).sum(axis=1) - self.load
        score += taste.waste / self.size.mean() * wasted
        if taste.scarce:
            want = np.where(is_step & is_crossed, height[kept] / (own[kept] + 1), 0)
            score += taste.scarce * want.sum(axis=1)
        return kept[np.argpartition(score, width)[:width]]


def _fields(a: _States, b: _States) -> list[tuple[Array, Array]]:
    return [(getattr(a, name), getattr(b, name)) for name in _States.__dataclass_fields__]
