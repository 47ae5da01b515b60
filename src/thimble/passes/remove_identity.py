"""Remove nodes whose output is their input, bit for bit.

    a -> RESHAPE (same shape) -> b -> NEXT              ->    a -> NEXT
    q -> DEQUANTIZE -> f -> QUANTIZE (same params) -> r ->    q (and r is q)
    a -> RESHAPE -> b -> RESHAPE -> c                   ->    a -> RESHAPE -> c
    a -> EXPAND_DIMS -> b -> SQUEEZE -> c (shape of a)  ->    a (and c is a)

What else can be an identity is the table `_IDENTITY`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView, OpaqueOp


def _is_zero(n: NodeView, index: int) -> bool:
    return n.has(index) and n.x(index).is_constant and not n.constant(index).any()


def _keeps_all(n: NodeView) -> bool:
    """STRIDED_SLICE with strides 1, no dimension added or dropped: equal shapes say the rest."""
    if isinstance(n.op, OpaqueOp) or not n.has(3) or not n.x(3).is_constant:
        return False
    masks = n.op.ellipsis_mask, n.op.new_axis_mask, n.op.shrink_axis_mask
    return not any(masks) and bool((n.constant(3) == 1).all())


def _is_unit_pool(n: NodeView) -> bool:
    if isinstance(n.op, OpaqueOp) or n.op.fused_activation_function != "NONE":
        return False
    sizes = n.op.filter_height, n.op.filter_width, n.op.stride_h, n.op.stride_w
    return sizes == (1, 1, 1, 1)


def _permutes_nothing(n: NodeView) -> bool:
    if not n.has(1) or not n.x(1).is_constant:
        return False
    return bool(np.array_equal(n.constant(1).reshape(-1), np.arange(len(n.x().shape))))


# Op -> whether a node of it, whose output has shape, dtype and quantization of input 0, is the
# identity.
_IDENTITY: dict[str, Callable[[NodeView], bool]] = {
    "CAST": lambda n: True,
    # With equal params the multiplier is exactly 1: (2^30, 1), so QUANTIZE moves no bit.
    "QUANTIZE": lambda n: n.x().dtype in ("int8", "int16", "uint8"),
    "BROADCAST_TO": lambda n: True,
    "TILE": lambda n: n.has(1) and n.x(1).is_constant and bool((n.constant(1) == 1).all()),
    "PAD": lambda n: _is_zero(n, 1),
    "PADV2": lambda n: _is_zero(n, 1),
    "MIRROR_PAD": lambda n: _is_zero(n, 1),
    "SLICE": lambda n: _is_zero(n, 1),
    "STRIDED_SLICE": _keeps_all,
    "TRANSPOSE": _permutes_nothing,
    "MAX_POOL_2D": _is_unit_pool,
    "AVERAGE_POOL_2D": _is_unit_pool,
    "CONCATENATION": lambda n: (
        len(n.inputs) == 1
        and not isinstance(n.op, OpaqueOp)
        and n.op.fused_activation_function == "NONE"
    ),
}


_RESHAPING = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


def _means_the_same(x: Tensor, y: Tensor) -> bool:
    """Whether the bits of x mean as y what they mean as x."""
    if x.shape != y.shape or x.dtype != y.dtype or x.is_variable or y.is_variable:
        return False
    return same_params(x, y)


def same_params(x: Tensor, y: Tensor) -> bool:
    """Equal quantization; on floats it means nothing."""
    if x.dtype == "float32" or x.quant is None or y.quant is None:
        return x.dtype == "float32" or x.quant is y.quant
    return x.quant.same_as(y.quant)


def _same_bits(graph: Graph, producers: dict[int, Node], x: int, y: Tensor) -> list[int]:
    """x and the tensors that were reshaped to x, nearest first, as far as they have y's params."""
    chain: list[int] = []
    while True:
        tensor = graph.tensors[x]
        if tensor.is_variable or y.is_variable or tensor.dtype != y.dtype:
            return chain
        if not same_params(tensor, y):
            return chain
        chain.append(x)
        before = producers.get(x)
        if before is None or before.op.name not in _RESHAPING:
            return chain
        if not before.inputs or before.inputs[0] < 0:
            return chain
        x = before.inputs[0]


def _source(graph: Graph, producers: dict[int, Node], node: Node, index: int) -> int | None:
    """The tensor that the output of `node` equals bit for bit, or None."""
    if len(node.outputs) != 1 or not node.inputs or node.inputs[0] < 0:
        return None
    x, y = node.inputs[0], node.outputs[0]
    if y < 0:
        return None
    tensors = graph.tensors
    if node.op.name == "QUANTIZE" and tensors[x].dtype == "float32":
        # |q - zp| < 2^17, so scale * (q - zp) / scale in float32 is off by far less than a half.
        before = producers.get(x)
        if before is None or before.op.name != "DEQUANTIZE" or not before.inputs:
            return None
        q = before.inputs[0]
        if q < 0:
            return None
        same = _means_the_same(tensors[q], tensors[y])
        return q if same and tensors[q].dtype in ("int8", "uint8", "int16") else None
    if node.op.name in _RESHAPING:
        chain = _same_bits(graph, producers, x, tensors[y])
        return next((t for t in chain if tensors[t].shape == tensors[y].shape), None)
    identity = _IDENTITY.get(node.op.name)
    if identity is None or not _means_the_same(tensors[x], tensors[y]):
        return None
    return x if identity(NodeView(graph, index)) else None


def remove_identity(graph: Graph, ops: Collection[str] | None = None) -> Graph:
    """The same graph without identities, and without RESHAPEs that only feed a RESHAPE.

    `ops`: only nodes of these ops go.
    """
    alias: dict[int, int] = {}
    kept: list[Node] = []
    producers: dict[int, Node] = {}  # of what is kept, by the names of the old graph
    changed = False

    def follow(t: int) -> int:
        while t in alias:
            t = alias[t]
        return t

    def rename(old: int, new: int) -> None:
        for k, node in enumerate(kept):
            if old in node.inputs or old in node.outputs:
                inputs = tuple(new if t == old else t for t in node.inputs)
                outputs = tuple(new if t == old else t for t in node.outputs)
                kept[k] = replace(node, inputs=inputs, outputs=outputs)
                producers.update(dict.fromkeys(outputs, kept[k]))
        alias[old] = new

    for index, original in enumerate(graph.nodes):
        node = original
        if any(t in alias for t in original.inputs):
            node = replace(original, inputs=tuple(follow(t) for t in original.inputs))
        if ops is not None and node.op.name not in ops:
            kept.append(node)
            producers.update(dict.fromkeys(node.outputs, node))
            continue
        source = _source(graph, producers, node, index)
        if source is not None:
            y = node.outputs[0]
            if y not in graph.outputs:
                alias[y] = source
                changed = True
                continue
            if source in producers and source not in graph.outputs:
                rename(source, y)
                changed = True
                continue
        given = [*node.inputs[:1], *node.outputs[:1]]
        if node.op.name == "RESHAPE" and len(given) == 2 and min(given) >= 0:
            chain = _same_bits(graph, producers, given[0], graph.tensors[given[1]])
            if len(chain) > 1:
                node = replace(node, inputs=(chain[-1], *node.inputs[1:]))
                changed = True
        kept.append(node)
        producers.update(dict.fromkeys(node.outputs, node))
    return graph.with_(nodes=tuple(kept)) if changed else graph
