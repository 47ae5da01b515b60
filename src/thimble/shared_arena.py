"""Several programs in one arena: the parts of a split model, or models that take turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.inplace import Pair, pairs, shared_places
from thimble.memory import PLANNED, STATE_ALIGN, Memory, merged
from thimble.plan import TIME_LIMIT_S, check_plan, lifetimes, lower_bound_bytes, plan_blocks
from thimble.plan.problem import Block, Plan
from thimble.program import Program


@dataclass(frozen=True)
class Together:
    """The memories of programs that run one after the other, and the plan of all of them."""

    memories: tuple[Memory, ...]
    plan: Plan
    blocks: tuple[Block, ...]
    align: int

    @property
    def arena_bytes(self) -> int:
        return self.plan.arena_bytes


def place_in_turn(
    programs: Sequence[Program],
    tensors: Sequence[tuple[Sequence[int], Sequence[int]]],
    live_in: Sequence[int],
    live_out: Sequence[int],
    strategy: str = "exact",
    time_limit_s: float = TIME_LIMIT_S,
) -> Together:
    """Plan the arena of programs that run in order and hand each other tensors.

    tensors[k]: the (inputs, outputs) of program k, in the order of its ports, as numbers that are
    equal where the memory is: an output and the inputs that read it are one place, nothing is
    copied. `live_in` are written before the first program, `live_out` read after the last one.
    """
    blocks_of: dict[tuple[int, ...], int] = {}
    names: list[Block] = []
    numbers: list[dict[int, int]] = []
    for k, program in enumerate(programs):
        mine = {}
        for i, buffer in enumerate(program.buffers):
            if buffer.role not in PLANNED or buffer.bytes == 0:
                continue
            port = {"input": 0, "output": 1}.get(buffer.role)
            key = (tensors[k][port][buffer.port],) if port is not None else (k, i)
            if key not in blocks_of:
                blocks_of[key] = len(names)
                names.append(Block(buffer.name, buffer.bytes, 0, 0, buffer.align))
            mine[i] = blocks_of[key]
        numbers.append(mine)
    steps = [
        ({mine[i] for i in reads if i in mine}, {mine[i] for i in writes if i in mine})
        for program, mine in zip(programs, numbers)
        for reads, writes in program.reads_writes()
    ]
    before = [blocks_of[(t,)] for t in live_in if (t,) in blocks_of]
    after = [blocks_of[(t,)] for t in live_out if (t,) in blocks_of]
    spans = lifetimes(steps, len(names), before, after)
    shared: dict[int, int] = {}
    if strategy != "greedy":
        found: list[Pair] = []
        start = 0
        for program, mine in zip(programs, numbers):
            found += [_numbered(pair, mine, start) for pair in pairs(program)]
            start += len(program.schedule)
        shared = shared_places(found, spans, lambda i: i in after)
        spans = merged(spans, shared)
    used = [i for i, span in enumerate(spans) if span is not None]
    blocks = tuple(
        Block(names[i].name, names[i].bytes, *span, names[i].align)
        for i in used
        if (span := spans[i]) is not None
    )
    plan = plan_blocks(blocks, strategy, time_limit_s)
    offsets = dict(zip(used, plan.offsets))
    placed = dict(zip(used, blocks))
    for y, x in shared.items():
        offsets[y], placed[y] = offsets[x], placed[x]
    memories = []
    start = 0
    for program, mine in zip(programs, numbers):
        count = len(program.schedule)
        here = {i: number for i, number in mine.items() if number in offsets}
        memories.append(_part(here, placed, offsets, shared, start, count, plan.strategy))
        start += count
    align = max([STATE_ALIGN, *(block.align for block in blocks)])
    return Together(tuple(memories), plan, blocks, align)


def _numbered(pair: Pair, numbers: dict[int, int], start: int) -> Pair:
    operands = tuple(numbers[x] for x in pair.operands if x in numbers)
    return Pair(start + pair.step, numbers[pair.y], operands)


def _part(
    numbers: dict[int, int],
    placed: dict[int, Block],
    offsets: dict[int, int],
    shared: dict[int, int],
    start: int,
    count: int,
    strategy: str,
) -> Memory:
    """The memory of one program: its blocks with lifetimes in its own steps."""
    blocks, places = [], []
    for number in dict.fromkeys(shared.get(number, number) for number in numbers.values()):
        block = placed[number]
        first, last = max(block.first - start, 0), min(block.last - start, max(count - 1, 0))
        blocks.append(Block(block.name, block.bytes, first, max(first, last), block.align))
        places.append(offsets[number])
    top = max((at + block.bytes for at, block in zip(places, blocks)), default=0)
    top = -(-top // 4) * 4
    bound = lower_bound_bytes(blocks)
    plan = Plan(tuple(places), top, strategy, bound, top == bound, 0.0)
    if findings := check_plan(plan, blocks):  # a bug of ours
        raise AssertionError("\n".join(str(finding) for finding in findings))
    align = max([STATE_ALIGN, *(block.align for block in blocks)])
    own = {i: offsets[number] for i, number in numbers.items()}
    buffers = {number: i for i, number in numbers.items()}
    in_place = {
        i: buffers[shared[number]] for i, number in numbers.items() if shared.get(number) in buffers
    }
    return Memory(own, tuple(blocks), plan, align, in_place=in_place)
