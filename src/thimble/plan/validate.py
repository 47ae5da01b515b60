"""What a plan must fulfil, checked the obvious way. Shares no code with the planners."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.errors import Finding
from thimble.plan.problem import Block, Plan


def check_blocks(blocks: Sequence[Block]) -> list[Finding]:
    """One finding per block that no plan can place: its size, lifetime, alignment, offset."""
    findings = []
    for index, block in enumerate(blocks):
        where = _where(index, block)
        if block.bytes < 0:
            findings.append(Finding("block-size", where, f"has {block.bytes} bytes"))
        if block.first < 0 or block.last < block.first:
            message = f"lives from step {block.first} to step {block.last}"
            hint = "first is at least 0 and last is not before first; both are inclusive"
            findings.append(Finding("block-lifetime", where, message, hint))
        if block.align < 1 or block.align & (block.align - 1):
            message = f"wants alignment {block.align}"
            findings.append(Finding("block-alignment", where, message, "use a power of two"))
        elif block.offset is not None and (block.offset < 0 or block.offset % block.align):
            message = f"is prescribed at offset {block.offset}, alignment {block.align}"
            hint = "prescribe a multiple of the alignment, at least 0"
            findings.append(Finding("block-offset", where, message, hint))
    prescribed = [(i, block) for i, block in enumerate(blocks) if block.offset is not None]
    for n, (i, a) in enumerate(prescribed):
        for j, b in prescribed[:n]:
            assert a.offset is not None
            assert b.offset is not None
            if _collide(a, a.offset, b, b.offset):
                message = f"is prescribed over {_where(j, b)}, live at the same time"
                hint = "prescribe offsets that do not overlap, or leave one of them to the planner"
                findings.append(Finding("block-offset", _where(i, a), message, hint))
    return findings


def check_plan(plan: Plan, blocks: Sequence[Block], align: int = 1) -> list[Finding]:
    """One finding per broken promise of `plan`; empty when the plan is sound.

    Checked: an offset for every block, inside the arena, aligned to the block's alignment and to
    `align`, equal to the prescribed one, no two blocks sharing a byte in a step, bound <= arena.
    """
    if len(plan.offsets) != len(blocks):
        message = f"has {len(plan.offsets)} offsets for {len(blocks)} blocks"
        return [Finding("plan-length", f"plan {plan.strategy}", message)]
    findings = []
    for index, (block, offset) in enumerate(zip(blocks, plan.offsets)):
        where = _where(index, block)
        if offset < 0 or offset + block.bytes > plan.arena_bytes:
            message = f"ends at byte {offset + block.bytes} of an arena of {plan.arena_bytes}"
            findings.append(Finding("plan-arena", where, f"starts at byte {offset}, {message}"))
        if offset % block.align or offset % align:
            message = f"is at offset {offset}, alignment {max(block.align, align)}"
            findings.append(Finding("plan-alignment", where, message))
        if block.offset is not None and offset != block.offset:
            message = f"is at offset {offset}, prescribed is {block.offset}"
            findings.append(Finding("plan-prescribed", where, message))
        for other in range(index):
            if _collide(block, offset, blocks[other], plan.offsets[other]):
                message = (
                    f"bytes {offset}..{offset + block.bytes - 1} share memory and time with "
                    f"{_where(other, blocks[other])}"
                )
                findings.append(Finding("plan-overlap", where, message))
    if plan.bound_bytes > plan.arena_bytes:
        message = f"arena {plan.arena_bytes} is below its own lower bound {plan.bound_bytes}"
        findings.append(Finding("plan-bound", f"plan {plan.strategy}", message))
    return findings


def check_regions(
    blocks: Sequence[Block],
    region: Sequence[int],
    offsets: Sequence[int],
    limits: Sequence[tuple[str, int]],
) -> list[Finding]:
    """One finding per broken promise of a plan over several regions (name, bytes).

    Checked: every block inside one of the regions, aligned, and no two of a region sharing a byte
    in a step.
    """
    findings = []
    for index, (block, k, offset) in enumerate(zip(blocks, region, offsets, strict=True)):
        where = _where(index, block)
        if not 0 <= k < len(limits):
            findings.append(Finding("plan-region", where, "is in no region"))
            continue
        name, size = limits[k]
        if offset < 0 or offset + block.bytes > size:
            message = f"ends at byte {offset + block.bytes} of the {size} of region {name}"
            findings.append(Finding("plan-region", where, message))
        if offset % block.align:
            message = f"is at offset {offset} of region {name}, alignment {block.align}"
            findings.append(Finding("plan-alignment", where, message))
        for other in range(index):
            if region[other] == k and _collide(block, offset, blocks[other], offsets[other]):
                message = f"shares memory and time with {_where(other, blocks[other])} in {name}"
                findings.append(Finding("plan-overlap", where, message))
    return findings


def _collide(a: Block, a_offset: int, b: Block, b_offset: int) -> bool:
    """Whether two placed blocks share a byte in some step."""
    same_time = a.first <= b.last and b.first <= a.last
    same_bytes = a_offset < b_offset + b.bytes and b_offset < a_offset + a.bytes
    return same_time and same_bytes and a.bytes > 0 and b.bytes > 0


def _where(index: int, block: Block) -> str:
    return f"block {index} `{block.name}`"
