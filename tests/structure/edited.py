"""A small int8 model, and one edit of it for every kind of change."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from models import ModelBuilder, op

from thimble.graph import Graph, Model, Node, Quant

Array = np.ndarray
CONV, DEPTHWISE, POOL, RESHAPE, DENSE, SOFTMAX = range(6)


def tiny(seed: int = 0) -> Model:
    """x [1, 8, 8, 1] -> CONV_2D RELU -> DEPTHWISE_CONV_2D -> AVERAGE_POOL_2D -> RESHAPE ->
    FULLY_CONNECTED -> SOFTMAX, int8.
    """
    rng = np.random.default_rng(seed)
    b = ModelBuilder()
    x = b.input("x", (1, 8, 8, 1), "int8", 0.05, 3)
    y = weighted(
        b,
        rng,
        op("CONV_2D", "Conv2DOptions", stride_h=1, stride_w=1, fused_activation_function="RELU"),
        x,
        (4, 3, 3, 1),
        ((1, 8, 8, 4), "int8", 0.06, -128),
    )
    y = weighted(
        b,
        rng,
        op(
            "DEPTHWISE_CONV_2D",
            "DepthwiseConv2DOptions",
            stride_h=2,
            stride_w=2,
            depth_multiplier=1,
        ),
        y,
        (1, 3, 3, 4),
        ((1, 4, 4, 4), "int8", 0.08, 5),
    )
    pool = op(
        "AVERAGE_POOL_2D",
        "Pool2DOptions",
        padding="VALID",
        stride_h=2,
        stride_w=2,
        filter_height=2,
        filter_width=2,
    )
    y = b.op(pool, [y], [((1, 2, 2, 4), "int8", 0.08, 5)])
    shape = b.const("shape", np.array([1, 16], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, shape], [((1, 16), "int8", 0.08, 5)])
    y = weighted(
        b,
        rng,
        op("FULLY_CONNECTED", "FullyConnectedOptions"),
        y,
        (3, 16),
        ((1, 3), "int8", 0.2, 1),
    )
    y = b.op(op("SOFTMAX", "SoftmaxOptions", beta=1.0), [y], [((1, 3), "int8", 1 / 256, -128)])
    return dataclasses.replace(b.build([y], "serve"), source="tiny.tflite")


def weighted(b: ModelBuilder, rng: Any, layer: Any, x: int, shape: tuple[int, ...], y: Any) -> int:
    """A layer with random weights and a bias on the scale that they ask for."""
    axis = 3 if layer.name == "DEPTHWISE_CONV_2D" else 0
    count = shape[axis]
    scales = rng.uniform(0.005, 0.02, count).astype(np.float32)
    w = rng.integers(-127, 128, shape).astype(np.int8)
    weights = b.const(f"w{len(b.nodes)}", w, scale=scales, axis=axis)
    bias_scales = scales * np.float32(b.tensors[x].scale)
    bias = b.const(
        f"b{len(b.nodes)}", rng.integers(-50, 51, count).astype(np.int32), scale=bias_scales
    )
    return b.op(layer, [x, weights, bias], [y], version=3)


def with_tensor(model: Model, index: int, **changes: Any) -> Model:
    tensors = list(model.graph.tensors)
    tensors[index] = dataclasses.replace(tensors[index], **changes)
    return model.with_graph(model.graph.with_(tensors=tuple(tensors)))


def with_node(model: Model, index: int, **changes: Any) -> Model:
    nodes = list(model.graph.nodes)
    nodes[index] = dataclasses.replace(nodes[index], **changes)
    return model.with_graph(model.graph.with_(nodes=tuple(nodes)))


def with_options(model: Model, index: int, **options: Any) -> Model:
    return with_node(model, index, op=dataclasses.replace(model.graph.nodes[index].op, **options))


def output_of(graph: Graph, layer: int) -> int:
    return graph.nodes[layer].outputs[0]


def scaled(model: Model, tensor: int, factor: float, channel: int = 0, move: int = 0) -> Model:
    """`model` with one scale times `factor`, its zero point moved by `move`."""
    quant = model.graph.tensors[tensor].quant
    assert quant is not None
    scale, zero_point = quant.scale.copy(), quant.zero_point.copy()
    scale[channel] *= np.float32(factor)
    zero_point[channel] += move
    return with_tensor(model, tensor, quant=Quant(scale, zero_point, quant.axis))


def with_data(model: Model, tensor: int, data: Array) -> Model:
    return with_tensor(model, tensor, data=data)


def weights(model: Model, layer: int) -> int:
    return model.graph.nodes[layer].inputs[1]


def flipped(model: Model) -> Model:
    t = weights(model, DENSE)
    data = model.graph.tensors[t].data
    assert data is not None
    return with_data(model, t, np.where(np.arange(data.size).reshape(data.shape) == 5, -data, data))


def with_layer_between(model: Model) -> Model:
    """A RELU behind the pooling layer."""
    graph = model.graph
    old = output_of(graph, POOL)
    new = len(graph.tensors)
    tensor = dataclasses.replace(graph.tensors[old], name="relu")
    nodes = list(graph.nodes)
    nodes[RESHAPE] = dataclasses.replace(nodes[RESHAPE], inputs=(new, *nodes[RESHAPE].inputs[1:]))
    nodes.insert(RESHAPE, Node(op("RELU"), (old,), (new,)))
    return model.with_graph(graph.with_(nodes=tuple(nodes), tensors=(*graph.tensors, tensor)))
