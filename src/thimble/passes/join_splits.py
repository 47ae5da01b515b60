"""Parts that are joined again as they were split need neither.

    x -> SPLIT (axis a) -> p, q -> CONCATENATION (axis a) -> y    ->    y is x
    x -> SPLIT (into 1) -> y                                      ->    y is x

Also SPLIT_V. `dead_code` removes the SPLIT whose parts nobody reads any more.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Node
from thimble.ops.contract import NodeView
from thimble.passes.match import has_kernel
from thimble.passes.remove_identity import same_params

_VALUE = {"SPLIT": 1, "SPLIT_V": 0}  # which input is split
_AXIS = {"SPLIT": 0, "SPLIT_V": 2}  # which input is the axis


def _parts(graph: Graph, index: int) -> tuple[int, int] | None:
    """(tensor that a node splits, axis), where the parts have its params; else None."""
    node = graph.nodes[index]
    if node.op.name not in _VALUE or not has_kernel(graph, node):
        return None
    n = NodeView(graph, index)
    x = node.inputs[_VALUE[node.op.name]]
    axis = int(n.constant(_AXIS[node.op.name]).reshape(-1)[0]) % len(graph.tensors[x].shape)
    if not all(same_params(graph.tensors[x], part) for part in n.outputs):
        return None
    return x, axis


def _whole(graph: Graph, node: Node, producers: dict[int, int]) -> int | None:
    """The tensor that a CONCATENATION puts together again, or a SPLIT leaves as it is."""
    if node.op.name == "CONCATENATION":
        parts = node.inputs
        if not parts or parts[0] not in producers or not has_kernel(graph, node):
            return None
        before = producers[parts[0]]
        y = graph.tensors[node.outputs[0]]
        wanted = node.op.axis % len(y.shape)  # type: ignore[attr-defined]
    else:
        before, parts, wanted = producers[node.outputs[0]], node.outputs, None
        if len(parts) != 1:
            return None
        y = graph.tensors[parts[0]]
    found = _parts(graph, before)
    if found is None or graph.nodes[before].outputs != parts or wanted not in (None, found[1]):
        return None
    return found[0] if same_params(graph.tensors[found[0]], y) else None


def join_splits(graph: Graph) -> Graph:
    """The same graph without splits that are undone."""
    producers = graph.producers()
    alias: dict[int, int] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        y = node.outputs[0] if node.outputs else -1
        if node.op.name in (*_VALUE, "CONCATENATION") and y >= 0 and y not in graph.outputs:
            x = _whole(graph, node, producers)
            if x is not None:
                alias[y] = alias.get(x, x)
                continue
        kept.append(replace(node, inputs=tuple(alias.get(t, t) for t in node.inputs)))
    return graph.with_(nodes=tuple(kept)) if alias else graph
