"""What the TFLite converter does to a Keras model: normalizations go into the weights of the layer
before, activations into the layer whose output they take.

    x -> CONV_2D (w, b) -> MUL (s [O]) -> ADD (o [O]) -> RELU -> y
    ->  x -> CONV_2D (w s, b s + o, RELU) -> y

Weights are multiplied in float64 and rounded once; each output may differ in its last bits. The
name of what is fused is the names of its parts, the last first, as the converter writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from thimble.graph import Graph, Node, Tensor

Array = np.ndarray

_LAYERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # axis of the outputs
_RESHAPING = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_ACTIVATIONS = ("RELU", "RELU6", "RELU_N1_TO_1")


class _Graph:
    """The nodes and tensors while they change. A removed node is None."""

    def __init__(self, graph: Graph):
        self.tensors = list(graph.tensors)
        self.nodes: list[Node | None] = list(graph.nodes)
        self.outputs = list(graph.outputs)
        self.producers = graph.producers()
        self.readers = {t: len(nodes) for t, nodes in graph.consumers().items()}

    def before(self, t: int) -> list[int]:
        """Node indices from the layer whose values `t` has, through reshapes, to its producer.

        Empty where another node or the model's caller sees the values in between.
        """
        chain: list[int] = []
        while t in self.producers and self.readers.get(t) == 1 and t not in self.outputs:
            index = self.producers[t]
            chain.insert(0, index)
            node = self.nodes[index]
            assert node is not None
            if node.op.name not in _RESHAPING:
                return chain
            t = node.inputs[0]
        return []

    def end(self, index: int, chain: Sequence[int]) -> None:
        """Remove node `index`: the last of `chain` writes its output, under both names."""
        gone, last = self.nodes[index], self.nodes[chain[-1]]
        assert gone is not None
        assert last is not None
        (y,), (x,) = gone.outputs, last.outputs
        parts = [self.tensors[y].name, *self.tensors[x].name.split(";")]
        whole = [p for p in parts if not any(p.startswith(f"{other}/") for other in parts)]
        self.tensors[y] = replace(self.tensors[y], name=";".join(whole))
        self.nodes[index] = None
        self.nodes[chain[-1]] = replace(last, outputs=(y,))
        self.producers[y] = chain[-1]


def _constant(g: _Graph, node: Node, channels: int) -> Array | None:
    """The constant per channel that a MUL or ADD has as second input."""
    if len(node.inputs) != 2 or getattr(node.op, "fused_activation_function", "") != "NONE":
        return None
    data = g.tensors[node.inputs[1]].data
    if data is None or data.shape != (channels,):
        return None
    return data.astype(np.float64)


def _scaled(g: _Graph, index: int, node: Node) -> bool:
    """Whether a MUL or ADD of constants went into the layer before."""
    chain = g.before(node.inputs[0])
    layer = g.nodes[chain[0]] if chain else None
    if layer is None or layer.op.name not in _LAYERS or len(layer.inputs) != 3:
        return False
    op: Any = layer.op
    channels = g.tensors[layer.outputs[0]].shape[-1]
    if op.fused_activation_function != "NONE" or g.tensors[node.outputs[0]].shape[-1] != channels:
        return False
    values = _constant(g, node, channels)
    w, bias = (g.tensors[t] for t in layer.inputs[1:])
    if values is None or w.data is None or bias.data is None:
        return False
    if any(g.readers.get(t, 0) != 1 for t in layer.inputs[1:]):
        return False
    if node.op.name == "MUL":
        shape = [1] * w.data.ndim
        shape[_LAYERS[layer.op.name]] = channels
        g.tensors[layer.inputs[1]] = _with(w, w.data.astype(np.float64) * values.reshape(shape))
        g.tensors[layer.inputs[2]] = _with(bias, bias.data.astype(np.float64) * values)
    else:
        g.tensors[layer.inputs[2]] = _with(bias, bias.data.astype(np.float64) + values)
    g.end(index, chain)
    return True


def _with(tensor: Tensor, values: Array) -> Tensor:
    """The constant with other values; they stay float64 until `fuse` rounds them."""
    return replace(tensor, data=values)


def _activated(g: _Graph, index: int, node: Node) -> bool:
    """Whether an activation went into the layer before."""
    chain = g.before(node.inputs[0])
    layer = g.nodes[chain[0]] if chain else None
    if layer is None or (len(chain) > 1 and layer.op.name not in _LAYERS):
        return False
    has_option = any(f.name == "fused_activation_function" for f in fields(layer.op))  # type: ignore[arg-type]
    op: Any = layer.op
    if not has_option or op.fused_activation_function != "NONE":
        return False
    g.nodes[chain[0]] = replace(layer, op=replace(op, fused_activation_function=node.op.name))
    g.end(index, chain)
    return True


def fuse(graph: Graph) -> Graph:
    """The same graph with fewer nodes."""
    g = _Graph(graph)
    for index, node in enumerate(graph.nodes):
        current = g.nodes[index]
        assert current is not None
        if node.op.name in ("MUL", "ADD"):
            _scaled(g, index, current)
        elif node.op.name in _ACTIVATIONS:
            _activated(g, index, current)
    tensors = [
        replace(t, data=t.data.astype(np.float32))
        if t.data is not None and t.data.dtype == np.float64
        else t
        for t in g.tensors
    ]
    kept = tuple(node for node in g.nodes if node is not None)
    return graph.with_(tensors=tuple(tensors), nodes=kept)
