"""Ways in which one layer may be computed wrongly: it with one option or constant changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from thimble.graph import Graph

Hypothesis = tuple[str, str, Graph]  # rule, "... as if ...", the graph with the layer changed

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def variants(graph: Graph, i: int) -> Iterator[Hypothesis]:
    """Node `i` with another activation, padding, dilation, operand order, bias or zero point."""
    op: Any = graph.nodes[i].op
    names = {f.name for f in fields(op)}

    def with_op(**changes: Any) -> Graph:
        nodes = list(graph.nodes)
        nodes[i] = replace(nodes[i], op=replace(op, **changes))
        return graph.with_(nodes=tuple(nodes))

    if "fused_activation_function" in names:
        for act in ACTIVATIONS:
            if act != op.fused_activation_function:
                yield (
                    "activation",
                    f"the activation were {act}",
                    with_op(fused_activation_function=act),
                )
    if "padding" in names:
        other = "VALID" if op.padding == "SAME" else "SAME"
        yield "padding", f"the padding were {other}", with_op(padding=other)
    if {"dilation_h_factor", "dilation_w_factor"} <= names:
        for d in (1, 2):
            if (d, d) != (op.dilation_h_factor, op.dilation_w_factor):
                changed = with_op(dilation_h_factor=d, dilation_w_factor=d)
                yield "dilation", f"the dilation were {d}", changed
    if "beta" in names and op.beta != 1.0:
        yield "option", "beta were 1", with_op(beta=1.0)
    yield from _changed_inputs(graph, i)
    yield from _changed_zero(graph, i)


def _changed_inputs(graph: Graph, i: int) -> Iterator[Hypothesis]:
    node = graph.nodes[i]
    run_time = [k for k, t in enumerate(node.inputs) if t >= 0 and graph.tensors[t].data is None]
    if len(run_time) == 2:
        inputs = list(node.inputs)
        x, y = run_time
        inputs[x], inputs[y] = inputs[y], inputs[x]
        nodes = list(graph.nodes)
        nodes[i] = replace(node, inputs=tuple(inputs))
        yield "operand-order", "the operands were swapped", graph.with_(nodes=tuple(nodes))
    for k, t in enumerate(node.inputs):
        tensor = graph.tensors[t] if t >= 0 else None
        if tensor is None or tensor.data is None or tensor.data.dtype.kind not in "fi" or k == 0:
            continue
        data = tensor.data
        tensors = list(graph.tensors)
        is_bias = data.ndim <= 1
        if node.op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        if is_bias:
            tensors[t] = replace(tensor, data=np.zeros_like(data))
            yield "bias-missing", "there were no bias", graph.with_(tensors=tuple(tensors))
        elif data.ndim == 4:
            for axes in ((1,), (2,), (1, 2)):
                tensors[t] = replace(tensor, data=np.ascontiguousarray(np.flip(data, axes)))
                yield (
                    "weights-mirrored",
                    f"the weights were mirrored along {axes}",
                    graph.with_(tensors=tuple(tensors)),
                )


def _changed_zero(graph: Graph, i: int) -> Iterator[Hypothesis]:
    node = graph.nodes[i]
    for t, what in ((node.inputs[0], "input"), (node.outputs[0], "output")):
        quant = graph.tensors[t].quant if t >= 0 else None
        if quant is None or len(quant.zero_point) != 1:
            continue
        zero = int(quant.zero_point[0])
        for other in dict.fromkeys((0, zero - 1, zero + 1, -zero)):
            if other != zero and -128 <= other <= 127:
                tensors = list(graph.tensors)
                tensors[t] = replace(
                    tensors[t], quant=replace(quant, zero_point=np.array([other], np.int64))
                )
                text = f"the {what}'s zero point were {other}, not {zero}"
                yield "zero-point", text, graph.with_(tensors=tuple(tensors))
