"""Remove nodes whose outputs nobody needs.

    x -> A -> y (output), x -> B -> z    ->    x -> A -> y

Nodes that act by other means than their outputs stay: variables, control flow, custom ops.
"""

from __future__ import annotations

from thimble.graph import Graph, Node
from thimble.ops.contract import OpaqueOp

_ACTS = {
    "ASSIGN_VARIABLE",
    "CALL",
    "CALL_ONCE",
    "HASHTABLE_IMPORT",
    "IF",
    "STABLEHLO_CASE",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_WHILE",
    "WHILE",
}


def _has_effect(graph: Graph, node: Node) -> bool:
    return (
        not any(t >= 0 for t in node.outputs)
        or node.op.name in _ACTS
        or (isinstance(node.op, OpaqueOp) and node.op.is_custom)
        or any(t >= 0 and graph.tensors[t].is_variable for t in node.inputs)
    )


def dead_code(graph: Graph) -> Graph:
    """The same graph without nodes that feed no output, variable or side effect."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if _has_effect(graph, node) or needed.intersection(t for t in node.outputs if t >= 0):
            kept.append(node)
            needed.update(node.inputs)
    if len(kept) == len(graph.nodes):
        return graph
    return graph.with_(nodes=tuple(reversed(kept)))
