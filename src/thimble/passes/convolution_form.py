"""A convolution of one channel at a time, in the form that its kernel is made for.

    x [N, H, W, C] -> CONV_2D w [O, FH, FW, 1] (C groups) -> y
    ->  x -> DEPTHWISE_CONV_2D w [1, FH, FW, O] -> y
    x [N, H, W, 1] -> DEPTHWISE_CONV_2D w [1, FH, FW, O] -> y
    ->  x -> CONV_2D w [O, FH, FW, 1] -> y

Both ops add the same products in the same order, row by row, and requantize each sum by its own
scale. Groups of one channel would be C calls of the CONV_2D kernel; many outputs of a single
channel are what its tiles are for. int8, int16 with an int64 bias (or none) and float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.passes.match import has_kernel, with_data

# The first op versions with int8 and int16 kernels; LiteRT asks for no more.
_CONV_VERSION = {"float32": 1, "int8": 3, "int16": 4}
_DEPTHWISE_VERSION = {"float32": 2, "int8": 3, "int16": 5}
_GROUPED_VERSION = 6  # of CONV_2D with fewer input channels in the weights than in the input

Form = Callable[[NodeView], tuple[Node, Tensor] | None]


def _weights(n: NodeView, order: tuple[int, ...], axis: int, scale_axis: int) -> Tensor | None:
    """The weights with their dimensions in another order; None where they cannot be moved."""
    w = n.x(1)
    if w.data is None or w.dtype not in ("int8", "float32") or "sparsity" in w.extra:
        return None
    if n.x().dtype == "int16" and n.has(2) and n.x(2).dtype != "int64":
        return None  # DEPTHWISE_CONV_2D has 64-bit sums only
    quant = w.quant
    if quant is not None:
        if quant.details is not None or (quant.is_per_channel and quant.axis != axis):
            return None
        quant = replace(quant, axis=scale_axis if quant.is_per_channel else quant.axis)
    return replace(with_data(w, np.transpose(w.data, order)), quant=quant)


def as_depthwise(n: NodeView) -> tuple[Node, Tensor] | None:
    """A CONV_2D whose filters see one channel each as DEPTHWISE_CONV_2D, and its weights."""
    channels, groups_of = n.x().shape[3], n.x(1).shape[3]
    weights = _weights(n, (3, 1, 2, 0), 0, 3)
    if groups_of != 1 or weights is None:
        return None
    op = DepthwiseConv2D(
        padding=n.op.padding,
        stride_w=n.op.stride_w,
        stride_h=n.op.stride_h,
        depth_multiplier=n.x(1).shape[0] // channels,
        fused_activation_function=n.op.fused_activation_function,
        dilation_w_factor=n.op.dilation_w_factor,
        dilation_h_factor=n.op.dilation_h_factor,
    )
    return replace(n.node, op=op, version=_DEPTHWISE_VERSION[n.x().dtype]), weights


def as_convolution(n: NodeView) -> tuple[Node, Tensor] | None:
    """A DEPTHWISE_CONV_2D as CONV_2D, with a group for each channel, and its weights."""
    weights = _weights(n, (3, 1, 2, 0), 3, 0)
    if weights is None:
        return None
    op = Conv2D(
        padding=n.op.padding,
        stride_w=n.op.stride_w,
        stride_h=n.op.stride_h,
        fused_activation_function=n.op.fused_activation_function,
        dilation_w_factor=n.op.dilation_w_factor,
        dilation_h_factor=n.op.dilation_h_factor,
    )
    version = _CONV_VERSION[n.x().dtype] if n.x().shape[3] == 1 else _GROUPED_VERSION
    return replace(n.node, op=op, version=version), weights


def _cheaper_depthwise(n: NodeView) -> tuple[Node, Tensor] | None:
    return as_depthwise(n) if n.x().shape[3] > 1 else None


def _cheaper_convolution(n: NodeView) -> tuple[Node, Tensor] | None:
    return as_convolution(n) if n.x().shape[3] == 1 and n.y().shape[3] > 1 else None


def convolution_form(graph: Graph) -> Graph:
    """The same graph with each such convolution in the cheaper form."""
    forms = {"CONV_2D": _cheaper_depthwise, "DEPTHWISE_CONV_2D": _cheaper_convolution}
    return change_forms(graph, forms)


def change_forms(graph: Graph, forms: Mapping[str, Form]) -> Graph:
    """The same graph with each node of the ops in `forms` as its form gives it, else as it is."""
    tensors, nodes = list(graph.tensors), list(graph.nodes)
    readers = graph.consumers()
    for i, node in enumerate(graph.nodes):
        if node.op.name not in forms or not has_kernel(graph, node):
            continue
        changed = forms[node.op.name](NodeView(graph, i))
        if changed is None:
            continue
        new, weights = changed
        t = node.inputs[1]
        if len(readers[t]) > 1 or t in graph.outputs:
            tensors.append(replace(weights, name=f"{weights.name}/{new.op.name.lower()}"))
            t = len(tensors) - 1
        else:
            tensors[t] = weights
        nodes[i] = replace(new, inputs=(node.inputs[0], t, *node.inputs[2:]))
    if all(new is old for new, old in zip(nodes, graph.nodes)):
        return graph
    return graph.with_(tensors=tuple(tensors), nodes=tuple(nodes))
