"""Where a program's buffers lie: turns buffers and schedule into blocks, plans them, keeps the
offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thimble.inplace import overlaid, pairs, shared_places, without_copies
from thimble.overlap import overlap
from thimble.plan import TIME_LIMIT_S, plan_blocks
from thimble.plan.lifetimes import lifetimes
from thimble.plan.problem import Block, Plan
from thimble.program import Program

STATE_ALIGN = 8
PLANNED = ("input", "output", "arena", "scratch", "progress")


@dataclass(frozen=True)
class RegionUse:
    """A region as the plan uses it: `bytes` of its `limit_bytes`, from `base` of all offsets."""

    name: str
    base: int
    bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class Memory:
    """Offsets in the arena by buffer index, with the plan they come from.

    With `regions`, fastest first, offsets count through all of them, one behind the other; the
    first is the arena that the caller gives.
    """

    offsets: Mapping[int, int]
    blocks: tuple[Block, ...]
    plan: Plan
    align: int
    state_bytes: int = 0  # at the start of the arena, kept between inferences
    in_place: Mapping[int, int] = field(default_factory=dict)  # buffer -> whose place it takes
    buffers: tuple[int, ...] = ()  # of each block
    regions: tuple[RegionUse, ...] = ()

    @property
    def arena_bytes(self) -> int:
        return self.state_bytes + self.plan.arena_bytes

    @property
    def given_bytes(self) -> int:
        """Bytes that the caller gives: the arena, or the first of the regions."""
        return self.regions[0].bytes if self.regions else self.arena_bytes

    def region_at(self, offset: int) -> RegionUse | None:
        """The region of an offset; None: the arena that the caller gives."""
        return next((r for r in self.regions[1:] if 0 <= offset - r.base < r.bytes), None)


def place(
    program: Program,
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
    in_place: bool = True,
) -> Memory:
    """Plan the arena of `program`. Inputs and outputs have their place in it, unused buffers have
    none, the state of a stateful program lies before all others. Element-wise calls are in place
    where they can be, but for `in_place` False and for strategy "greedy", which is what TFLM would
    do.
    """
    state: dict[int, int] = {}
    state_bytes = 0
    for i, buffer in enumerate(program.buffers):
        if buffer.role == "state" and buffer.bytes > 0:
            state[i] = -(-state_bytes // buffer.align) * buffer.align
            state_bytes = state[i] + buffer.bytes
    state_bytes = -(-state_bytes // STATE_ALIGN) * STATE_ALIGN
    planned = {i for i, b in enumerate(program.buffers) if b.role in PLANNED and b.bytes > 0}
    if program.hop is not None:  # a hop may begin before the outputs of the last are read
        planned -= {i for i in planned if program.buffers[i].role == "output"}
    steps = [(reads & planned, writes & planned) for reads, writes in program.reads_writes()]
    roles = {role: [i for i in planned if program.buffers[i].role == role] for role in PLANNED}
    held = roles["progress"]
    before, after = [*roles["input"], *held], [*roles["output"], *held]
    spans = lifetimes(steps, len(program.buffers), before, after)
    found = pairs(program) if in_place and strategy != "greedy" else []
    shared = shared_places(found, spans, lambda i: program.buffers[i].role == "output")
    for y, x in overlaid(program).items():
        shared[y] = shared.get(x, x)
    allowed = in_place and strategy != "greedy"
    groups = overlap(program, spans, merged(spans, shared), shared, allowed)
    groups.sort(key=lambda group: min(group.places))
    used = [next(iter(group.places)) for group in groups]
    blocks = tuple(
        Block(
            program.buffers[i].name,
            group.bytes,
            *group.span,
            max(program.buffers[k].align for k in group.places),
        )
        for i, group in zip(used, groups)
    )
    plan = plan_blocks(blocks, strategy, time_limit_s)
    align = max([STATE_ALIGN, *(block.align for block in blocks)])
    offsets, over = dict(state), dict[int, int]()
    for i, group, offset in zip(used, groups, plan.offsets):
        for k, at in group.places.items():
            offsets[k] = state_bytes + offset + at
            over |= {k: i} if k != i else {}
    return Memory(offsets, blocks, plan, align, state_bytes, over, tuple(used))


def place_without_copies(
    program: Program, strategy: str = "exact", time_limit_s: float = TIME_LIMIT_S
) -> tuple[Program, Memory]:
    """`program` with the copies of joins and splits left out, unless the arena is smaller with
    them, and its memory.
    """
    memory = place(program, strategy, time_limit_s)
    direct = without_copies(program)
    if direct is program:
        return program, memory
    found = place(direct, strategy, time_limit_s)
    if found.arena_bytes <= memory.arena_bytes:
        return direct, found
    return program, memory


def merged(
    spans: Sequence[tuple[int, int] | None], shared: Mapping[int, int]
) -> list[tuple[int, int] | None]:
    """`spans` with those of buffers that share a place joined under the one whose place it is."""
    joined = list(spans)
    for y, x in shared.items():
        mine, other = joined[y], joined[x]
        assert mine is not None
        assert other is not None
        joined[x], joined[y] = (min(other[0], mine[0]), max(other[1], mine[1])), None
    return joined
