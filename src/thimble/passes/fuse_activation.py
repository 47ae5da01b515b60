"""Let a node clamp its own output.

    x -> CONV_2D -> a -> RELU -> y            ->    x -> CONV_2D (fused RELU) -> y
    x -> CONV_2D (RELU) -> a -> RELU6 -> y    ->    x -> CONV_2D (fused RELU6) -> y
    x -> RELU -> a -> RELU6 -> y              ->    x -> RELU6 -> y

Also DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, ADD, SUB, MUL, DIV and pools, with RELU,
RELU6 and RELU_N1_TO_1. Integer nodes only where the activation does not rescale: then both clamp to
the same integers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from thimble.graph import Graph, Node, Tensor
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
# Two clamps, one after the other, that are one of the three. RELU, then RELU_N1_TO_1, is none.
_COMPOSED = {
    **{("NONE", activation): activation for activation in _ACTIVATIONS},
    **{(activation, activation): activation for activation in _ACTIVATIONS},
    ("RELU", "RELU6"): "RELU6",
    ("RELU6", "RELU"): "RELU6",
}
_VERSION = {"TRANSPOSE_CONV": 4}  # the first op version that has the option


def _clamps_only(x: Tensor, y: Tensor) -> bool:
    """Whether an activation from x to y rescales nothing."""
    return (
        x.dtype == y.dtype
        and x.dtype in ("float32", "int8", "int16")
        and x.shape == y.shape
        and not x.is_variable
        and same_params(x, y)
        and (x.dtype == "float32" or x.quant is not None)
    )


def _compose(graph: Graph, first: Node, second: Node) -> Node | None:
    """One activation in place of two."""
    composed = _COMPOSED.get((first.op.name, second.op.name))
    if composed is None or len(first.inputs) != 1 or first.inputs[0] < 0:
        return None
    tensors = [graph.tensors[t] for t in (first.inputs[0], second.inputs[0], second.outputs[0])]
    if not all(_clamps_only(a, b) for a, b in pairwise(tensors)):
        return None
    chosen = first if first.op.name == composed else second
    return replace(chosen, inputs=first.inputs, outputs=second.outputs)


def _fuse(graph: Graph, producer: Node, activation: Node) -> Node | None:
    """`producer` doing the work of `activation` too, or None where it cannot."""
    op = producer.op
    if isinstance(op, OpaqueOp) or len(producer.outputs) != 1:
        return None
    if op.name in _ACTIVATIONS:
        return _compose(graph, producer, activation)
    inner = getattr(op, "fused_activation_function", "")
    composed = _COMPOSED.get((inner, activation.op.name))
    if op.name not in _FUSING or composed is None:
        return None
    middle, y = graph.tensors[activation.inputs[0]], graph.tensors[activation.outputs[0]]
    if not _clamps_only(middle, y):
        return None
    fused = replace(op, fused_activation_function=composed)  # type: ignore[type-var]
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
