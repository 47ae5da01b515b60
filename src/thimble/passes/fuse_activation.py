"""Let a node clamp its own output.

    x -> CONV_2D -> a -> RELU -> y    ->    x -> CONV_2D (fused RELU) -> y

Also DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, ADD, SUB, MUL, DIV and pools, with RELU,
RELU6 and RELU_N1_TO_1. Integer nodes only where the activation does not rescale: then both clamp to
the same integers.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Node
from thimble.ops.contract import OpaqueOp
from thimble.passes.remove_identity import same_params

_ACTIVATIONS = ("RELU", "RELU6", "RELU_N1_TO_1")
_FUSING = {
    "ADD",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DIV",
    "FULLY_CONNECTED",
    "MAX_POOL_2D",
    "MUL",
    "SUB",
    "TRANSPOSE_CONV",
}
_VERSION = {"TRANSPOSE_CONV": 4}  # the first op version that has the option


def _fuse(graph: Graph, producer: Node, activation: Node) -> Node | None:
    """`producer` doing the work of `activation` too, or None where it cannot."""
    op = producer.op
    if op.name not in _FUSING or isinstance(op, OpaqueOp) or len(producer.outputs) != 1:
        return None
    if getattr(op, "fused_activation_function", None) != "NONE":
        return None
    middle, y = graph.tensors[activation.inputs[0]], graph.tensors[activation.outputs[0]]
    if middle.dtype != y.dtype or middle.dtype not in ("float32", "int8", "int16"):
        return None
    if middle.shape != y.shape or middle.is_variable or not same_params(middle, y):
        return None
    if middle.dtype != "float32" and middle.quant is None:
        return None
    fused = replace(op, fused_activation_function=activation.op.name)  # type: ignore[type-var]
    version = max(producer.version, _VERSION.get(op.name, 1))
    return replace(producer, op=fused, outputs=activation.outputs, version=version)


def fuse_activation(graph: Graph) -> Graph:
    """The same graph with activations fused into the only producer whose only consumer they are."""
    consumers = graph.consumers()
    kept: list[Node] = []
    place: dict[int, int] = {}  # tensor -> position of its producer in `kept`
    for node in graph.nodes:
        if node.op.name in _ACTIVATIONS and len(node.inputs) == len(node.outputs) == 1:
            x = node.inputs[0]
            at = place.get(x)
            if at is not None and len(consumers.get(x, ())) == 1 and x not in graph.outputs:
                fused = _fuse(graph, kept[at], node)
                if fused is not None:
                    kept[at] = fused
                    place[node.outputs[0]] = at
                    continue
        place.update({t: len(kept) for t in node.outputs})
        kept.append(node)
    if len(kept) == len(graph.nodes):
        return graph
    return graph.with_(nodes=tuple(kept))
