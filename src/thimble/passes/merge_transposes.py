"""Transposes in a row become one, and none where they cancel or only move dimensions of size 1.

    x -> TRANSPOSE p -> a -> TRANSPOSE q -> y          ->    x -> TRANSPOSE p[q] -> y
    x [1, 49, 1, 10] -> TRANSPOSE [0, 2, 1, 3] -> y    ->    x -> RESHAPE [1, 1, 49, 10] -> y

`dead_code` removes the first of two, `remove_identity` a transpose that moves nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.graph import Graph, Node
from thimble.ops.contract import NodeView
from thimble.ops.reshape import Reshape
from thimble.passes.match import has_kernel, shape_constant
from thimble.passes.remove_identity import same_params


def _order(graph: Graph, index: int) -> list[int] | None:
    """The permutation of a TRANSPOSE that rescales nothing; None for any other node."""
    node = graph.nodes[index]
    if node.op.name != "TRANSPOSE" or not has_kernel(graph, node):
        return None
    n = NodeView(graph, index)
    return n.constant(1).reshape(-1).tolist() if same_params(n.x(), n.y()) else None


def _moves_only_ones(shape: tuple[int, ...], order: list[int]) -> bool:
    """Whether the dimensions larger than 1 stay in their order, and so the elements in theirs."""
    large = [d for d in order if shape[d] != 1]
    return large == sorted(large)


def merge_transposes(graph: Graph) -> Graph:
    """The same graph with as few transposes as the order of elements needs."""
    tensors, nodes = list(graph.tensors), list(graph.nodes)
    producers = graph.producers()
    for i in range(len(nodes)):
        order = _order(graph, i)
        if order is None:
            continue
        node, source, merged = nodes[i], nodes[i].inputs[0], False
        before = producers.get(source)
        inner = None if before is None else _order(graph, before)
        while before is not None and inner is not None:
            order, source, merged = [inner[d] for d in order], graph.nodes[before].inputs[0], True
            before = producers.get(source)
            inner = None if before is None else _order(graph, before)
        y = tensors[node.outputs[0]]
        if _moves_only_ones(tensors[source].shape, order):
            shape = shape_constant(tensors, f"{y.name}/shape", y.shape)
            nodes[i] = Node(Reshape(new_shape=y.shape), (source, shape), node.outputs)
        elif merged:
            given = replace(tensors[node.inputs[1]], data=np.array(order, np.int32), dtype="int32")
            tensors.append(replace(given, name=f"{y.name}/order", shape=(len(order),)))
            nodes[i] = replace(node, inputs=(source, len(tensors) - 1))
    if all(new is old for new, old in zip(nodes, graph.nodes)):
        return graph
    return graph.with_(tensors=tuple(tensors), nodes=tuple(nodes))
