"""The report of `thimble plan`: every buffer of the arena over the steps of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.build import Prepared, arch_name, prepare
from thimble.graph import Model
from thimble.lower import Streaming, lower
from thimble.memory import Memory, place, place_without_copies
from thimble.plan import STRATEGIES, TIME_LIMIT_S
from thimble.plan.lifetimes import lifetimes
from thimble.program import Program
from thimble.report import PlanReport, PlanTensor, RegionBytes, Saving
from thimble.report.base import short
from thimble.streaming import stream as by_rows
from thimble.targets import Target, load_target

KINDS = {role: role for role in ("input", "output", "scratch", "progress", "state")}


def plan_report(
    model: Model,
    strategy: str = "exact",
    target: str | None = None,
    stream: Streaming = False,
    stream_input: bool = False,
    shrink: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
    regions: Sequence[str] = (),
) -> PlanReport:
    """Where every tensor of `model` lies in its arena, and when; with `stream` in rows.

    Raises UnsupportedModel, and BadInput for an unknown strategy or target.
    """
    core = load_target(target) if target is not None else None
    prepared = prepare(
        model,
        core,
        strategy=strategy,
        stream=stream,
        stream_input=stream_input,
        shrink=shrink,
        time_limit_s=time_limit_s,
        regions=regions,
    )
    report = beside_greedy(prepared, core, strategy)
    savings = _savings(prepared, core, strategy, stream, stream_input)
    return replace(report, savings=savings)


def beside_greedy(prepared: Prepared, target: Target | None, strategy: str) -> PlanReport:
    """The memory of a prepared model, and what TFLM's planner makes of the same model."""
    plain = lower(prepared.model, prepared.program.name, arch_name(target))
    greedy = place(plain, "greedy")
    return replace(
        report_of(prepared.program, prepared.memory, strategy, prepared.model),
        model=prepared.source.source,
        state_bytes=prepared.firmware.state_bytes,
        greedy=tensors_of(plain, greedy),
        greedy_bytes=greedy.arena_bytes,
    )


def _savings(
    prepared: Prepared, target: Target | None, strategy: str, stream: Streaming, stream_input: bool
) -> list[Saving]:
    """From TFLM's planner to the plan, technique by technique."""
    plain = lower(prepared.model, prepared.program.name, arch_name(target))
    stages = [("TFLM's greedy planner", place(plain, "greedy").arena_bytes)]
    if strategy == "exact":
        shown = [
            ("exact offsets", place(plain, in_place=False)),
            ("outputs in the place of inputs", place(plain)),
            ("joins and splits without copies", place_without_copies(plain)[1]),
        ]
        if stream_input:
            whole = lower(prepared.model, plain.name, arch_name(target), by_rows=True)
            shown.append(("layers streamed by rows", place(by_rows(whole))))
        if stream or stream_input:
            what = "input pushed by rows" if stream_input else "layers streamed by rows"
            if prepared.memory.regions:
                whole = lower(
                    prepared.model,
                    plain.name,
                    arch_name(target),
                    by_rows=True,
                    push_input=stream_input,
                )
                shown.append((what, place(by_rows(whole))))
            else:
                shown.append((what, prepared.memory))
        elif not prepared.memory.regions:
            shown[-1] = (shown[-1][0], prepared.memory)
        if prepared.memory.regions:
            shown.append(("spread over several regions", prepared.memory))
        stages += [(what, memory.arena_bytes) for what, memory in shown]
    before = [stages[0][1], *(arena for _, arena in stages)]
    return [Saving(what, arena, b - arena) for (what, arena), b in zip(stages, before)]


