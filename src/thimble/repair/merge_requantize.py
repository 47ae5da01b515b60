"""DEQUANTIZE followed by QUANTIZE with other parameters becomes one QUANTIZE on integers.

q -> DEQUANTIZE -> f -> QUANTIZE -> r    ->    q -> QUANTIZE -> r
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph
from thimble.passes.dead_code import dead_code
from thimble.passes.match import has_kernel
from thimble.repair.contract import Repair, on_graphs


def merge_requantize(graph: Graph) -> Graph:
    """The same graph without floats between an integer tensor and its requantization."""
    producers, nodes = graph.producers(), list(graph.nodes)
    for i, node in enumerate(graph.nodes):
        if node.op.name != "QUANTIZE" or not node.inputs or node.inputs[0] not in producers:
            continue
        before = graph.nodes[producers[node.inputs[0]]]
        if before.op.name == "DEQUANTIZE" and before.inputs and before.inputs[0] >= 0:
            whole = replace(node, inputs=(before.inputs[0], *node.inputs[1:]))
            if not graph.tensors[before.inputs[0]].is_constant and has_kernel(graph, whole):
                nodes[i] = whole
    if all(new is old for new, old in zip(nodes, graph.nodes)):
        return graph
    return dead_code(graph.with_(nodes=tuple(nodes)))


REPAIR = Repair(
    "merge-requantize",
    "A tensor is dequantized and quantized again with another scale or zero point: one integer"
    " QUANTIZE does both.",
    on_graphs(merge_requantize),
    bound="one step of the tensor behind the pair",
    bound_lsb=1.0,
    by_name=True,
)
