"""The report of `thimble plan`: every buffer of the arena over the steps of the schedule."""

from __future__ import annotations

from thimble.build import prepare
from thimble.graph import Model
from thimble.memory import place
from thimble.plan import STRATEGIES
from thimble.report import PlanReport, PlanTensor
from thimble.report.base import short
from thimble.targets import load_target


def plan_report(
    model: Model,
    strategy: str = "exact",
    target: str | None = None,
    stream: bool = False,
    stream_input: bool = False,
    shrink: bool = True,
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
    )
    program, memory = prepared.program, prepared.memory
    count = max(len(program.schedule), 1)
    live = [0] * count
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
    tensors = [
        PlanTensor(block.name, block.bytes, offset, block.first, block.last)
        for block, offset in zip(memory.blocks, memory.plan.offsets)
    ]
    state = prepared.firmware.state_bytes
    return PlanReport(
        arena_bytes=memory.arena_bytes,
        bound_bytes=memory.plan.bound_bytes,
        optimal=memory.plan.optimal,
        strategy=memory.plan.strategy,
        state_bytes=state,
        tensors=sorted(tensors, key=lambda t: (t.first, t.last, t.offset, t.name)),
        peak_step=peak,
        model=model.source,
        steps=steps,
        live_bytes=live,
        strategies={
            name: memory.arena_bytes if name == strategy else place(program, name).arena_bytes
            for name in STRATEGIES
        },
        long_lived=[t.name for t in tensors if t.first <= peak <= t.last and t.name not in at_work],
        provenance={
            "arena_bytes": f"planned ({strategy}) and checked by an independent validator",
            "bound_bytes": "no plan of the same buffers can be smaller",
        },
    )
