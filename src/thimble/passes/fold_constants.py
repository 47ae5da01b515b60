"""What can be computed at compile time becomes a constant.

    constants -> NODE -> y -> NEXT        ->    y (constant) -> NEXT
    x [1, 7, 4] -> SHAPE -> y -> NEXT     ->    y = [1, 7, 4] (constant) -> NEXT

The shape arithmetic that exporters emit for dynamic batches (SHAPE, STRIDED_SLICE, PACK,
RESHAPE) goes, since shapes are static here. Values are those of the kernels' twins, so that the
outputs keep their bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedModel
from thimble.graph import Graph, Model, Node
from thimble.lower import lower
from thimble.memory import place
from thimble.ops.shape import Shape
from thimble.runners.program import ProgramRunner

Array = np.ndarray


def evaluate(graph: Graph, node: Node) -> list[Array] | None:
    """The outputs of a node that needs no run-time value; None where it does, or has no kernel."""
    if any(t < 0 or graph.tensors[t].is_variable for t in node.outputs) or not node.outputs:
        return None
    given = [t for t in dict.fromkeys(node.inputs) if t >= 0]
    if not given or any(graph.tensors[t].is_variable for t in given):
        return None
    needed = [] if isinstance(node.op, Shape) else given  # SHAPE reads no value
    if any(graph.tensors[t].data is None for t in needed):
        return None
    inputs = tuple(t for t in given if t not in needed and not graph.tensors[t].is_constant)
    alone = Graph(graph.name, graph.tensors, (node,), inputs, node.outputs)
    try:
        program = lower(Model((only_used(alone),)))
    except UnsupportedModel:
        return None  # `lower` of the whole model reports it, with its layer
    runner = ProgramRunner(program, place(program, "greedy"))
    return runner.run([np.zeros(graph.tensors[t].shape, graph.tensors[t].dtype) for t in inputs])


def only_used(graph: Graph) -> Graph:
    """The graph with the tensors of its nodes alone, renumbered."""
    used = list(dict.fromkeys(t for n in graph.nodes for t in (*n.inputs, *n.outputs) if t >= 0))
    at = {t: i for i, t in enumerate(used)} | {-1: -1}
    nodes = tuple(
        replace(n, inputs=tuple(at[t] for t in n.inputs), outputs=tuple(at[t] for t in n.outputs))
        for n in graph.nodes
    )
    return Graph(
        graph.name,
        tuple(graph.tensors[t] for t in used),
        nodes,
        tuple(at[t] for t in graph.inputs),
        tuple(at[t] for t in graph.outputs),
    )


def fold_constants(
    graph: Graph, wanted: Callable[[Graph, Node], bool] = lambda graph, node: True
) -> Graph:
    """The same graph without the nodes whose outputs are known: these outputs get `data`.

    Nodes that are not `wanted` stay.
    """
    kept: list[Node] = []
    current = graph
    for node in graph.nodes:
        values = evaluate(current, node) if wanted(current, node) else None
        if values is None:
            kept.append(node)
            continue
        tensors = list(current.tensors)
        for t, value in zip(node.outputs, values):
            tensors[t] = replace(tensors[t], data=value, shape_signature=None)
        current = current.with_(tensors=tuple(tensors))
    if len(kept) == len(graph.nodes):
        return graph
    return current.with_(nodes=tuple(kept))
