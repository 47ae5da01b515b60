"""What a plan looks like: a picture of the arena over the steps, and a summary in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.plan.problem import Block, Plan

SYMBOLS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EMPTY = "."
SHARED = "+"  # several blocks in one cell of the picture


@dataclass(frozen=True)
class Summary:
    """The facts of a plan that point to what to change. Indices refer to the blocks."""

    arena_bytes: int
    bound_bytes: int
    peak_step: int  # the first step with the most live bytes
    peak_bytes: int  # live bytes there, without alignment
    peak_blocks: tuple[int, ...]  # live in the peak step, largest first
    long_lived: tuple[int, ...]  # live in at least half of the steps, longest first
    total_bytes: int  # of all blocks: what a plan without sharing would need

    def __str__(self) -> str:
        shared = (
            f"{self.total_bytes / self.arena_bytes:.1f}x shared" if self.arena_bytes else "empty"
        )
        return (
            f"arena {self.arena_bytes} B (bound {self.bound_bytes} B, {shared}), "
            f"peak in step {self.peak_step}: {self.peak_bytes} B "
            f"in {len(self.peak_blocks)} blocks, {len(self.long_lived)} long-lived"
        )


def summary(plan: Plan, blocks: Sequence[Block]) -> Summary:
    """Peak step, what is live there, and the blocks that live through half of the steps or more."""
    steps = 1 + max((block.last for block in blocks), default=0)
    live_bytes = [0] * (steps + 1)
    for block in blocks:
        live_bytes[block.first] += block.bytes
        live_bytes[block.last + 1] -= block.bytes
    for step in range(1, steps + 1):
        live_bytes[step] += live_bytes[step - 1]
    peak_bytes = max(live_bytes)
    peak_step = live_bytes.index(peak_bytes)
    at_peak = [i for i, b in enumerate(blocks) if b.first <= peak_step <= b.last]
    spans = {i: b.last - b.first + 1 for i, b in enumerate(blocks)}
    long_lived = [i for i, span in spans.items() if span > 2 and 2 * span >= steps]
    return Summary(
        arena_bytes=plan.arena_bytes,
        bound_bytes=plan.bound_bytes,
        peak_step=peak_step,
        peak_bytes=peak_bytes,
        peak_blocks=tuple(sorted(at_peak, key=lambda i: -blocks[i].bytes)),
        long_lived=tuple(sorted(long_lived, key=lambda i: -spans[i])),
        total_bytes=sum(block.bytes for block in blocks),
    )


def picture(plan: Plan, blocks: Sequence[Block], rows: int = 16, columns: int = 72) -> str:
    """The arena as text: time to the right, addresses upwards, a letter per block.

    A row is a band of addresses (labelled with its first byte), a column one step or, where there
    are more steps than columns, several. `+` marks a cell that several blocks use, `.` one that
    none does.
    """
    steps = 1 + max((block.last for block in blocks), default=0)
    band = max(1, -(-plan.arena_bytes // rows))
    stride = max(1, -(-steps // columns))
    height, width = -(-plan.arena_bytes // band), -(-steps // stride)
    cells = [[EMPTY] * width for _ in range(height)]
    for index, (block, offset) in enumerate(zip(blocks, plan.offsets)):
        if block.bytes == 0:
            continue
        symbol = SYMBOLS[index % len(SYMBOLS)]
        for row in range(offset // band, (offset + block.bytes - 1) // band + 1):
            for column in range(block.first // stride, block.last // stride + 1):
                free = cells[row][column] == EMPTY
                cells[row][column] = symbol if free else SHARED
    label = len(str(plan.arena_bytes))
    lines = [f"{row * band:>{label}} |{''.join(cells[row])}|" for row in range(height - 1, -1, -1)]
    each = "1 step" if stride == 1 else f"{stride} steps"
    lines.append(
        f"{'':>{label}}  a column is {each}, a row {band} B, the arena {plan.arena_bytes} B"
    )
    return "\n".join(lines)


def table(plan: Plan, blocks: Sequence[Block], width: int = 40) -> str:
    """One line per block, by offset: letter, byte range, lifetime as numbers and as a bar, name."""
    steps = 1 + max((block.last for block in blocks), default=0)
    stride = max(1, -(-steps // width))
    columns = -(-steps // stride)
    digits = len(str(plan.arena_bytes))
    lines = []
    for index in sorted(range(len(blocks)), key=lambda i: (plan.offsets[i], blocks[i].first)):
        block, offset = blocks[index], plan.offsets[index]
        begin, end = block.first // stride, block.last // stride
        bar = " " * begin + "#" * (end - begin + 1) + " " * (columns - end - 1)
        lines.append(
            f"{SYMBOLS[index % len(SYMBOLS)]} {offset:>{digits}}..{offset + block.bytes:<{digits}} "
            f"|{bar}| {block.first}..{block.last} {block.name}"
        )
    return "\n".join(lines)
