"""Shapes are what the layers compute, for a batch of 1, and none is dynamic.

    x [1, 68, 8] (signature [-1, 68, 8]) -> SPACE_TO_BATCH_ND (block 2) -> y [1, 34, 8]
    ->  x [1, 68, 8] -> SPACE_TO_BATCH_ND (block 2) -> y [2, 34, 8]

A file with a dynamic batch holds 1 in its place throughout, which is wrong wherever a layer
changes the batch. LiteRT computes the shapes anew when it runs; TensorFlow Lite Micro believes the
file, and then computes part of the values. A layer whose shapes do not follow from its inputs is
given those that do; signatures, which say what is dynamic, are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import OpaqueOp, Shape
from thimble.passes.match import has_kernel

# What `infer` may stumble over in a node with missing, absent or malformed tensors.
_MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def _inferred(tensors: Sequence[Tensor], node: Node) -> list[Shape] | None:
    """The shapes of the node's outputs; None where they are not known before it runs."""
    if isinstance(node.op, OpaqueOp) or not node.outputs or min(node.outputs) < 0:
        return None
    inputs = [tensors[t] if t >= 0 else None for t in node.inputs]
    if node.op.name == "RESHAPE" and len(inputs) > 1:
        target = inputs[1]
        if target is None or not target.is_constant:
            return None
    try:
        shapes = [t.shape for t in node.op.infer(inputs)]
    except _MALFORMED:
        return None  # `limits` will say what is wrong with it
    if len(shapes) != len(node.outputs) or any(min(s, default=0) < 0 for s in shapes):
        return None
    return shapes


def static_shapes(graph: Graph) -> Graph:
    """The same graph with the shapes that follow from those of its inputs."""
    tensors = list(graph.tensors)
    for t, tensor in enumerate(tensors):
        if tensor.shape_signature is not None and -1 in tensor.shape_signature:
            tensors[t] = replace(tensor, shape_signature=None)
    for node in graph.nodes:
        shapes = _inferred(tensors, node)
        if shapes is None or shapes == [tensors[t].shape for t in node.outputs]:
            continue
        if any(tensors[t].is_constant or tensors[t].is_variable for t in node.outputs):
            continue
        if has_kernel(graph.with_(tensors=tuple(tensors)), node):
            continue  # FULLY_CONNECTED and its kin write their elements in any shape
        for t, shape in zip(node.outputs, shapes):
            tensors[t] = replace(tensors[t], shape=shape, shape_signature=None)
    if all(new is old for new, old in zip(tensors, graph.tensors)):
        return graph
    return graph.with_(tensors=tuple(tensors))