def report_of(program: Program, memory: Memory, strategy: str, model: Model) -> PlanReport:
    """The plan of one program."""
    count = max(len(program.schedule), 1)
    live = [memory.state_bytes] * count
    for block in memory.blocks:
        for i in range(block.first, min(block.last, count - 1) + 1):
            live[i] += block.bytes
    layers = {layer.index: layer for layer in program.layers}
    steps = []
    for step in program.schedule:
        call = program.calls[step.call]
        layer = layers[call.layer]
        rows = f" rows {step.y_first}..{step.y_first + step.y_count - 1}"
        whole = step.y_first == 0 and step.y_count == call.rows
        steps.append(
            f"layer {layer.index} {layer.op} `{short(layer.name)}`" + ("" if whole else rows)
        )
    peak = max(range(count), key=lambda i: live[i])
    touched = program.reads_writes()[peak] if program.schedule else (set(), set())
    at_work = {program.buffers[i].name for i in touched[0] | touched[1]}
    tensors = tensors_of(program, memory)
    return PlanReport(
        arena_bytes=memory.arena_bytes,
        bound_bytes=memory.state_bytes + memory.plan.bound_bytes,
        optimal=memory.plan.optimal,
        gap=memory.plan.gap,
        regions=[RegionBytes(r.name, r.bytes, r.limit_bytes) for r in memory.regions],
        strategy=memory.plan.strategy,
        state_bytes=memory.state_bytes,
        tensors=tensors,
        peak_step=peak,
        steps=steps,
        live_bytes=live,
        strategies={
            name: memory.arena_bytes if name == strategy else place(program, name).arena_bytes
            for name in STRATEGIES
        },
        long_lived=[
            t.name for t in tensors if t.first <= peak <= t.last and not {t.name, *t.also} & at_work
        ],
        provenance={
            "arena_bytes": f"planned ({strategy}) and checked by an independent validator",
            "bound_bytes": "no plan of the same buffers can be smaller",
            "savings": "each line planned anew with one technique more than the line before",
            "greedy_bytes": "TFLM's planner on the same kernels and buffers, 16 byte alignment",
        },
        graph=model.graph,
    )


def tensors_of(program: Program, memory: Memory) -> Sequence[PlanTensor]:
    """The planned blocks of `program` by the time at which they begin, with the buffers in them."""
    whole = {v.arg.buffer: v for v in program.values.values() if not v.is_whole}
    written = writers(program)
    given = memory.regions[0].name if memory.regions else "arena"
    spans = lifetimes(
        program.reads_writes(),
        len(program.buffers),
        [i for i, b in enumerate(program.buffers) if b.role in ("input", "progress", "state")],
        [i for i, b in enumerate(program.buffers) if b.role in ("output", "progress", "state")],
    )

    def tensor(i: int) -> PlanTensor:
        buffer, span = program.buffers[i], spans[i]
        assert span is not None
        kind = KINDS.get(buffer.role, "ring" if i in whole else "tensor")
        other = memory.region_at(memory.offsets[i])
        region, base = (given, 0) if other is None else (other.name, other.base)
        return PlanTensor(
            buffer.name,
            buffer.bytes,
            memory.offsets[i] - base,
            *span,
            region,
            kind=kind,
            whole_bytes=_bytes(whole[i].shape, whole[i].dtype) if kind == "ring" else None,
            writer=written.get(i, ""),
            base=base,
        )

    found = []
    for i, block, offset in zip(memory.buffers, memory.blocks, memory.plan.offsets):
        inside = [i, *(y for y, x in memory.in_place.items() if x == i)]
        parts = sorted((tensor(k) for k in inside), key=lambda t: (t.first, t.last, t.offset))
        leader = tensor(i)
        found.append(
            replace(
                leader,
                bytes=block.bytes,
                offset=memory.state_bytes + offset - leader.base,
                first=block.first,
                last=block.last,
                parts=parts if len(parts) > 1 else (),
            )
        )
    found += [tensor(i) for i, b in enumerate(program.buffers) if b.role == "state" and b.bytes]
    return sorted(found, key=lambda t: (t.first, t.last, t.offset, t.name))


def writers(program: Program) -> dict[int, str]:
    """Buffer -> "3 CONV_2D", the first layer that writes it."""
    layers = {layer.index: layer for layer in program.layers}
    found: dict[int, str] = {}
    for step, (_, written) in zip(program.schedule, program.reads_writes()):
        layer = layers[program.calls[step.call].layer]
        for buffer in written:
            found.setdefault(buffer, f"{layer.index} {layer.op}")
    return found


def _bytes(shape: Sequence[int], dtype: str) -> int:
    from math import prod

    from thimble.graph import ITEM_BITS

    return (prod(shape) * ITEM_BITS[dtype] + 7) // 8
