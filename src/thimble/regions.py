"""A program's buffers over several memory regions: `--region NAME=BYTES`, the fastest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from thimble.errors import BadInput, DoesNotFit, Finding
from thimble.memory import Memory, RegionUse
from thimble.plan import TIME_LIMIT_S, Plan
from thimble.plan.problem import round_up
from thimble.plan.regions import Region, spread_blocks
from thimble.plan.validate import check_regions
from thimble.program import KernelCall, Program, Step
from thimble.targets import Target

PINNED = ("progress",)  # roles that the first region has to hold
MUST_BE_FAST = 1e18  # accesses of those


def parse_regions(texts: Sequence[str], target: Target | None) -> tuple[Region, ...]:
    """Regions from NAME=BYTES, or NAME alone where `target` knows its size. Raises BadInput."""
    known = {} if target is None else dict(target.memory)
    found, findings = [], []
    for text in texts:
        name, given, size = text.partition("=")
        try:
            amount = bytes_of(size) if given else known[name]
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                raise ValueError
            found.append(Region(name, amount))
        except (KeyError, ValueError):
            sizes = ", ".join(f"{n}={b}" for n, b in known.items()) or "none for this target"
            hint = f"NAME=BYTES, such as tcm=64k; known sizes: {sizes}"
            findings.append(Finding("region", f"--region {text}", "is no memory region", hint))
    names = [region.name for region in found]
    findings += [
        Finding("region", f"--region {name}", "is given twice", "give every region once")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if findings:
        raise BadInput(findings)
    return tuple(found)


def bytes_of(text: str) -> int:
    """A number of bytes from text: 65536, 64k or 2M. Raises ValueError."""
    bare = text.strip().lower().removesuffix("ib").removesuffix("b")
    factor = {"k": 1024, "m": 1024**2}.get(bare[-1:], 1)
    try:
        amount = float(bare[:-1] if factor > 1 else bare) * factor
    except ValueError:
        raise ValueError(f"{text!r} is no number of bytes; write 65536, 64k or 2M") from None
    if not 0 <= amount < 2**63:
        raise ValueError(f"{text!r} is out of range")
    return int(amount)


def in_regions(
    program: Program,
    memory: Memory,
    regions: Sequence[Region],
    source: str,
    time_limit_s: float = TIME_LIMIT_S,
) -> Memory:
    """`memory` planned anew over `regions`; itself where there are none.

    State, and how far pushed rows have come, lie in the first. Raises DoesNotFit with a finding for
    each buffer that no region has room for.
    """
    if not regions:
        return memory
    given = regions[0].bytes - memory.state_bytes
    if given < 0:
        message = f"the state needs {memory.state_bytes:,} of {regions[0].bytes:,} bytes"
        hint = "a larger first region"
        raise DoesNotFit(
            Finding("does-not-fit", f"{source}, region {regions[0].name}", message, hint)
        )
    limits = [Region(regions[0].name, given), *regions[1:]]
    blocks, strategy = memory.blocks, memory.plan.strategy
    found = spread_blocks(blocks, accesses(program, memory), limits, strategy, time_limit_s)
    held = {
        i for i, b in zip(range(len(blocks)), memory.buffers) if program.buffers[b].role in PINNED
    }
    findings = [
        Finding(
            "does-not-fit",
            f"{source}, `{blocks[i].name}`",
            f"needs {blocks[i].bytes:,} bytes in steps {blocks[i].first} to {blocks[i].last},"
            " which no region has left",
            "a larger region, one region more, or --stream",
        )
        for i in sorted(set(found.left) | {i for i in held if found.region[i] != 0})
    ]
    if findings:
        raise DoesNotFit(findings)
    names = [(region.name, region.bytes) for region in limits]
    if broken := check_regions(blocks, found.region, found.offsets, names):  # a bug of ours
        raise AssertionError("\n".join(str(finding) for finding in broken))
    uses, top = [], 0
    for k, (region, plan) in enumerate(zip(regions, found.plans)):
        size = plan.arena_bytes + (memory.state_bytes if k == 0 else 0)
        used = min(round_up(size, memory.align), region.bytes)
        base = round_up(top, memory.align)
        uses.append(RegionUse(region.name, base, used, region.bytes))
        top = base + used
    start = memory.state_bytes
    places = [
        uses[k].base - start + (start if k == 0 else 0) + at
        for k, at in zip(found.region, found.offsets)
    ]
    whole = replace(
        memory.plan,
        offsets=tuple(places),
        arena_bytes=top - start,
        optimal=memory.plan.optimal and top - start == memory.plan.arena_bytes,
        seconds=memory.plan.seconds + sum(plan.seconds for plan in found.plans),
    )
    return replace(
        memory, offsets=_offsets(program, memory, whole), plan=whole, regions=tuple(uses)
    )


def _offsets(program: Program, memory: Memory, plan: Plan) -> dict[int, int]:
    """Offsets by buffer: those of the state as they were, the others within their blocks."""
    found = {i: at for i, at in memory.offsets.items() if program.buffers[i].role == "state"}
    moved = {b: new - old for b, old, new in zip(memory.buffers, memory.plan.offsets, plan.offsets)}
    for i, at in memory.offsets.items():
        if i not in found:
            found[i] = at + moved[memory.in_place.get(i, i)]
    return found


def accesses(program: Program, memory: Memory) -> list[float]:
    """Estimated reads and writes of each block of `memory`, in bytes.

    A call writes its outputs once and reads its largest input once for each multiply-accumulate of
    its layer (once, if it has none), everything else once.
    """
    place = {b: i for i, b in enumerate(memory.buffers)}
    place |= {y: place[x] for y, x in memory.in_place.items() if x in place}
    macs = {layer.index: layer.macs for layer in program.layers}
    steps_of: dict[int, int] = {}
    for step in program.schedule:
        layer = program.calls[step.call].layer
        steps_of[layer] = steps_of.get(layer, 0) + _rows(program.calls[step.call], step)
    found = [0.0] * len(memory.blocks)
    for step in program.schedule:
        call = program.calls[step.call]
        rows = _rows(call, step)
        share = rows / max(call.rows, 1)
        work = macs.get(call.layer, 0) * rows / max(steps_of[call.layer], 1)
        reads = [
            arg.buffer
            for param in call.signature.buffers
            if (arg := call.args[param.name]) is not None and not param.is_output
        ]
        busiest = max(reads, key=lambda b: program.buffers[b].bytes * (b in place), default=-1)
        for param in call.signature.buffers:
            arg = call.args[param.name]
            if arg is None or arg.buffer not in place:
                continue
            size = program.buffers[arg.buffer].bytes * share
            is_read = arg.buffer == busiest and not param.is_output
            found[place[arg.buffer]] += max(work, size) if is_read else size
    for b, i in place.items():
        if program.buffers[b].role in PINNED:
            found[i] = MUST_BE_FAST
    return found


def _rows(call: KernelCall, step: Step) -> int:
    return min(step.y_count, call.rows)
