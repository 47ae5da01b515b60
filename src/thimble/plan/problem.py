"""The planning problem and its answer: blocks that live over steps, offsets in one arena.

Nothing in this folder knows ops or graphs: a block is bytes, an alignment and a lifetime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One buffer to be placed: `bytes` bytes, live in the steps `first`..`last`, both inclusive.

    `align` is a power of two that divides the offset. `offset` prescribes the place; None leaves it
    to the planner.
    """

    name: str
    bytes: int
    first: int
    last: int
    align: int = 4
    offset: int | None = None


@dataclass(frozen=True)
class Plan:
    """offsets[i] is the place of blocks[i] in an arena of `arena_bytes` bytes.

    `bound_bytes` is a proved lower bound on the arena of any plan for the same blocks; `optimal`
    says that no smaller arena exists (the bound is reached, or the search was exhausted). `seconds`
    is the time planning took.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    strategy: str
    bound_bytes: int
    optimal: bool
    seconds: float

    @property
    def gap(self) -> float:
        """arena_bytes / bound_bytes - 1: how far from the optimum it can be; 0 when optimal."""
        if self.optimal or self.bound_bytes == 0:
            return 0.0
        return self.arena_bytes / self.bound_bytes - 1


def round_up(value: int, align: int) -> int:
    """The smallest multiple of `align` that is not below `value`."""
    return -(-value // align) * align


def granule_bytes(blocks: Sequence[Block]) -> int:
    """The smallest alignment of any block: sizes and the arena are counted in whole granules.

    No block can start between two multiples of it, so rounding sizes up to it loses nothing but the
    tail of the arena, which is a multiple of its alignment anyway.
    """
    return min((block.align for block in blocks), default=1)
