"""Let a convolution do its own padding, where TFLite's SAME is that very padding.

    x -> PAD (zeros) -> p -> CONV_2D (VALID) -> y    ->    x -> CONV_2D (SAME) -> y

Also DEPTHWISE_CONV_2D. Not pools: outside the image MAX_POOL_2D sees nothing and AVERAGE_POOL_2D
divides by fewer, where PAD gives them zeros. A zero that is added to a sum does not change it, so
floats keep their bits as well.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Node
from thimble.ops.contract import NodeView, OpaqueOp
from thimble.passes.remove_identity import same_params


def same_padding(size: int, stride: int, extent: int) -> tuple[int, int]:
    """(rows before the image, output rows) of SAME; `extent` is the dilated filter's size."""
    out = -(-size // stride)
    return max((out - 1) * stride + extent - size, 0) // 2, out


def _pads_zeros(n: NodeView) -> bool:
    """Whether a node is a constant PAD of rank 4 that pads rows and columns only."""
    if n.node.op.name != "PAD" or not (n.has(0) and n.has(1) and n.outputs):
        return False
    if not n.x(1).is_constant:
        return False
    pads = n.constant(1)
    x, y = n.x(), n.y()
    if pads.shape != (4, 2) or len(x.shape) != 4 or pads.min() < 0 or pads[[0, 3]].any():
        return False
    expected = tuple(int(s + p.sum()) for s, p in zip(x.shape, pads))
    return expected == y.shape and x.dtype == y.dtype and same_params(x, y)


def _fits(pad: NodeView, conv: NodeView) -> bool:
    """Whether the convolution with SAME padding on PAD's input computes what it computes now."""
    op = conv.op
    if conv.node.op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D") or isinstance(op, OpaqueOp):
        return False
    if op.padding != "VALID" or not (conv.has(0) and conv.has(1) and conv.outputs):
        return False
    if len(conv.x(1).shape) != 4 or len(conv.y().shape) != 4:
        return False
    pads = pad.constant(1)
    strides = op.stride_h, op.stride_w
    dilations = op.dilation_h_factor, op.dilation_w_factor
    for k in range(2):
        if strides[k] < 1 or dilations[k] < 1:
            return False
        extent = (conv.x(1).shape[1 + k] - 1) * dilations[k] + 1
        before, out = same_padding(pad.x().shape[1 + k], strides[k], extent)
        if (before, out) != (int(pads[1 + k, 0]), conv.y().shape[1 + k]):
            return False
    return True


def fuse_pad(graph: Graph) -> Graph:
    """The same graph with PADs taken over by convolutions; `dead_code` removes the PADs."""
    producers = graph.producers()
    nodes: list[Node] = list(graph.nodes)
    for i, node in enumerate(graph.nodes):
        before = producers.get(node.inputs[0]) if node.inputs else None
        if before is None:
            continue
        pad = NodeView(graph, before)
        if _pads_zeros(pad) and _fits(pad, NodeView(graph, i)):
            op = replace(node.op, padding="SAME")  # type: ignore[type-var]
            nodes[i] = replace(node, op=op, inputs=(pad.node.inputs[0], *node.inputs[1:]))
    if all(new is old for new, old in zip(nodes, graph.nodes)):
        return graph
    return graph.with_(nodes=tuple(nodes))
