"""Where a program's buffers lie: turns buffers and schedule into blocks, plans them, keeps the
offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thimble.plan import plan_blocks
from thimble.plan.lifetimes import lifetimes
from thimble.plan.problem import Block, Plan
from thimble.program import Program

PLANNED = ("input", "output", "arena", "scratch", "progress")


@dataclass(frozen=True)
class Memory:
    """Offsets in the arena by buffer index, with the plan they come from."""

    offsets: Mapping[int, int]
    blocks: tuple[Block, ...]
    plan: Plan
    align: int

    @property
    def arena_bytes(self) -> int:
        return self.plan.arena_bytes


def place(program: Program, strategy: str = "exact", time_limit_s: float = 2.0) -> Memory:
    """Plan the arena of `program`. Inputs and outputs have their place in it, unused buffers have
    none.
    """
    planned = {i for i, b in enumerate(program.buffers) if b.role in PLANNED and b.bytes > 0}
    steps = [(reads & planned, writes & planned) for reads, writes in program.reads_writes()]
    roles = {role: [i for i in planned if program.buffers[i].role == role] for role in PLANNED}
    held = roles["progress"]
    before, after = [*roles["input"], *held], [*roles["output"], *held]
    spans = lifetimes(steps, len(program.buffers), before, after)
    used = [i for i in sorted(planned) if spans[i] is not None]
    blocks = tuple(
        Block(program.buffers[i].name, program.buffers[i].bytes, *span, program.buffers[i].align)
        for i in used
        if (span := spans[i]) is not None
    )
    plan = plan_blocks(blocks, strategy, time_limit_s)
    align = max([8, *(block.align for block in blocks)])
    return Memory(dict(zip(used, plan.offsets)), blocks, plan, align)
