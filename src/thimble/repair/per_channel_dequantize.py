"""DEQUANTIZE of weights with a scale for each channel becomes the float32 weights themselves.

    w int8 [8, 3, 3, 1] (8 scales, constant) -> DEQUANTIZE -> f -> CONV_2D
    ->  f float32 [8, 3, 3, 1] (constant) -> CONV_2D

TensorFlow Lite Micro's DEQUANTIZE uses the first scale for all channels. Each float32 is
scale * (q - zero_point), rounded once, as LiteRT computes it.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Node
from thimble.ops.contract import int_weights
from thimble.passes.fold_float_weights import dequantize
from thimble.repair.contract import Repair, on_graphs


def per_channel_dequantize(graph: Graph) -> Graph:
    """The same graph without DEQUANTIZE of constants that have several scales."""
    tensors, kept = list(graph.tensors), list[Node]()
    for node in graph.nodes:
        values = None
        if node.op.name == "DEQUANTIZE" and min(node.inputs[:1] + node.outputs, default=-1) >= 0:
            x, y = tensors[node.inputs[0]], tensors[node.outputs[0]]
            several = x.is_constant and x.quant is not None and x.quant.is_per_channel
            plain = "sparsity" not in x.extra and x.dtype in ("int4", "int8", "uint8", "int16")
            if several and plain and y.dtype == "float32" and node.outputs[0] not in graph.outputs:
                assert x.quant is not None
                values = dequantize(int_weights(x), x.quant)
        if values is None or values.shape != y.shape:
            kept.append(node)
        else:
            tensors[node.outputs[0]] = replace(y, data=values, shape_signature=None)
    if len(kept) == len(graph.nodes):
        return graph
    return graph.with_(tensors=tuple(tensors), nodes=tuple(kept))


REPAIR = Repair(
    "per-channel-dequantize",
    "TensorFlow Lite Micro's DEQUANTIZE uses one scale where the weights have one for each channel:"
    " the weights become float32 constants (four times as large).",
    on_graphs(per_channel_dequantize),
)
