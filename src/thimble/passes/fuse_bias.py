"""Let a float layer without a bias add the constant that is added to its output.

    x -> CONV_2D (bias 0) -> a -> ADD (b [O]) -> y    ->    x -> CONV_2D (bias b) -> y

Also DEPTHWISE_CONV_2D and FULLY_CONNECTED, ADD with an activation, SUB of a constant, and reshapes
between the two that keep the channels. The sum s of products is never -0.0, because it starts at
+0.0; so (s + 0.0) + b has the bits of s + b, where b has no -0.0 either. A layer with another bias
is left alone: (s + a) + b is not s + (a + b). So are integers, which are requantized in between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView
from thimble.passes.match import has_kernel, is_constant, runs_alone

Array = np.ndarray
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_RESHAPING = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_LARGEST = 2.0**100  # beyond, what is clamped to the largest float before ADD matters


def _addend(graph: Graph, node: Node) -> tuple[int, Array] | None:
    """(tensor, constant per channel) of an ADD or SUB of a constant, else None."""
    if node.op.name not in ("ADD", "SUB") or not has_kernel(graph, node):
        return None
    sides = [(node.inputs[0], node.inputs[1])]
    if node.op.name == "ADD":
        sides.append((node.inputs[1], node.inputs[0]))
    for x, constant in sides:
        if is_constant(graph, x) or not is_constant(graph, constant):
            continue
        data, y = graph.tensors[constant].data, graph.tensors[node.outputs[0]]
        assert data is not None
        if y.dtype != "float32" or not y.shape or graph.tensors[x].shape != y.shape:
            return None
        if data.size != max(data.shape[-1:], default=1) or not (np.abs(data) < _LARGEST).all():
            return None
        values = np.broadcast_to(data.reshape(-1), y.shape[-1:])
        values = -values if node.op.name == "SUB" else values
        return x, values + np.float32(0)  # -0.0 becomes +0.0
    return None


def _layer(graph: Graph, t: int, producers: dict[int, int]) -> list[int] | None:
    """Nodes from the layer that computes `t` to the last reshape, if only they see the values."""
    readers = graph.consumers()
    channels = graph.tensors[t].shape[-1]
    found: list[int] = []
    while runs_alone(graph, readers, t) and t in producers:
        if graph.tensors[t].shape[-1:] != (channels,):
            return None
        found.insert(0, producers[t])
        node = graph.nodes[found[0]]
        if not has_kernel(graph, node):
            return None
        if node.op.name in _LAYERS:
            return found if _has_no_bias(NodeView(graph, found[0]), channels) else None
        if node.op.name not in _RESHAPING:
            return None
        t = node.inputs[0]
    return None


def _has_no_bias(n: NodeView, channels: int) -> bool:
    out = n.x(1).shape[3 if n.node.op.name == "DEPTHWISE_CONV_2D" else 0]
    return (
        out == channels
        and n.y().dtype == "float32"
        and n.op.fused_activation_function == "NONE"
        and not (n.has(2) and n.constant(2).any())
    )


def fuse_bias(graph: Graph) -> Graph:
    """The same graph with constants that are added to outputs as biases."""
    at = 0
    while at < len(graph.nodes):
        node = graph.nodes[at]
        added = _addend(graph, node)
        chain = None if added is None else _layer(graph, added[0], graph.producers())
        if added is None or chain is None:
            at += 1
            continue
        layer = graph.nodes[chain[0]]
        name = f"{graph.tensors[layer.outputs[0]].name}/bias"
        bias = Tensor(name, added[1].shape, "float32", None, added[1])
        changed = list(graph.nodes)
        op: Any = layer.op
        activation = NodeView(graph, at).op.fused_activation_function
        changed[chain[0]] = replace(
            layer,
            op=replace(op, fused_activation_function=activation),
            inputs=(*layer.inputs[:2], len(graph.tensors)),
        )
        changed[chain[-1]] = replace(changed[chain[-1]], outputs=node.outputs)
        del changed[at]
        tensors = [*graph.tensors, bias]
        for i in chain[:-1]:
            t = graph.nodes[i].outputs[0]
            tensors[t] = replace(tensors[t], name=f"{tensors[t].name}/biased")  # other values now
        graph = graph.with_(tensors=tuple(tensors), nodes=tuple(changed))
    return graph
