"""The order of a graph's nodes that needs the least memory (`plan/order.py` on its layers)."""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Model
from thimble.memory import PLANNED
from thimble.plan import best_order
from thimble.program import Program

TIME_LIMIT_S = 1.0


def in_least_order(model: Model, program: Program) -> Model | None:
    """`model` with its nodes in another order, in which fewer bytes are live at the peak of
    `program`, its lowering; None where the order that it has is as good.

    Layers that touch the same state keep their order.
    """
    graph = model.graph
    sizes = [b.bytes if b.role in (*PLANNED, "state") else 0 for b in program.buffers]
    reads: list[set[int]] = [set() for _ in graph.nodes]
    writes: list[set[int]] = [set() for _ in graph.nodes]
    for call in program.calls:
        if call.layer >= len(graph.nodes):  # a copy to an output, behind all layers
            continue
        for parameter in call.signature.buffers:
            arg = call.args[parameter.name]
            if arg is not None and sizes[arg.buffer]:
                (writes if parameter.is_output else reads)[call.layer].add(arg.buffer)
    roles = {role: [i for i, b in enumerate(program.buffers) if b.role == role] for role in PLANNED}
    steps = list(zip(reads, writes))
    found = best_order(steps, sizes, roles["input"], roles["output"], TIME_LIMIT_S)
    if found.peak_bytes >= found.given_peak_bytes:
        return None
    return model.with_graph(_ordered(graph, found.order))


def _ordered(graph: Graph, order: tuple[int, ...]) -> Graph:
    """The nodes in `order`, but each behind those whose outputs it reads: nodes without kernels are
    no steps that memory knows.
    """
    producers, done, nodes = graph.producers(), set[int](), []
    for wanted in order:
        waiting = [wanted]
        while waiting:
            k = waiting[-1]
            missing = {producers[t] for t in graph.nodes[k].inputs if t in producers} - done
            if missing:
                waiting += sorted(missing, reverse=True)
                continue
            waiting.pop()
            if k not in done:
                done.add(k)
                nodes.append(graph.nodes[k])
    return replace(graph, nodes=tuple(nodes))
